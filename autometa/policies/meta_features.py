"""Meta-features of datasets as the numbers that a network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.gaussian import middle_and_spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_FAR = 3.0  # standard deviations beyond which a number says no more


@dataclass(frozen=True)
class Reader:
    """Standardises meta-features by what they were on the prior tasks.

    Attributes:
        names: of the m meta-features that are read; text ones never are.
        middle, spread: of each, shape (m,).
    """

    names: tuple[str, ...] = ()
    middle: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()

    @classmethod
    def fit(cls, datasets: Sequence[Mapping[str, float | str]]) -> Reader:
        """Read the numbers that at least half of the described datasets have and that differ among them."""
        described = [d for d in datasets if d]
        names = sorted({n for d in described for n, v in d.items() if not isinstance(v, str)})
        found: dict[str, tuple[float, float]] = {}
        for name in names:
            values = np.array([_number(d.get(name)) for d in described])
            values = values[np.isfinite(values)]
            if 2 * len(values) < len(described) or not np.ptp(values) > 0:
                continue
            middle, spread = middle_and_spread(values)
            found[name] = (middle, max(spread, 0.25 * float(values.std()), np.finfo(float).tiny))
        return cls(tuple(found), tuple(m for m, _ in found.values()), tuple(s for _, s in found.values()))

    def __len__(self) -> int:
        return len(self.names)

    def read(self, dataset: Mapping[str, float | str]) -> NDArray[np.float32]:
        """The numbers of a dataset, 0 where unknown, and 1 or 0 for whether any is known, shape (m + 1,)."""
        values = np.array([_number(dataset.get(n)) for n in self.names])
        standard = np.clip((values - np.array(self.middle)) / np.array(self.spread), -_FAR, _FAR)
        known = np.isfinite(standard)
        return np.append(np.where(known, standard, 0.0), float(known.any())).astype(np.float32)

    def read_all(self, datasets: Sequence[Mapping[str, float | str]], count: int) -> NDArray[np.float32]:
        """Of several, shape (S, m + 1); zeros where datasets are not described at all."""
        if not datasets:
            return np.zeros((count, len(self) + 1), np.float32)
        return np.stack([self.read(d) for d in datasets])


def _number(value: float | str | None) -> float:
    """NaN for a text, for what is not there, and for what is not finite."""
    if value is None or isinstance(value, str) or not np.isfinite(value):
        return np.nan
    return float(value)
