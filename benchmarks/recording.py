"""Count what the shipped collections hold, and write it into docs/records.md between its markers.

python -m benchmarks.recording
"""

from collections import Counter
from pathlib import Path

import pandas as pd

from autometa.records.own_files import CARD, TRIALS, read_trials
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "records.md"


def counts(folder: Path) -> str:
    """The section about one collection."""
    card, _, arrow = read_trials(folder)
    rows: pd.DataFrame = arrow.select(
        ["task", "config_id", "config.algorithm", "budget", "state", "cpu_s", "fit_s"]
    ).to_pandas()
    rows["algorithm"] = rows["config.algorithm"].astype(str)
    whole = rows[rows["budget"] == 1.0]
    per_task = whole.groupby("task", observed=True)["config_id"].nunique()
    kinds = Counter(d.kind for d in card.datasets)
    lines = [
        [
            name,
            str(own.loc[own["budget"] == 1.0, "config_id"].nunique()),
            str(len(own)),
            *(str(int((own["state"] == s).sum())) for s in ("complete", "timed_out", "failed")),
            f"{own['cpu_s'].sum() / 3600:.2f}",
            f"{own.loc[own['budget'] == 1.0, 'cpu_s'].median():.2f}",
            f"{own.loc[own['budget'] == 1.0, 'cpu_s'].quantile(0.95):.1f}",
        ]
        for name, own in [*rows.groupby("algorithm"), ("all", rows)]
    ]
    head = [
        "algorithm", "configs", "evaluations", "complete", "timed out", "failed", "core-hours",
        "median s (3 folds)", "95 % s",
    ]  # fmt: skip
    return (
        f"### {card.name}\n\n{card.about[0].upper()}{card.about[1:]}.\n\n"
        f"{len(per_task)} tables ({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}), "
        f"{per_task.min()} to {per_task.max()} configs each; {(folder / TRIALS).stat().st_size / 1e6:.1f} MB; limit "
        f"{card.seconds:g} s a fit.\n\n{table(head, lines)}\n"
    )


def main() -> None:
    """Write the section."""
    parts = [counts(p.parent) for p in sorted((ROOT / "meta_datasets").glob(f"*/{CARD}"))]
    text = "## What is shipped\n\n" + "\n".join(parts)
    write_between(DOCS, "counts", text)
    print(text)


if __name__ == "__main__":
    main()
