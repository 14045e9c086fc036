"""One run of `landfall work`, executed in whichever process this is."""

from dataclasses import dataclass

import dagster as dg

from pipeline_assets.holding import abandon, let_go
from pipeline_assets.jobs import job_name, partition_key, run_tags
from resources.ledger.model import RunRequest

QUIET_LOGS = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        success: whether every step did.
        interrupted: a signal ended it.
        died: its process did, so that it gave nothing back.
        cause: what a failed run says for itself, in a line.
    """

    success: bool
    interrupted: bool = False
    died: bool = False
    cause: str = ""


def execute(
    request: RunRequest, run_id: str, instance: dg.DagsterInstance, definitions: dg.Definitions
) -> Ending:
    """Execute the request's job; whatever the run still holds at its end is given back."""
    job = definitions.resolve_job_def(job_name(request.run.dataset, request.run.kind))
    try:
        result = job.execute_in_process(
            instance=instance,
            partition_key=partition_key(request),
            tags={**run_tags(request), "dagster/run_key": request.request_id},
            run_config=QUIET_LOGS,
            raise_on_error=False,
            run_id=run_id,
        )
    except BaseException:  # a signal outside of Dagster's own care
        let_go(run_id)
        raise
    if _was_interrupted(result):
        let_go(run_id)
        return Ending(success=False, interrupted=True, cause="it was told to stop")
    abandon(run_id)
    return Ending(result.success, cause="" if result.success else _cause(result))


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Whether a signal ended the run.

    Dagster reports a signal as a failed step, between two steps as a failed or a canceled run.
    """
    interrupted = dg.DagsterExecutionInterruptedError.__name__
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        named = error is not None and interrupted in f"{error.cls_name} {error.message}"
        if named or event.event_type is dg.DagsterEventType.RUN_CANCELED:
            return True
    return False


def _cause(result: dg.ExecuteInProcessResult) -> str:
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        if error is not None:
            first = error if error.cause is None else error.cause
            message = first.message.strip().splitlines()[0]
            return message.partition(": ")[2] or message
    return "its log says why"
