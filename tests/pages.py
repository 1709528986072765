"""Pages of the documentation, run as a reader would run them: commands and Python in the order in which they stand."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from autometa.cli import app

DOCS = Path(__file__).parents[1] / "docs"


def run_page(name, *, languages=("bash", "python")):
    """Run the blocks of a page in the working directory; returns them, as pairs of language and text.

    Searches are short ones of quick learners in one process, so that a page is checked within seconds.
    """
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```({'|'.join(languages)})\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    names = {}
    for language, block in blocks:
        if language == "python":
            line = text.count("\n", 0, text.index(block))
            exec(compile("\n" * line + block, str(DOCS / name), "exec"), names)  # noqa: S102 (it is our own page)
            continue
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "autometa"
            more = ["--space", "quick.toml", "--workers", "1"] if words[1] == "search" else []
            more += ["--time", "15s"] if "--time" in words else []
            result = CliRunner().invoke(app, [*words[1:], *more])
            assert result.exit_code == 0, f"{line}\n{result.output}"
    return blocks
