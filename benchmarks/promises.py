"""Check what a search promises, each in real processes started by the command line.

    python -m benchmarks.promises overrun --data DIR        is over in time: 6 tables x 20, 60 and 120 s
    python -m benchmarks.promises kills                     a kill at any moment loses nothing
    python -m benchmarks.promises repeat                    the same seed and workers make the same run
    python -m benchmarks.promises memory                    1,000,000 x 50 in 120 s and 8 GB

Each appends rows to a file of its name in benchmarks/results; rows that the file already has for this
version of the code are not run again, but count. With --lock the machine is held, one row at a time, as in
benchmarks.end_to_end. The exit status is 1 if something did not hold.
"""

import argparse
import csv
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.end_to_end import append, exclusive, names_of, version_of
from benchmarks.promise_kills import MOMENTS, run_kill, setting
from benchmarks.promise_limits import timed, write_large
from benchmarks.promise_repeat import repeats
from benchmarks.promise_runs import QUICK, RESULTS, example_table, keys

# Small and large, few and many classes, with and without categories, none of them in bench20.
TABLES = "parkinsons_voice,authorship,metro_traffic,vehicle_insurance_fraud,avila,plant_margin"
TRIES = 20  # at hitting one moment, before it is given up


def overrun(options: argparse.Namespace, version: str) -> None:
    """Wall time against the limit."""
    if options.data is None:
        raise SystemExit("the data folder must be known: give --data DIR or set AUTOMETA_DATA")
    cards = pd.read_csv(options.data / "tabular" / "index.csv", index_col="name")
    for name in names_of(options.tables, options.data):
        frame = pd.read_parquet(options.data / "tabular" / f"{name}.parquet")
        for limit in map(float, options.times.split(",")):
            if (version, name, str(limit)) in keys(options.out, "version", "table", "time_limit"):
                continue
            with tempfile.TemporaryDirectory() as place, exclusive(options.lock):
                table = Path(place) / f"{name}.csv"
                frame.to_csv(table, index=False)
                row = timed(
                    table,
                    version=version,
                    limit=limit,
                    memory="",
                    rows=len(frame),
                    columns=frame.shape[1] - 1,
                    classes=int(cards.loc[name, "classes"]),
                    options=["--target", "target", "--seed", str(options.seed)],
                )
            append(options.out, row)
            said = row.reason or f"{row.wall_s:.2f} s, over by {row.over_s:+.2f} s, {row.trials} trials"
            print(f"{name} {limit:g} s: {said}{'' if row.held else '  NOT HELD'}", flush=True)
            time.sleep(1)  # whoever waits for the lock gets a turn


def kills(options: argparse.Namespace, version: str) -> None:
    """Kill, look, resume, compare."""
    table = options.table or example_table()
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        folder = Path(place)
        space = folder / "quick.toml"
        space.write_text(QUICK)
        common = ["--workers", "2", "--seed", str(options.seed)]
        limits = {"trials": ["--trials", str(options.trials)], "time": ["--time", f"{options.time:g}s"]}
        settings = {}
        for number in range(options.kills):
            kind = MOMENTS[number % len(MOMENTS)]
            # Two of three have no time limit: their end is known to the last digit.
            limit = "time" if number // len(MOMENTS) % 3 == 2 else "trials"
            if (version, str(number)) in keys(options.out, "version", "number"):
                continue
            with exclusive(options.lock):
                if limit not in settings:
                    settings[limit] = setting(table, space, [*limits[limit], *common], limit, folder)
                for attempt in range(TRIES):
                    row = run_kill(
                        number,
                        kind,
                        settings[limit],
                        folder=folder,
                        version=version,
                        seed=options.seed + 1000 * attempt,
                    )
                    if row is not None:
                        break
                else:
                    raise SystemExit(f"kill {number}: the search ended {TRIES} times before its moment ({kind}) came")
            append(options.out, row)
            print(
                f"kill {number} ({kind}, {limit}) after {row.at_s:.2f} s with {row.finished} trials finished: "
                f"{row.broken or 'nothing lost'}",
                flush=True,
            )
            if row.broken and options.keep:
                folder.rename(options.keep)
                raise SystemExit(f"its files are kept in {options.keep}")


