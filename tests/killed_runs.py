"""Quick searches, and an executor that dies in the middle of one, for the tests of what a killed run leaves."""

from pathlib import Path

import autometa
from autometa.search.inline import InlineExecutor
from tests.tables import classification

QUICK = str(Path(__file__).with_name("quick.toml"))


def quick_search(out, **options):
    """Six configs of small learners on a small table, in this very process."""
    settings = {"trials": 6, "space": QUICK, "workers": 1, "report": False, "executor": InlineExecutor()} | options
    return autometa.search(classification(150), out=out, **settings)


class Killed(BaseException):
    """Stands for the end of the process in the middle of a run."""


class KilledAfter(InlineExecutor):
    """Dies after some fits, like a process that is killed between two of them."""

    def __init__(self, fits):
        super().__init__()
        self._left = fits

    def submit(self, job):
        if self._left == 0:
            raise Killed
        self._left -= 1
        super().submit(job)
