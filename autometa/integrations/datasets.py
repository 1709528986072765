"""What a policy may know of the dataset that a study is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autometa.tables.meta_features import meta_features
from autometa.tables.reading import read_table
from autometa.tables.schema import Schema
from autometa.tables.table import Table
from autometa.tables.target import TargetCodec, choose_target, infer_task

if TYPE_CHECKING:
    import pandas as pd


def features_of(data: str | Path | pd.DataFrame) -> dict[str, float | str]:
    """Sizes and meta-features of a table, as recorded tasks have them.

    The target is the column named target, class, label or y, else the last one.

    Raises:
        InputError: the table cannot be used.
    """
    frame = read_table(data).frame
    target, _ = choose_target(frame, None)
    codec, known, _ = TargetCodec.fit(frame[target], infer_task(frame[target]))
    frame = frame[known].reset_index(drop=True)
    schema, _ = Schema.fit(frame, exclude={target})
    table = Table(schema.encode(frame)[0], codec.encode(frame[target]), codec.classes, None)
    return table.sizes | meta_features(table)
