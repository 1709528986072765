"""Free text: TF-IDF of words and word pairs, reduced to a few numbers."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from autometa.tables.levels import Levels

_VOCABULARY = 3000
_TOPICS = 32
# Texts that the vocabulary and the topics are learned from.
_TEXTS_LEARNED_FROM = 20_000
_FEWEST_TEXTS_OF_A_TERM = 2
_COMMONEST_TERM = 0.9


@dataclass(frozen=True)
class TextTopics:
    """Numbers made of a text: its topics, its length in characters and in words.

    The topics are the right singular vectors of the TF-IDF matrix (latent semantic analysis,
    Deerwester et al. 1990), learned from a sample of the texts.

    Attributes:
        words: the vocabulary of v words.
        pairs: int32, shape (p, 2): the vocabulary of adjacent words, as indices into words.
        idf: float32 inverse document frequencies of words, then pairs, shape (v + p,).
        topics: float16, shape (v + p, t).
    """

    words: tuple[str, ...]
    pairs: NDArray[np.int32]
    idf: NDArray[np.float32]
    topics: NDArray[np.float16]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers, to come after the name of the column."""
        return (*(f"topic{i + 1}" for i in range(self.topics.shape[1])), "length", "words")

    @classmethod
    def fit(cls, levels: Levels) -> TextTopics:
        """Learn the vocabulary and the topics."""
        texts = levels.values
        if len(texts) > _TEXTS_LEARNED_FROM:
            chosen = np.random.default_rng(0).choice(len(texts), _TEXTS_LEARNED_FROM, replace=False)
            texts = texts.take(pa.array(np.sort(chosen)))
        tokens, of_text = _tokens(texts)
        encoded = tokens.dictionary_encode()
        every = encoded.dictionary
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        first, second = _adjacent(of_text)
        pair = codes[first] * len(every) + codes[second]
        # Words stand before pairs in the numbering of terms.
        term = np.concatenate([codes, len(every) + pair])
        document = np.concatenate([of_text, of_text[first]])
        terms, frequency = _document_frequency(term, document)
        usable = (frequency >= _FEWEST_TEXTS_OF_A_TERM) & (frequency <= _COMMONEST_TERM * len(texts))
        terms, frequency = terms[usable], frequency[usable]
        chosen = np.sort(np.argsort(-frequency, kind="stable")[:_VOCABULARY])
        terms, frequency = terms[chosen], frequency[chosen]
        single = terms < len(every)
        left, right = np.divmod(terms[~single] - len(every), max(1, len(every)))
        # The words of a pair are kept too: a pair is at most as frequent as they are, save
        # where they are too common to be terms.
        kept = np.union1d(terms[single], np.union1d(left, right))
        idf_of = np.zeros(len(every))
        idf_of[terms[single]] = _idf(frequency[single], len(texts))
        pairs = np.column_stack([np.searchsorted(kept, left), np.searchsorted(kept, right)])
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        idf = np.concatenate([idf_of[kept], _idf(frequency[~single], len(texts))[order]])
        words = tuple(every.take(pa.array(kept)).to_pylist())
        bare = cls(words, pairs[order].astype(np.int32), idf.astype(np.float32), np.empty((0, 0), "f2"))
        return cls(words, bare.pairs, bare.idf, bare._topics_of(texts))

    def _topics_of(self, texts: pa.Array) -> NDArray[np.float16]:
        weights = self._weights(texts)
        count = min(_TOPICS, min(weights.shape) - 1)
        if count < 1:
            return np.empty((weights.shape[1], 0), np.float16)
        # Imported here: a table without text needs none of it.
        from sklearn.utils.extmath import randomized_svd

        _, _, topics = randomized_svd(weights, count, n_iter=4, random_state=0)
        # Half precision keeps the saved schema small; both sides of a prediction use the same.
        return np.ascontiguousarray(topics.T).astype(np.float16)

    def encode(self, levels: Levels) -> NDArray[np.float64]:
        """One column per name, NaN where there is no text."""
        topics = self._weights(levels.values) @ self.topics.astype(np.float32)
        length = pc.utf8_length(levels.values).to_numpy(zero_copy_only=False)
        per_text = np.column_stack([topics, length, word_counts(levels.values)])
        return levels.spread(per_text.astype(np.float64), np.nan)

    def _weights(self, texts: pa.Array) -> sparse.csr_matrix:
        """TF-IDF weights, rows of unit length, shape (texts, v + p)."""
        tokens, of_text = _tokens(texts)
        vocabulary = pa.array(self.words, pa.string())
        index = pc.index_in(tokens, value_set=vocabulary).fill_null(-1)
        codes = index.to_numpy(zero_copy_only=False).astype(np.int64)
        first, second = _adjacent(of_text)
        both = (codes[first] >= 0) & (codes[second] >= 0)
        first, second = first[both], second[both]
        v = max(1, len(self.words))
        known = self.pairs[:, 0].astype(np.int64) * v + self.pairs[:, 1]
        pair = codes[first] * v + codes[second]
        place = np.searchsorted(known, pair)
        is_known = np.append(known, -1)[place] == pair
        term = np.concatenate([codes[codes >= 0], len(self.words) + place[is_known]])
        document = np.concatenate([of_text[codes >= 0], of_text[first[is_known]]])
        shape = (len(texts), len(self.idf))
        counts = sparse.csr_matrix((np.ones(len(term), np.float32), (document, term)), shape=shape)
        weights = counts.multiply(self.idf).tocsr()
        norms = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        return sparse.diags_array(1 / np.maximum(norms, 1e-12)).dot(weights).tocsr()

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON, arrays in base64."""
        return {
            "words": list(self.words),
            "pairs": _packed(self.pairs),
            "idf": _packed(self.idf),
            "topics": _packed(self.topics),
            "topic_count": self.topics.shape[1],
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> TextTopics:
        """What :meth:`to_json` gave."""
        idf = _unpacked(state["idf"], "<f4")
        return cls(
            tuple(state["words"]),
            _unpacked(state["pairs"], "<i4").reshape(-1, 2),
            idf,
            _unpacked(state["topics"], "<f2").reshape(len(idf), state["topic_count"]),
        )


def word_counts(texts: pa.Array) -> NDArray[np.int64]:
    """Words of each text; in scripts without spaces every character is one."""
    counts = pc.count_substring_regex(_spaced(texts), r"\S+")
    return np.asarray(counts.to_numpy(zero_copy_only=False), np.int64)


def _spaced(texts: pa.Array) -> pa.Array:
    unspaced = r"(\p{Han}|\p{Hiragana}|\p{Katakana}|\p{Thai})"
    if not pc.any(pc.match_substring_regex(texts, unspaced)).as_py():
        return texts
    return pc.replace_substring_regex(texts, unspaced, r" \1 ")


def _tokens(texts: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """The words of all texts in a row, and the text that each is from."""
    words = pc.split_pattern_regex(pc.utf8_lower(_spaced(texts)), r"[^\p{L}\p{N}]+")
    flat = words.flatten()
    of_text = pc.list_parent_indices(words)
    real = pc.greater(pc.binary_length(flat), 0)
    chosen = of_text.filter(real).to_numpy(zero_copy_only=False).astype(np.int64)
    return flat.filter(real), chosen


def _adjacent(of_text: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of neighbouring words of one text."""
    first = np.flatnonzero(of_text[:-1] == of_text[1:])
    return first, first + 1


def _document_frequency(
    term: NDArray[np.int64], document: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    order = np.lexsort((document, term))
    term, document = term[order], document[order]
    new = np.ones(len(term), bool)
    new[1:] = (term[1:] != term[:-1]) | (document[1:] != document[:-1])
    return np.unique(term[new], return_counts=True)


def _idf(frequency: NDArray[np.intp], texts: int) -> NDArray[np.float64]:
    return np.asarray(np.log((1 + texts) / (1 + frequency)) + 1)


def _packed(array: NDArray[Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def _unpacked(text: str, dtype: str) -> NDArray[Any]:
    array = np.frombuffer(base64.b64decode(text), dtype)
    return array.astype(array.dtype.newbyteorder("="))
