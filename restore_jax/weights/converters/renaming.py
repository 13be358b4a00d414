"""Parts that the tables of published names share: PyTorch's layouts, and rules that place a layer in our trees."""

import re
from collections.abc import Iterable

LEAVES = {"weight": "kernel", "bias": "bias"}  # PyTorch's names of a layer's arrays: ours


def by_rules(rules: Iterable[tuple[str, str]], name: str) -> str | None:
    """Our path of a published layer by the first (regular expression, path) that fits; its groups fill {0}, {1}, ..."""
    for pattern, path in rules:
        if match := re.fullmatch(pattern, name):
            return path.format(*match.groups())
    return None


def to_our_layout(name: str, array):
    """Kernels of PyTorch, OIHW, to HWIO; all else stays as it is. Every table has a function of this name."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
