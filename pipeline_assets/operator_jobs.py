"""Jobs of the UI for what a person does by hand: the functions of the commands, and their words.

They hold no date and carry no run request, so they run beside everything else. What changes
something is a dry run unless the launchpad says otherwise.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict

import dagster as dg
from pydantic import Field
from rich.console import Console

from pipeline_assets import show, show_operations, show_story
from pipeline_assets.errors import UnregisteredFileError
from pipeline_assets.operations import forget as forgetting
from pipeline_assets.operations import replay as replaying
from pipeline_assets.operations.affected import affected
from pipeline_assets.operations.dead_letters import dead_files
from pipeline_assets.operations.reconcile import reconcile as walk
from pipeline_assets.registry import dataset as find_dataset
from pipeline_assets.report import file_named
from pipeline_assets.row_story import read_row_story, row_named
from pipeline_assets.show_listings import dead_files_told, has_news, listing_told
from pipeline_assets.story import read_story
from resources.landfall import Landfall
from resources.ledger.listing import counts

WIDTH = 100
DRY_RUN = "Only show what would be done. Set it to false to have it done."
KEY = "Key of a file below the landing bucket, or its file id."


class ReplayConfig(dg.Config):
    """Which files to load again: exactly one of key, date and all."""

    key: str | None = Field(None, description=KEY)
    date: str | None = Field(
        None, description="YYYY-MM-DD: files of that date, and files with rows on it."
    )
    all: bool = Field(default=False, description="Every file.")
    dataset: str | None = Field(None, description="Only files of this dataset.")
    dead: bool = Field(default=False, description="Only dead files.")
    dry_run: bool = Field(default=True, description=DRY_RUN)


class ForgetConfig(dg.Config):
    """Which file's rows to remove."""

    key: str = Field(description=KEY)
    dry_run: bool = Field(default=True, description=DRY_RUN)


class ExplainConfig(dg.Config):
    """What to tell of."""

    name: str = Field(description="Key of a file, its file id, or a row as `_file_id:_row`.")


class DatasetConfig(dg.Config):
    """Which files to look at."""

    dataset: str | None = Field(None, description="Only this dataset.")


@dg.op
def replay_files(
    context: dg.OpExecutionContext, config: ReplayConfig, landfall: dg.ResourceParam[Landfall]
) -> None:
    """Load landed files again, without uploading them again."""
    selection = replaying.Selection(
        key=config.key,
        date=config.date,
        all=config.all,
        dataset=config.dataset,
        dead=config.dead,
    )
    plan = replaying.plan_replay(landfall, replaying.select(landfall, selection))
    count: int | None = None
    if not config.dry_run:
        count = replaying.replay(landfall, plan, why=f"replayed by run {context.run_id}")

    def told(out: Console) -> None:
        show_operations.replay_plan(out, plan)
        if count is not None:
            show_operations.replayed(out, plan, count)

    facts = {"files": len(plan.again), "left": len(plan.left), "rows": plan.affected.rows}
    tell(context, told, **facts, replayed=count or 0, dry_run=config.dry_run)


@dg.op
def forget_file(
    context: dg.OpExecutionContext, config: ForgetConfig, landfall: dg.ResourceParam[Landfall]
) -> None:
    """Remove a file's rows from every table; the same bytes are not loaded again."""
    head = file_named(landfall, config.key)
    touched = affected(landfall, [head])
    done: forgetting.Forgotten | None = None
    if not config.dry_run:
        done = forgetting.forget(landfall, head, why=f"forgotten by run {context.run_id}")

    def told(out: Console) -> None:
        show_operations.forgetting(out, touched, f"s3://{head.bucket}/{head.key}")
        if done is not None:
            show_operations.forgotten(out, done)

    deleted = done.fragments if done else 0
    tell(context, told, rows=touched.rows, fragments_deleted=deleted, dry_run=config.dry_run)


@dg.op
def explain_name(
    context: dg.OpExecutionContext, config: ExplainConfig, landfall: dg.ResourceParam[Landfall]
) -> None:
    """Tell the story of a file or of one of its rows."""
    row = row_named(landfall, config.name)
    if row is not None:
        of_row = read_row_story(landfall, *row)
        tell(context, lambda out: show_story.row_story(out, of_row, as_json=False))
        return
    try:
        story = read_story(landfall, config.name)
    except UnregisteredFileError as file:
        said = str(file)
        tell(context, lambda out: show.prose(out, show.escape(said)), state="not registered")
        return
    tell(context, lambda out: show_story.story(out, story, as_json=False), state=story.state.value)


@dg.op
def list_dead_files(
    context: dg.OpExecutionContext, config: DatasetConfig, landfall: dg.ResourceParam[Landfall]
) -> None:
    """List the files that nothing tries again by itself."""
    name = None if config.dataset is None else find_dataset(config.dataset).name
    dead = dead_files(landfall, name)

    def told(out: Console) -> None:
        dead_files_told(out, dead, has_queue=landfall.queue.exists)

    rows = [_row(asdict(each)) for each in dead.files]
    tell(context, told, dead=len(dead.files), unreported=dead.unreported, files=_table(rows))


@dg.op
def reconcile_bucket(
    context: dg.OpExecutionContext, config: DatasetConfig, landfall: dg.ResourceParam[Landfall]
) -> None:
    """Register what the landing bucket holds and the ledger does not know."""
    declared = None if config.dataset is None else find_dataset(config.dataset)
    report = walk(landfall, declared, context.log.info)
    totals = counts(report.dates)

    def told(out: Console) -> None:
        listing_told(out, report, [each for each in report.dates if has_news(each)])

    rows = [
        _row({"dataset": each.dataset, "file_date": each.file_date, **counts([each])})
        for each in report.dates
    ]
    tell(context, told, **totals, dates=_table(rows))


def _row(facts: dict[str, str | int]) -> dg.TableRecord:
    return dg.TableRecord(facts)


def _table(rows: Sequence[dg.TableRecord]) -> dg.TableMetadataValue | int:
    """Rows as a table of metadata; Dagster takes none that is empty."""
    return dg.MetadataValue.table(list(rows)) if rows else 0


def tell(
    context: dg.OpExecutionContext,
    say: Callable[[Console], None],
    **facts: str | int | bool | dg.TableMetadataValue,
) -> None:
    """Log what a command would print, and give it with its facts as the output's metadata."""
    text = io.StringIO()
    out = Console(
        file=text, width=WIDTH, highlight=False, soft_wrap=True, no_color=True, emoji=False
    )
    say(out)
    context.log.info(text.getvalue())
    story = dg.MetadataValue.md(f"```\n{text.getvalue()}```")
    context.add_output_metadata({"story": story, **facts})


@dg.job(description="Loads landed files again, without uploading them; a dry run by default.")
def replay() -> None:
    """Load landed files again."""
    replay_files()


@dg.job(description="Removes a file's rows from every table; a dry run by default.")
def forget() -> None:
    """Remove a file's rows."""
    forget_file()


@dg.job(description="Tells the story of a file or of one of its rows.")
def explain() -> None:
    """Tell a story."""
    explain_name()


@dg.job(description="Lists the files that nothing tries again by itself.")
def dead_letters() -> None:
    """List dead files."""
    list_dead_files()


@dg.job(description="Lists the landing bucket and registers what the ledger does not know.")
def reconcile() -> None:
    """List the landing bucket against the ledger."""
    reconcile_bucket()


def operator_jobs() -> list[dg.JobDefinition]:
    """Every job that a person launches by hand."""
    return [replay, forget, explain, dead_letters, reconcile]
