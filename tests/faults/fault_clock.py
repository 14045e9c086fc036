"""Another clock for one process: ``time.time`` and ``datetime.now`` shifted, nothing else.

The monotonic clock stays, as it does on a machine whose time of day is wrong. The modules of the
product and of botocore that took ``datetime`` or ``time`` by name are given the shifted ones.
"""

import datetime as dt
import sys
import time

SHIFTED_PACKAGES = ("pipeline_assets", "resources", "sensors", "botocore", "boto3", "dagster")


def shift(seconds: float) -> None:
    """Shift the wall clock of this process, of modules that are imported later too."""
    real_time, real = time.time, dt.datetime
    by = dt.timedelta(seconds=seconds)

    class _AnyDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    class ShiftedDatetime(dt.datetime, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]  # Self is never asked for
            return real.now(tz) + by

        @classmethod
        def utcnow(cls) -> dt.datetime:  # type: ignore[override]  # as above
            return real.now(dt.UTC).replace(tzinfo=None) + by

    def shifted_time() -> float:
        return real_time() + seconds

    time.time = shifted_time
    dt.datetime = ShiftedDatetime  # type: ignore[misc]  # a class in the place of a class
    for holder in list(sys.modules.values()):
        if not getattr(holder, "__name__", "").startswith(SHIFTED_PACKAGES):
            continue
        names = vars(holder)
        if names.get("datetime") is real:
            names["datetime"] = ShiftedDatetime
        if names.get("time") is real_time:
            names["time"] = shifted_time
