"""What is kept of pools, part by part."""

import pytest

from autometa.policies.pool_memory import MOST, PoolMemory
from autometa.pool import Pool
from autometa.space import key
from tests.searches import CONDITIONAL, configs


def pools(count):
    return [Pool(CONDITIONAL, configs(CONDITIONAL, 5, seed=s)) for s in range(count)]


def test_each_part_is_made_once_while_it_is_in_use():
    made, memory, (base, *others) = [], PoolMemory(), pools(3 * MOST)

    def make(pool):
        made.append(pool)
        return len(made)

    for other in others:
        assert memory.parts(Pool.joined([base, other]), make)[0] == 1
    assert made == [base, *others]
    assert memory.parts(others[-1], make) == [len(others) + 1]


def test_what_was_not_asked_about_for_long_is_forgotten():
    memory, (first, *others) = PoolMemory(), pools(MOST + 1)
    for pool in (first, *others):
        memory.parts(pool, len)
    assert memory.parts(first, lambda _: "again") == ["again"]
    assert memory.parts(others[-1], lambda _: "again") == [5]


def test_a_joined_pool_is_that_of_all_configs():
    one, other = pools(2)
    keyed = Pool.keyed(CONDITIONAL, {key(c): c for c in other})
    joined, whole = Pool.joined([one, keyed]), Pool(CONDITIONAL, [*one, *other])
    assert list(joined) == list(whole)
    assert joined.parts == (one, keyed)
    assert whole.parts == (whole,)
    assert joined.units == pytest.approx(whole.units, nan_ok=True)
    assert joined.inputs == pytest.approx(whole.inputs)
    for i, config in enumerate(whole):
        assert joined.place(config) == joined.place(dict(reversed(config.items()))) == joined.find(key(config)) == i
    assert joined.place({"algorithm": "other"}) is None
