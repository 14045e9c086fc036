"""Reading bytes as a landed object, as every test here does."""

import hashlib

import pytest
from landed_bytes import Read, Reader, read_file


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("landed")

    def read_bytes(data: bytes, key: str, **options: object) -> Read:
        path = folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()
        path.write_bytes(data)
        try:
            found = read_file(path, key, **options)  # type: ignore[arg-type] # options of read_file
        finally:
            path.unlink()
        assert list(folder.iterdir()) == []
        return found

    return read_bytes
