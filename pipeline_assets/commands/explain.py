"""`landfall explain`: the story of a file or of one of its rows."""

from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.terminal import json_option, out, with_landfall
from pipeline_assets.errors import UnregisteredFileError

if TYPE_CHECKING:
    from resources.landfall import Landfall


@click.command(short_help="Tell the story of a file, or of one of its rows.")
@click.argument("name", metavar="KEY|FILE_ID|FILE_ID:ROW")
@json_option
@with_landfall
def explain(landfall: "Landfall", name: str, *, as_json: bool) -> None:
    """One file's story, or one row's.

    How the file came, epochs, attempts, runs, fragments, what became of its rows, and what to do
    next. `_file_id:_row`, as silver and quarantine have them, tells of a single row. A file that
    has landed and is not registered yet is told as such.
    """
    from pipeline_assets import show  # noqa: PLC0415 - starts quicker

    try:
        _tell(landfall, name, as_json=as_json)
    except UnregisteredFileError as file:
        facts = {
            "key": file.key,
            "size": file.size,
            "landed_at": file.landed_at,
            "state": None,
            "what_next": file.what_next,
        }
        show.facts(out, facts, as_json=as_json, headline=str(file))


def _tell(landfall: "Landfall", name: str, *, as_json: bool) -> None:
    from pipeline_assets import show_story as show  # noqa: PLC0415 - as above
    from pipeline_assets.row_story import read_row_story, row_named  # noqa: PLC0415
    from pipeline_assets.story import read_story  # noqa: PLC0415

    row = row_named(landfall, name)
    if row is None:
        show.story(out, read_story(landfall, name), as_json=as_json)
    else:
        show.row_story(out, read_row_story(landfall, *row), as_json=as_json)
