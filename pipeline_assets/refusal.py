"""Whether a refined date may replace its tables: a date that is refused keeps what it has."""

from pipeline_assets.account import DateAccount
from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import DateRefusedError

CULPRITS = 3


def refusal(dataset: Dataset, day: str, account: DateAccount) -> DateRefusedError | None:
    """Why a refined date may not be replaced, or ``None``."""
    if not account.conserved:
        reason = (
            f"{account.bronze_rows} bronze rows are not {account.silver_rows} silver + "
            f"{account.quarantined} quarantined + {account.duplicates} duplicates; this is a fault "
            "of the transform: mend it and refresh the date."
        )
        return DateRefusedError(dataset.name, day, reason)
    if account.quarantine_share > dataset.quarantine_threshold:
        return DateRefusedError(dataset.name, day, _too_much_rejected(dataset, account))
    return None


def _too_much_rejected(dataset: Dataset, account: DateAccount) -> str:
    broken = [each.rule.name for each in account.outcomes if each.failing]
    malformed = sum(each.malformed for each in account.rejected)
    culprits = sorted(account.rejected, key=lambda each: (-each.rows, each.landing_key))[:CULPRITS]
    named = ", ".join(f"{each.landing_key} ({each.rows})" for each in culprits)
    return (
        f"{account.quarantined} of {account.bronze_rows} rows ({account.quarantine_share:.1%}) "
        f"belong in quarantine, more than {dataset.quarantine_threshold:.0%} "
        f"(malformed: {malformed}; rules broken: {', '.join(broken) or 'none'}), most of them "
        f"from {named}: mend the file and land it again at the same key, or mend the contract."
    )
