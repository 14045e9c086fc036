"""A key that S3 does not take."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pipeline_assets.errors import UploadRefusedError
from resources.aws import Aws
from resources.landing_zone import LandingBucket


def test_an_upload_that_s3_refuses_names_the_key_its_words_and_what_to_do(
    aws: Aws, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"a\n")
    key = "events/a\nb.csv"

    with pytest.raises(
        UploadRefusedError, match=r"S3 did not take the file: .*another name"
    ) as told:
        LandingBucket(aws).upload(file, key)

    assert isinstance(told.value.__cause__, ClientError)
