"""The command line: parse, call one function, print. Results go to stdout, everything else to stderr."""

from autometa.cli import tables, tasks
from autometa.cli.shared import app

__all__ = ["app", "tables", "tasks"]
