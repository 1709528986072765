"""An executor that dies in the middle of a run, for the tests of what a killed run leaves."""

from autometa.search.inline import InlineExecutor


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