def repeat(options: argparse.Namespace, version: str) -> None:
    """Equal runs for equal seeds."""
    table = options.table or example_table()
    with tempfile.TemporaryDirectory(prefix="repeat-") as place:
        space = options.space
        if space == "quick":
            space = str(Path(place) / "quick.toml")
            Path(space).write_text(QUICK)
        for workers in map(int, options.workers.split(",")):
            key = (version, table.stem, Path(space).stem, str(workers), str(options.trials))
            if key in keys(options.out, "version", "table", "space", "workers", "trials"):
                continue
            arguments = ["--trials", str(options.trials), "--seed", str(options.seed)]
            with exclusive(options.lock):
                rows = repeats(table, space, arguments, workers=workers, folder=Path(place), version=version)
            for row in rows:
                append(options.out, row)
                print(f"{workers} workers, {row.run} run: {row.differs or row.digest}, {row.seconds:.0f} s", flush=True)


def memory(options: argparse.Namespace, version: str) -> None:
    """A large table within both limits."""
    limit_mb = float(options.memory.removesuffix("G")) * 1024
    if (version, str(options.rows), str(options.time)) in keys(options.out, "version", "rows", "time_limit"):
        return
    with tempfile.TemporaryDirectory(prefix="memory-") as place, exclusive(options.lock):
        table = Path(place) / f"made_{options.rows}x{options.columns}.csv"
        write_large(table, rows=options.rows, columns=options.columns, seed=options.seed)
        row = timed(
            table,
            version=version,
            limit=options.time,
            memory=options.memory,
            rows=options.rows,
            columns=options.columns - 1,
            classes=2,
            options=["--target", "label", "--seed", str(options.seed)],
        )
    append(options.out, row)
    print(
        f"{options.rows:,} x {options.columns}: {row.reason or 'done'}, {row.wall_s:.1f} of {options.time:g} s, "
        f"{row.peak_pss_mb:,.0f} of {limit_mb:,.0f} MB ({row.peak_rss_mb:,.0f} MB with shared pages counted more "
        f"than once), {row.trials} trials, {row.failed_trials} failed{'' if row.held else '  NOT HELD'}"
    )


CHECKS: dict[str, Callable[[argparse.Namespace, str], None]] = {
    "overrun": overrun,
    "kills": kills,
    "repeat": repeat,
    "memory": memory,
}
# What a row says that did not hold: its column, and what stands there where all is well.
WELL = {"overrun": ("held", "1"), "kills": ("broken", ""), "repeat": ("differs", ""), "memory": ("held", "1")}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    checks = parser.add_subparsers(dest="check", required=True)
    made = {name: checks.add_parser(name, help=check.__doc__) for name, check in CHECKS.items()}
    for name, one in made.items():
        one.add_argument("--out", type=Path, default=RESULTS / f"{name}.csv")
        one.add_argument("--lock", type=Path, help="file on which each row holds an exclusive lock")
        one.add_argument("--version", help="instead of that of the committed code")
        one.add_argument("--seed", type=int, default=1)
    made["overrun"].add_argument("--data", type=Path, default=os.environ.get("AUTOMETA_DATA"), help="or AUTOMETA_DATA")
    made["overrun"].add_argument("--tables", default=TABLES, help="names, or a list such as dev12")
    made["overrun"].add_argument("--times", default="20,60,120", help="time limits in seconds")
    made["kills"].add_argument("--kills", type=int, default=20)
    made["kills"].add_argument("--trials", type=int, default=16)
    made["kills"].add_argument("--time", type=float, default=30.0, help="limit of the searches that have one")
    made["kills"].add_argument("--keep", type=Path, help="folder for the files of the first one that fails")
    made["repeat"].add_argument("--trials", type=int, default=30)
    made["repeat"].add_argument("--workers", default="1,2")
    made["repeat"].add_argument("--space", default="tabular", help='"quick" for learners that fit in milliseconds')
    for name in ("kills", "repeat"):
        made[name].add_argument("--table", type=Path, help="a csv with classes in its last column")
    made["memory"].add_argument("--rows", type=int, default=1_000_000)
    made["memory"].add_argument("--columns", type=int, default=50, help="the target included")
    made["memory"].add_argument("--time", type=float, default=120.0)
    made["memory"].add_argument("--memory", default="8G")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run one check."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the search in progress is ended, too
    version = options.version or version_of("autometa", sys.executable)
    CHECKS[options.check](options, version)
    column, well = WELL[options.check]
    with options.out.open(newline="") as lines:
        found = [row[column] for row in csv.DictReader(lines) if row["version"] == version]
    broken = sum(value != well for value in found)
    print(f"{broken} of {len(found)} did not hold" if broken else f"all {len(found)} held")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
