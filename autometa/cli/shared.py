"""What all commands share: the program, their common options, and how errors end them."""

from __future__ import annotations

import contextlib
import time
import traceback
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autometa.errors import AutometaError

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTED = time.time()  # close enough where the system does not tell when the process began

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A table in; a fitted ensemble, a leaderboard and a report out, within the promised time.",
)


class TaskChoice(StrEnum):
    """What the target is."""

    auto = "auto"
    classification = "classification"
    regression = "regression"


DEBUG_HELP = "Show the traceback of an error."
JSON_HELP = "Print the result as JSON."
Data = Annotated[str, typer.Argument(help="csv, csv.gz, tsv or parquet; - reads standard input.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The run folder of a search.")]
RunPlace = Annotated[str, typer.Argument(metavar="RUN", help="The run folder of a search, or the address of a copy.")]
Debug = Annotated[bool, typer.Option("--debug", help=DEBUG_HELP)]
Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show nothing but errors and the result.")]


def _version(wanted: bool) -> None:  # noqa: FBT001 (typer's callback signature)
    if wanted:
        from autometa import __version__

        typer.echo(f"autometa {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A table in; a fitted ensemble, a leaderboard and a report out, within the promised time."""


@contextlib.contextmanager
def errors(*, debug: bool) -> Iterator[None]:
    """Messages instead of tracebacks, and an exit code that tells programs what happened."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt as stop:
        say(str(stop) or "stopped")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise typer.Exit(1) from None
    except AutometaError as error:
        if debug:
            traceback.print_exc()
        say(f"error: {error}")
        raise typer.Exit(2) from None
    except Exception as error:  # noqa: BLE001 (whatever it is, people get one line)
        if debug:
            traceback.print_exc()
        say(f"unexpected error: {type(error).__name__}: {error}\n(--debug shows where)")
        raise typer.Exit(1) from None


def say(message: str) -> None:
    """Tell people; results alone go to standard output."""
    typer.echo(message, err=True)


def process_start() -> float:
    """When this process was started, start-up of Python included."""
    try:
        import psutil

        return float(psutil.Process().create_time())
    except (ImportError, OSError):
        return STARTED
