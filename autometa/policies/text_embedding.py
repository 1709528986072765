"""Texts as short vectors: the more words and letters two texts share, the nearer they lie.

Weinberger et al. 2009, "Feature hashing for large scale multitask learning"; letters as in Bojanowski et al. 2017,
"Enriching word vectors with subword information". Nothing is learned here, so a name that no one has seen has a place.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What hyperparameters are called for short, where the letters alone would not say it.
SHORT = {
    "bs": ("batch", "size"),
    "eta": ("learning", "rate"),
    "lr": ("learning", "rate"),
    "n": ("number",),
    "num": ("number",),
    "wd": ("weight", "decay"),
}
# Words carry the meaning; letters bring relatives of a word near; the text as a whole tells apart what words cannot.
LETTERS, WHOLE = 0.5, 0.25


def words(text: str) -> list[str]:
    """The words of a name in lower case, split at punctuation, digits and case; short forms are written out."""
    parts = re.findall(r"[^\W\d_]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text))
    return [word for part in parts for word in SHORT.get(part.lower(), (part.lower(),))]


@lru_cache(maxsize=8192)
def embedding(text: str, width: int) -> NDArray[np.float64]:
    """A vector of length one for a text, the same in every process, shape (width,)."""
    vector = WHOLE * _hashed("text " + text, width)
    if found := words(text):
        vector = vector + sum(_word(word, width) for word in found) / len(found)
    vector /= np.linalg.norm(vector)
    vector.setflags(write=False)  # it is handed out again
    return vector


def _word(word: str, width: int) -> NDArray[np.float64]:
    marked = f"<{word}>"
    grams = [marked[i : i + 3] for i in range(len(marked) - 2)]
    return _hashed("word " + word, width) + LETTERS * sum(_hashed("gram " + gram, width) for gram in grams) / len(grams)


def _hashed(feature: str, width: int) -> NDArray[np.float64]:
    """A random direction of length one that depends on the feature alone, shape (width,)."""
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=width).digest()
    vector = np.frombuffer(digest, np.uint8) - 127.5  # never 0
    return np.asarray(vector / np.linalg.norm(vector))
