"""Trees with leaves as plain values of JSON, as far as their constants and choices are such, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution

from autometa.errors import InputError
from autometa.integrations.ray_domains import Leaf, is_searched


def as_data(node: Any) -> dict[str, Any]:
    """A tree as plain values; of what JSON does not know only the kind."""
    match node:
        case Leaf():
            choices = [as_data(choice) for choice in node.choices]
            when = None if node.when is None else [node.when[0], list(node.when[1])]
            return {"leaf": [node.name, distribution_to_json(node.distribution), node.step, choices, when]}
        case dict() if is_searched(node):
            return {"dict": [[k, as_data(v)] for k, v in node.items()]}
        case list() | tuple() if is_searched(node):
            return {type(node).__name__: [as_data(v) for v in node]}
    try:
        if json.loads(json.dumps(node)) == node:
            return {"is": node}
    except (TypeError, ValueError):
        pass
    return {"kind": type(node).__qualname__}


def from_data(data: Mapping[str, Any]) -> Any:
    """The tree again.

    Raises:
        InputError: it held something else than plain values.
    """
    ((kind, content),) = data.items()
    match kind:
        case "leaf":
            name, distribution, step, choices, when = content
            return Leaf(
                name,
                json_to_distribution(distribution),
                step,
                tuple(from_data(choice) for choice in choices),
                None if when is None else (when[0], tuple(when[1])),
            )
        case "dict":
            return {k: from_data(v) for k, v in content}
        case "list":
            return [from_data(v) for v in content]
        case "tuple":
            return tuple(from_data(v) for v in content)
        case "is":
            return content
        case _:
            raise InputError(
                f"only plain values are saved with a search; its space holds a {content}: "
                "give the same search space again (Tuner.restore has an argument param_space)"
            )
