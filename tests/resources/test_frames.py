"""Frames of every library to Arrow and back."""

from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from resources.frames import Frame, FrameKind, from_arrow, requested_frame, to_arrow
from resources.parquet import encode


def digest_of(table: pa.Table) -> str:
    encoded = encode(table)
    with encoded.body:
        return encoded.digest


def test_text_has_one_type_however_it_was_held() -> None:
    held: list[Frame] = [
        pl.DataFrame({"k": ["a", "b"]}, schema={"k": pl.Categorical}),
        pl.DataFrame({"k": ["a", "b"]}, schema={"k": pl.Enum(["b", "a"])}),
        pd.DataFrame({"k": pd.Series(["a", "b"], dtype="category")}),
        pd.DataFrame({"k": pd.Series(["a", "b"], dtype="object")}),
        pd.DataFrame({"k": ["a", "b"]}, index=[7, 9]),
        pa.table({"k": pa.array(["a", "b"], pa.string_view())}),
        pa.table({"k": pa.array(["a", "b"]).dictionary_encode()}),
        pa.table({"k": ["a", "b"]}, schema=pa.schema([pa.field("k", pa.string(), nullable=False)])),
    ]
    digests = {digest_of(to_arrow("it", frame)) for frame in held}
    assert digests == {digest_of(pa.table({"k": ["a", "b"]}))}


@pytest.mark.parametrize("annotation", [Any, str, pl.Series])
def test_an_unknown_annotation_asks_for_a_polars_frame(annotation: object) -> None:
    assert requested_frame(annotation).kind is FrameKind.POLARS


def test_integers_beside_a_null_stay_integers_in_pandas() -> None:
    table = pa.table({"holed": [2**60 + 1, None], "flag": [True, None]})
    frame = from_arrow(table, FrameKind.PANDAS)
    assert isinstance(frame, pd.DataFrame)
    assert [str(kind) for kind in frame.dtypes] == ["Int64", "boolean"]
    assert frame["holed"].sum() == 2**60 + 1
