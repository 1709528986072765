"""`python -m autometa`, the same as the command `autometa`."""

from autometa.cli import app

app(prog_name="autometa")
