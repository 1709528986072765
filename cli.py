"""Launcher for a checkout: `python cli.py search data.csv` is `autometa search data.csv`."""

from autometa.cli import app

__all__ = ["app"]

if __name__ == "__main__":
    app()
