"""What a user of DuckDB would do with one large CSV of events: one ``COPY``, in and out.

It parses, leaves out what breaks the contract, keeps each event once and writes Parquet by event
date. It keeps no record of what it left out, nor of where a row came from.
"""

from pathlib import Path
from typing import Final

import duckdb

from bench.stage.summary import Summary

UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
COPY: Final = f"""
COPY (
    SELECT DISTINCT ON (event_id) * FROM (
        SELECT
            eventId AS event_id,
            eventType AS event_type,
            lower(userId) AS user_id,
            try_cast("timestamp" AS TIMESTAMP) AS "timestamp",
            sessionId AS session_id,
            properties,
            date_trunc('hour', try_cast("timestamp" AS TIMESTAMP)) AS hour_bucket,
            try_cast("timestamp" AS TIMESTAMP)::DATE AS event_date
        FROM read_csv(
            $source, header = true, ignore_errors = true, null_padding = false, delim = ',',
            quote = '"', escape = '"', columns = {{
                'eventType': 'VARCHAR', 'userId': 'VARCHAR', 'timestamp': 'VARCHAR',
                'eventId': 'VARCHAR', 'sessionId': 'VARCHAR', 'properties': 'VARCHAR'
            }}
        )
    )
    WHERE event_type IN ('page_view', 'click', 'purchase', 'signup')
        AND regexp_full_match(user_id, '{UUID}')
        AND "timestamp" IS NOT NULL
        AND (properties IS NULL
            OR CASE WHEN json_valid(properties) THEN json_type(properties) = 'OBJECT' END)
) TO $target (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date))
"""  # noqa: S608 - every part is ours


def copy_events(source: Path, target: Path) -> None:
    """Write the valid events of a CSV, each once, below a folder that is made."""
    with duckdb.connect() as connection:
        connection.execute(COPY, {"source": str(source), "target": str(target)})


def summary(target: Path) -> Summary:
    """Events and distinct users by event date and type of what was written."""
    query = (
        "SELECT strftime(event_date, '%Y-%m-%d'), event_type, count(*), count(DISTINCT user_id) "
        "FROM read_parquet($files, hive_partitioning = true) GROUP BY ALL"
    )
    with duckdb.connect() as connection:
        rows = connection.execute(query, {"files": f"{target}/**/*.parquet"}).fetchall()
    return {(day, kind): (count, users) for day, kind, count, users in rows}
