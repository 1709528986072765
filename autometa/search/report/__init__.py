"""report.html: one self-contained page that shows a run, finished or not."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from autometa.search.report.reading import read_run
from autometa.search.report.view import page
from autometa.search.run_folder import RunFolder
from autometa.tables.whole_files import write_whole

__all__ = ["write_report"]


def write_report(folder: RunFolder) -> Path:
    """Write report.html from the other files of a run folder; all but run.json may be missing.

    Raises:
        RunError: run.json cannot be read.
    """
    script = _own("report.js")
    # Nothing but this very script may run, whatever a column is called.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(loader=FunctionLoader(_own), autoescape=True, undefined=StrictUndefined)
    html = environment.get_template("report.html.j2").render(
        style=Markup(_own("report.css")),  # noqa: S704 (our own file)
        script=Markup(script),  # noqa: S704 (our own file)
        script_hash=f"sha256-{digest}",
        **page(read_run(folder)),
    )
    write_whole(folder.report, html)
    return folder.report


def _own(name: str) -> str:
    """A file of this package."""
    return (files(__package__) / name).read_text(encoding="utf-8")
