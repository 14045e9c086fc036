"""Reading bytes as a landed object, as every test here does."""

import hashlib
from collections.abc import Iterator

import pytest
from landed_bytes import Read, Reader, read_file

from pipeline_assets.parsing import content, csv_framing, json_framing, json_records


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


@pytest.fixture(scope="module")
def small_blocks() -> Iterator[None]:
    """Blocks of 16 bytes and records of at most 64, so that short files meet every edge."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (content, json_framing, json_records):
            patch.setattr(module, "BLOCK_BYTES", 16)
        for module in (csv_framing, json_framing, json_records):
            patch.setattr(module, "RECORD_BYTES", 64)
        patch.setattr(json_framing, "LOOKAHEAD", 16)
        patch.setattr(json_records, "SURE_LENGTH", 16)
        yield
