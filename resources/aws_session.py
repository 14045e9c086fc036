"""boto3 sessions that share what botocore knows of AWS's services.

botocore reads it from files, a tenth of a second for two services, once for each session. Here it
is once for each process, and the run server reads it for the processes of its runs.
"""

from functools import cache
from typing import Any

import boto3
import botocore.session

NOBODY = "nobody"


@cache
def _models() -> Any:  # noqa: ANN401 - botocore has no types
    return botocore.session.get_session().get_component("data_loader")


def session(**arguments: str | None) -> boto3.Session:
    """A session as ``boto3.Session`` makes it of the same arguments."""
    below = botocore.session.get_session()
    below.register_component("data_loader", _models())
    return boto3.Session(botocore_session=below, **arguments)


def read_models() -> None:
    """Read what the clients of runs need, by making some that are neither used nor kept."""
    own = session(aws_access_key_id=NOBODY, aws_secret_access_key=NOBODY, region_name="us-east-1")
    own.client("dynamodb")
    own.client("s3")
