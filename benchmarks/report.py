"""Print the end-to-end comparison as Markdown and write it into docs/benchmarks.md between its markers.

python -m benchmarks.report --rows benchmarks/results/end_to_end.csv --ours autometa --time 60
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.summary import contrast, mean_ranks, prepare

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Benchmarks\n"
NOTE = (
    "Wall time holds everything from the start of the process to the predictions. Costs are medians, the largest in "
    "brackets; peak memory sums the resident sizes of the process tree; disk is what the system leaves (nothing where "
    "it only keeps the model in memory). Gain: (peer's loss - ours) / the larger of both, averaged over tables, with a "
    "bootstrap over dataset families; a failure counts as a constant prediction there, and as last in ranks and wins. "
    "FLAML is installed as flaml[automl], which brings no CatBoost; all read the same typed tables."
)


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *lines])


def spread(values: "pd.Series[float]", digits: int = 0) -> str:
    """Median and, in brackets, the largest value."""
    return f"{values.median():.{digits}f} ({values.max():.{digits}f})"


def by_rank(rows: pd.DataFrame) -> list[str]:
    """Systems by their mean rank over the tables all have; by name where there is no such table."""
    systems = sorted(rows["system"].unique())
    ranks, tables = mean_ranks(rows, systems)
    return sorted(systems, key=ranks.get) if tables else systems


def overview(rows: pd.DataFrame, *, ours: str) -> str:
    """One line per system: rank, ours against it, failures and what it took."""
    systems = by_rank(rows)
    everywhere = [name for name in systems if set(rows["table"]) == set(rows.loc[rows["system"] == name, "table"])]
    few, few_tables = mean_ranks(rows, systems)
    many, many_tables = mean_ranks(rows, everywhere)
    head = [
        "system", "tables", f"mean rank of {len(systems)} ({few_tables} tables)",
        f"mean rank of {len(everywhere)} ({many_tables} tables)", f"{ours} wins", f"gain of {ours} [95 %]",
        "failed", "wall s", "CPU s", "peak MB", "disk MB",
    ]  # fmt: skip
    lines = []
    for name in systems:
        own = rows[rows["system"] == name]
        versus = contrast(rows, ours=ours, peer=name)
        compared = name != ours and versus.tables
        lines.append([
            f"{name} {', '.join(own['version'].unique())}",
            str(own["table"].nunique()),
            f"{few[name]:.2f}" if few_tables else "-",
            f"{many[name]:.2f}" if name in everywhere else "-",
            f"{versus.win_rate:.0%}" if compared else "-",
            f"{versus.gain:+.3f} [{versus.low:+.3f}, {versus.high:+.3f}]" if compared else "-",
            str(int(own["failed"].sum())),
            spread(own["wall_s"]),
            spread(own["cpu_s"]),
            spread(own["peak_mb"]),
            spread(own["disk_mb"]),
        ])  # fmt: skip
    return table(head, lines)


def scores(rows: pd.DataFrame) -> str:
    """One line per table: the score of every system, the best in bold, failures named."""
    systems = by_rank(rows)
    lines = []
    for (metric, name), runs in rows.groupby(["metric", "table"], sort=True):
        means = runs.groupby("system")[["score", "order"]].mean()
        cells = []
        for system in systems:
            if system not in means.index:
                cells.append("")
            elif means.loc[system, "order"] == float("inf"):
                cells.append("failed")
            else:
                text = f"{means.loc[system, 'score']:.4g}"
                cells.append(f"**{text}**" if means.loc[system, "order"] == means["order"].min() else text)
        lines.append([name, metric, *cells])
    return table(["table", "metric", *systems], lines)


def report(rows: pd.DataFrame, *, ours: str, time_limit: float, all_versions: bool = False) -> str:
    """The section as Markdown."""
    rows = prepare(rows, time_limit=time_limit, all_versions=all_versions)
    splits = ", ".join(str(seed) for seed in sorted(rows["split"].unique()))
    dates = f"{rows['date'].min()} to {rows['date'].max()}"
    failed = rows[rows["failed"] == 1]
    protocol = (
        f"Each system is given 70 % of a table, {time_limit:g} s and two cores, one row at a time, and scored on the "
        f"rest (AUC for two classes, log-loss for more, RMSE for numbers). Default CatBoost and LightGBM have no limit "
        f"to set; a row that takes 300 s is ended and has failed. Split seeds: {splits}. Rows of {dates}."
    )
    parts = [protocol, overview(rows, ours=ours), NOTE, scores(rows)]
    if len(failed):
        parts.append("\n".join(f"- {row.system} failed on {row.table}: {row.reason}" for row in failed.itertuples()))
    return "\n\n".join(parts) + "\n"


def write_between(path: Path, marker: str, text: str) -> None:
    """Replace what stands between two marker comments of a file; a missing section is added at its end."""
    start, end = f"<!-- {marker}: start -->", f"<!-- {marker}: end -->"
    page = path.read_text() if path.exists() else HEAD
    if start not in page:
        page = f"{page.rstrip()}\n\n{start}\n{end}\n"
    before, rest = page.split(start, 1)
    after = rest.split(end, 1)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{start}\n\n{text}\n{end}{after}")


def main(arguments: list[str] | None = None) -> None:
    """Read the rows, print the section and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=ROOT / "benchmarks" / "results" / "end_to_end.csv")
    parser.add_argument("--ours", default="autometa", help="the system that is compared with each other one")
    parser.add_argument("--time", type=float, default=60.0, help="the time limit whose rows are read")
    parser.add_argument("--systems", help="only these, by comma")
    parser.add_argument("--all-versions", action="store_true", help="rows of earlier versions count where no later are")
    parser.add_argument("--out", type=Path, help="write between the markers of this file, too (docs/benchmarks.md)")
    parser.add_argument("--marker", default="end_to_end", help="name of the markers")
    options = parser.parse_args(arguments)
    rows = pd.read_csv(options.rows, dtype={"version": str}, keep_default_na=True)
    if options.systems:
        rows = rows[rows["system"].isin(options.systems.split(","))]
    text = report(rows, ours=options.ours, time_limit=options.time, all_versions=options.all_versions)
    print(text)
    if options.out:
        write_between(options.out, options.marker, text)


if __name__ == "__main__":
    main()
