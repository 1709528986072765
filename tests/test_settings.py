"""How settings are written and refused."""

import pytest

from autometa.errors import InputError
from autometa.search.settings import DEFAULT_TIME, Settings, parse_bytes, parse_duration


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), (" 1.5M ", 90)])
def test_times(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "0", "5 minutes", "1e3", "nan"])
def test_bad_times(text):
    with pytest.raises(InputError, match="90s"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "size"), [("4G", 2**32), ("512m", 2**29), ("1024", 1024), ("1.5GiB", 3 * 2**29)])
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-4G", "0", "4X"])
def test_bad_sizes(text):
    with pytest.raises(InputError, match="4G"):
        parse_bytes(text)


@pytest.mark.parametrize(
    "change",
    [
        {"trials": 0},
        {"time_limit": 1.0},
        {"workers": 0},
        {"workers": 16, "memory": 2 * 2**30},
        {"memory": 1000},
        {"embargo": -1, "time_column": "t"},
        {"embargo": 3},
        {"group": "g", "time_column": "t"},
    ],
)
def test_bad_settings(change):
    with pytest.raises(InputError):
        Settings(data="x.csv", **change)


def test_without_limits_a_search_takes_five_minutes():
    assert Settings(data="x").time_limit == DEFAULT_TIME
    assert Settings(data="x", trials=3).time_limit is None
    assert not Settings(data="x", trials=3).by_clock
