"""Decision trees as plain arrays: 10 bytes a node, checked when loaded, and fast to walk.

A node's left child always follows it, so only the right one is written down; a leaf has none (0).
A tree whose children come after their parents cannot send a walk in circles or out of its arrays.
Letters: n rows, k outputs, m nodes of all trees, l leaves of all trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.learners.contract import smoothed
from autometa.tables.preprocess import Design
from autometa.tables.state import State


@dataclass(frozen=True)
class TreeArrays:
    """One tree, or many one after another.

    Attributes:
        right: the right child, counted from the tree's first node, 0 for a leaf; shape (m,).
        feature: column that an inner node looks at; shape (m,).
        threshold: a row goes left if its value is not above this; shape (m,).
        entries: number of entries that each leaf has in the two arrays below; shape (l,).
        outputs: output that an entry is for; shape (e,).
        values: its value; shape (e,). Outputs without an entry are 0.
    """

    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    entries: NDArray[np.int32]
    outputs: NDArray[np.int32]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, tree: Any, *, classes: bool) -> TreeArrays:
        """From a fitted ``sklearn.tree._tree.Tree``, whose nodes stand in preorder."""
        left, right = tree.children_left, tree.children_right
        inner = left >= 0
        assert (left[inner] == np.flatnonzero(inner) + 1).all()
        threshold = tree.threshold.astype(np.float32)
        # The largest float32 that is not above: for float32 inputs the comparison stays the same.
        threshold = np.where(threshold > tree.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
        leaves = tree.value[~inner, 0, :]
        if classes:
            leaves = leaves / leaves.sum(axis=1, keepdims=True)
        rows, outputs = np.nonzero(leaves) if classes else (np.arange(len(leaves)), np.zeros(len(leaves), np.int64))
        return cls(
            np.where(inner, right, 0).astype(np.int32),
            np.where(inner, tree.feature, 0).astype(np.int32),
            np.where(inner, threshold, 0).astype(np.float32),
            np.bincount(rows, minlength=len(leaves)).astype(np.int32),
            outputs.astype(np.int32),
            leaves[rows, outputs].astype(np.float32),
        )


_FIELDS = ("right", "feature", "threshold", "entries", "outputs", "values")


@dataclass(frozen=True)
class Forest:
    """Trees whose outputs are averaged.

    Attributes:
        trees: all trees, one after another.
        sizes: nodes of each tree.
        width: number of columns that the rows must have.
        prior: class shares of the training rows, shape (k,); zeros for regression.
        classes: whether the outputs are probabilities.
    """

    trees: TreeArrays
    sizes: NDArray[np.int32]
    width: int
    prior: NDArray[np.float64]
    classes: bool

    @classmethod
    def joined(cls, trees: Sequence[TreeArrays], *, width: int, prior: NDArray[np.float64], classes: bool) -> Forest:
        """One forest of many trees."""
        arrays = [np.concatenate([getattr(tree, name) for tree in trees]) for name in _FIELDS]
        sizes = np.array([len(tree.right) for tree in trees], np.int32)
        return cls(TreeArrays(*arrays), sizes, width, prior, classes)

    @property
    def outputs(self) -> int:
        """Columns of a prediction."""
        return len(self.prior)

    def predict(self, design: Design) -> NDArray[np.float32]:
        """Mean over the trees, shape (n, k)."""
        if design.width != self.width:
            raise ModelError(f"the forest reads {self.width} columns; it was given {design.width}")
        total = np.zeros((len(design), self.outputs))
        rows = np.ascontiguousarray(design.numbers)
        trees = self.trees
        leaf_start = np.cumsum(np.append(0, trees.entries), dtype=np.int64)
        is_leaf = trees.right == 0
        node = leaf = 0
        for size in self.sizes:
            part = slice(node, node + size)
            leaves = int(is_leaf[part].sum())
            start, stop = leaf_start[leaf], leaf_start[leaf + leaves]
            table = np.zeros((leaves, self.outputs))
            place = np.repeat(np.arange(leaves), trees.entries[leaf : leaf + leaves])
            table[place, trees.outputs[start:stop]] = trees.values[start:stop]
            number = np.cumsum(is_leaf[part]) - 1
            total += table[number[self._walk(part, rows)]]
            node, leaf = node + size, leaf + leaves
        total /= len(self.sizes)
        return smoothed(total, self.prior, len(self.sizes)) if self.classes else total.astype(np.float32)

    def _walk(self, part: slice, rows: NDArray[np.float32]) -> NDArray[np.intp]:
        """The leaf of each row, by scikit-learn's compiled walk."""
        from sklearn.tree._tree import NODE_DTYPE, Tree

        right, size = self.trees.right[part], part.stop - part.start
        inner = right > 0
        nodes = np.zeros(size, NODE_DTYPE)
        nodes["left_child"] = np.where(inner, np.arange(1, size + 1), -1)
        nodes["right_child"] = np.where(inner, right, -1)
        nodes["feature"] = self.trees.feature[part]
        nodes["threshold"] = self.trees.threshold[part]
        tree = Tree(self.width, np.ones(1, np.intp), 1)
        tree.__setstate__({"max_depth": size, "node_count": size, "nodes": nodes, "values": np.zeros((size, 1, 1))})
        return tree.apply(rows)  # type: ignore[no-any-return]

    def state(self) -> State:
        """What to save."""
        arrays = {name: getattr(self.trees, name) for name in _FIELDS}
        settings = {"width": self.width, "classes": self.classes}
        return State(settings, {**arrays, "sizes": self.sizes, "prior": self.prior})

    @classmethod
    def from_state(cls, state: State) -> Forest:
        """What :meth:`state` described.

        Raises:
            ModelError: an index leads out of its array, or a walk would not end.
        """
        right = state.array("right", np.int32, None)
        nodes = len(right)
        trees = TreeArrays(
            right,
            state.array("feature", np.int32, nodes),
            state.array("threshold", np.float32, nodes),
            state.array("entries", np.int32, None),
            state.array("outputs", np.int32, None),
            state.array("values", np.float32, None),
        )
        sizes, prior = state.array("sizes", np.int32, None), state.array("prior", np.float64, None)
        forest = cls(trees, sizes, int(state.settings["width"]), prior, bool(state.settings["classes"]))
        if not forest.sound():
            raise ModelError("a tree of the saved model leads out of its arrays; save it again")
        return forest

    def sound(self) -> bool:
        """Whether every walk ends in a leaf that has its values."""
        trees, sizes = self.trees, self.sizes.astype(np.int64)
        if not len(sizes) or sizes.min() < 1 or sizes.sum() != len(trees.right):
            return False
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        place = np.arange(len(trees.right)) - starts
        inner = trees.right != 0
        ends = np.repeat(sizes, sizes)
        return bool(
            ((trees.right > place + 1) & (trees.right < ends) | ~inner).all()
            and ((trees.feature >= 0) & (trees.feature < self.width)).all()
            and len(trees.entries) == (~inner).sum()
            and (trees.entries >= 0).all()
            and len(trees.outputs) == len(trees.values) == trees.entries.sum(dtype=np.int64)
            and ((trees.outputs >= 0) & (trees.outputs < self.outputs)).all()
        )
