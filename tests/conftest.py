"""What holds for every test: nothing is written to the user's own folder, and nobody learns from another test."""

import itertools

import pytest

NUMBERS = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_session(tmp_path_factory):
    """For fixtures that several tests share, which are made before a test has a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOMETA_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """A folder of the user's own for each test, which is there when something is kept in it."""
    folder = tmp_path_factory.getbasetemp() / "homes" / str(next(NUMBERS))
    monkeypatch.setenv("AUTOMETA_HOME", str(folder))
    return folder
