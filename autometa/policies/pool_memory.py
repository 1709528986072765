"""What was made of the last pools asked about, part by part: a pool that grows is not read anew each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from autometa.pool import Pool

T = TypeVar("T")
MOST = 4  # parts: two of a drawn pool, and two of others that are asked about in between


class PoolMemory(Generic[T]):
    """Keeps what belongs to a part of a pool; the part that was asked about the longest ago is forgotten first."""

    def __init__(self) -> None:
        self._kept: dict[Pool, T] = {}

    def parts(self, pool: Pool, make: Callable[[Pool], T]) -> list[T]:
        """What is made of each part of a pool, in their order; by one and the same function each time."""
        return [self._of(part, make) for part in pool.parts]

    def _of(self, part: Pool, make: Callable[[Pool], T]) -> T:
        found = self._kept.pop(part) if part in self._kept else make(part)
        self._kept[part] = found
        if len(self._kept) > MOST:
            self._kept.pop(next(iter(self._kept)))
        return found
