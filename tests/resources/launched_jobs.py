"""Jobs that the run launcher's tests launch, in processes of their own."""

import os
import signal
import sys
import time
from pathlib import Path

import dagster as dg

IMPORTED_BY = os.getpid()
BESIDE = sorted(path.name for path in Path(__file__).parent.glob("*.py"))


@dg.op
def succeeding(context: dg.OpExecutionContext) -> None:
    context.log.info("parent %s, session %s", os.getppid(), os.getsid(0))


@dg.op
def computing() -> int:
    import polars as pl  # noqa: PLC0415 - as a run's own code does

    return int(pl.DataFrame({"a": range(1000)}).group_by(pl.col("a") % 7).len()["len"].sum())


@dg.op
def introducing(context: dg.OpExecutionContext) -> None:
    import polars as pl  # noqa: PLC0415 - as above

    rows = pl.DataFrame({"a": range(1000)}).group_by(pl.col("a") % 7).len()["len"].sum()
    context.log.info(
        "the first code, imported by %s, %s rows, beside %s", IMPORTED_BY, rows, BESIDE
    )


@dg.op
def raising() -> None:
    message = "as it was told to"
    raise ValueError(message)


@dg.op
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dg.op
def leaving() -> None:
    os._exit(7)


@dg.op(config_schema={"started": str})
def lasting(context: dg.OpExecutionContext) -> None:
    Path(context.op_config["started"]).touch()
    time.sleep(120)


@dg.op(config_schema={"imported": str})
def telling(context: dg.OpExecutionContext) -> None:
    """Validate a table, and write down the libraries that this process has, one a line."""
    import pandera.polars as pa  # noqa: PLC0415 - as a run's own code does
    import polars as pl  # noqa: PLC0415

    schema = pa.DataFrameSchema({"number": pa.Column(pl.Int64, pa.Check.ge(1))})
    schema.validate(pl.DataFrame({"number": [1]}))
    Path(context.op_config["imported"]).write_text("\n".join(sys.modules))


@dg.job(executor_def=dg.in_process_executor)
def succeeding_job() -> None:
    succeeding()


@dg.job(executor_def=dg.in_process_executor)
def computing_job() -> None:
    computing()


@dg.job(executor_def=dg.in_process_executor)
def introducing_job() -> None:
    introducing()


@dg.job(executor_def=dg.in_process_executor)
def raising_job() -> None:
    raising()


@dg.job(executor_def=dg.in_process_executor)
def killed_job() -> None:
    killed()


@dg.job(executor_def=dg.in_process_executor)
def leaving_job() -> None:
    leaving()


@dg.job(executor_def=dg.in_process_executor)
def lasting_job() -> None:
    lasting()


@dg.job(executor_def=dg.in_process_executor)
def telling_job() -> None:
    telling()
