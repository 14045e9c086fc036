"""Silver and quarantine of one date as they are commonly written: pandas and ``pandera.pandas``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from pipeline_assets.datasets.events import EVENT_TYPES, UUID

IDENTITY: Final = ["event_type", "user_id", "timestamp", "session_id", "properties"]
FIELDS: Final = ("eventType", "userId", "timestamp", "eventId", "sessionId", "properties")
RULES: Final = (
    "event_type_required",
    "event_type_isin",
    "user_id_required",
    "user_id_str_matches",
    "timestamp_required",
    "timestamp_readable",
    "properties_readable",
    "timestamp_in_partition",
)
"""In the order of a row's reasons."""


@dataclass(frozen=True)
class PandasDate:
    """Valid rows, once each, in a total order; and the others with what is wrong with each."""

    silver: pd.DataFrame
    quarantine: pd.DataFrame


def refine_in_pandas(
    bronze: pd.DataFrame, *, event_date: date, landing_keys: Mapping[str, str]
) -> PandasDate:
    """Conform, validate and deduplicate the bronze rows of one event date."""
    located = bronze.assign(landing_key=bronze["_file_id"].map(landing_keys))
    located = located.sort_values(["landing_key", "_row"])
    cut = located["_error"].notna()
    # Of these rows alone: a frame without rows would take over all those of a longer column.
    malformed = located[cut]
    malformed = malformed.assign(
        reasons="malformed: " + malformed["_error"], record=malformed["_raw"]
    )
    received = located[~cut].reset_index(drop=True)
    conformed = _conform(received)
    reasons = _reasons(_failures(conformed, event_date), received)
    invalid = received.loc[reasons.index].assign(reasons=reasons)
    invalid["record"] = [_record(row) for row in invalid.to_dict("records")]
    quarantine = pd.concat([malformed, invalid])
    columns = ["_file_id", "_row", "landing_key", "reasons", "record"]
    return PandasDate(
        _deduplicated(conformed.drop(index=reasons.index), event_date),
        quarantine[columns].sort_values(["landing_key", "_row"], ignore_index=True),
    )


def _conform(received: pd.DataFrame) -> pd.DataFrame:
    time = pd.to_datetime(
        _filled(received["timestamp"]), format="ISO8601", utc=True, errors="coerce"
    ).dt.as_unit("us")
    properties = _filled(received["properties"])
    return pd.DataFrame(
        {
            "event_id": _filled(received["eventId"]),
            "event_type": _filled(received["eventType"]),
            "user_id": _filled(received["userId"]).str.lower(),
            "timestamp": time,
            "session_id": _filled(received["sessionId"]),
            "properties": pd.Series([_compact(text) for text in properties], dtype="str"),
            "hour_bucket": time.dt.floor("h"),
            "unreadable": properties.notna(),
            "_file_id": received["_file_id"],
            "_row": received["_row"],
        }
    ).assign(unreadable=lambda frame: frame["unreadable"] & frame["properties"].isna())


def _filled(text: pd.Series) -> pd.Series:
    trimmed = text.str.strip()
    return trimmed.where(trimmed != "")


def _compact(text: object) -> str | None:
    """A JSON object without white space between its tokens; none where it is not one."""
    if not isinstance(text, str):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if " " in text else text


def _contract(event_date: date) -> pa.DataFrameSchema:
    time = pd.DatetimeTZDtype("us", "UTC")
    day = pd.Timestamp(event_date, tz="UTC")
    in_partition = pa.Check(lambda times: times.dt.normalize() == day, name="in_partition")
    return pa.DataFrameSchema(
        {
            "event_id": pa.Column("str", nullable=True),
            "event_type": pa.Column("str", pa.Check.isin(EVENT_TYPES)),
            "user_id": pa.Column("str", pa.Check.str_matches(UUID)),
            "timestamp": pa.Column(time, in_partition),
            "session_id": pa.Column("str", nullable=True),
            "properties": pa.Column("str", nullable=True),
            "hour_bucket": pa.Column(time, nullable=True),
            "unreadable": pa.Column("bool", pa.Check(lambda marks: ~marks, name="readable")),
        }
    )


def _failures(conformed: pd.DataFrame, event_date: date) -> pd.DataFrame:
    """Row and rule of each fault, as pandera reports them."""
    try:
        _contract(event_date).validate(conformed, lazy=True)
    except SchemaErrors as broken:
        cases: pd.DataFrame = broken.failure_cases
        return cases[["index", "column", "check"]]
    return pd.DataFrame({"index": [], "column": [], "check": []}, dtype="str")


def _reasons(failures: pd.DataFrame, received: pd.DataFrame) -> pd.Series:
    """What is wrong with each row that has a fault, by its index."""
    column = failures["column"].replace({"unreadable": "properties"})
    check = (
        failures["check"].str.replace(r"\(.*", "", regex=True).replace({"not_nullable": "required"})
    )
    rule = column + "_" + check
    has_text = failures["index"].map(received["timestamp"].str.strip()).fillna("") != ""
    rule = rule.mask((rule == "timestamp_required") & has_text, "timestamp_readable")
    known = pd.DataFrame(
        {"index": failures["index"].astype("int64"), "rule": pd.Categorical(rule, RULES)}
    ).sort_values(["index", "rule"])
    return known.groupby("index")["rule"].agg(lambda rules: "; ".join(map(str, rules)))


def _record(row: Mapping[object, object]) -> str:
    members = {name: row[name] for name in (*FIELDS, "_rescued") if isinstance(row[name], str)}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False)


def _deduplicated(valid: pd.DataFrame, event_date: date) -> pd.DataFrame:
    named = valid["event_id"].notna()
    kept = pd.concat(
        [valid[named].drop_duplicates("event_id"), valid[~named].drop_duplicates(IDENTITY)]
    )
    return (
        kept.drop(columns="unreadable")
        .assign(event_date=event_date)
        .sort_values(["timestamp", "_file_id", "_row"], ignore_index=True)
    )
