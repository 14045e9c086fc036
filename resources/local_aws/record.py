"""What a server of the local AWS says about itself, and the files of its home."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

IDENTITY_PATH = "/_landfall"
CRM_PATH = f"{IDENTITY_PATH}/crm/customers"
RECORD_FILE = "local-aws.json"
RECORD_PART = f"{RECORD_FILE}.writing"
DATA_FILE = "local-aws.pickle"
LOG_FILE = "local-aws.log"
# Held by the server as long as it lives: no process id can be mistaken, no home served twice.
SERVER_LOCK_FILE = "local-aws.lock"


@dataclass(frozen=True)
class ServerRecord:
    """One server: its home, process, port, and when it started (ISO 8601, UTC)."""

    home: str
    pid: int
    port: int
    started_at: str

    def to_json(self) -> bytes:
        """The answer at ``/_landfall`` and the content of the record file."""
        return json.dumps(asdict(self)).encode()


def parse_record(raw: bytes) -> ServerRecord | None:
    """The record, or ``None`` when these bytes are something else."""
    try:
        fields = json.loads(raw)
        return ServerRecord(
            home=str(fields["home"]),
            pid=int(fields["pid"]),
            port=int(fields["port"]),
            started_at=str(fields["started_at"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def write_record(home: Path, record: ServerRecord) -> None:
    """Put the record into its home; who reads meanwhile finds all of it or none."""
    part = home / RECORD_PART
    part.write_bytes(record.to_json())
    part.replace(home / RECORD_FILE)


def read_record(home: Path) -> ServerRecord | None:
    """The record in a home, or ``None``; a server that was killed leaves its record behind."""
    try:
        return parse_record((home / RECORD_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
