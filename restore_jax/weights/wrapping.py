"""The weights of one network among the names of a checkpoint, whatever its trainer wrapped around them.

Trainers keep weights in dictionaries inside dictionaries ("state_dict", "params_ema") and put prefixes before their
names ("module.", "generator."). Joined by dots, both are prefixes, and the right one is that whose names the network
needs.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_EMA = re.compile(r"(?:^|[._/])(?:ema|swa|avg|averaged?)(?:[._/]|$)", re.IGNORECASE)  # a name for averaged weights
_MOST_NAMED = 6  # groups of parameters that a message lists


@dataclass(frozen=True)
class Weights:
    """The weights of one network in a checkpoint.

    names: {name in the checkpoint: published name, without the prefix}.
    prefix: what stands before each of these names in the checkpoint; "" for none.
    left_out: {place in the checkpoint: number of arrays} of everything else there.
    """

    names: dict[str, str]
    prefix: str
    left_out: dict[str, int]

    def note(self, ema: bool = False) -> str:
        """One line about what was taken and what was left out; "" where nothing was left out.

        ema: whether averaged weights were asked for.
        """
        averaged = is_averaged(self.prefix)
        missed = " (it holds no averaged weights of this network)" if ema and not averaged else ""
        if not self.left_out:
            return f"took the only weights there are{missed}" if missed else ""
        hint = " (--ema takes the average)" if not averaged and any(map(is_averaged, self.left_out)) else ""
        place = self.prefix.rstrip("./") or "the names without a prefix"
        return f"took {len(self.names)} arrays: {place}{missed}; left out: {_listed(self.left_out)}{hint}"


def find(names: Iterable[str], needed: Callable[[str], str | None], ema: bool = False) -> Weights | None:
    """Find the weights of a network among the names of a checkpoint.

    Args:
      names: of all arrays in the checkpoint, prefixes included.
      needed: takes a published name; returns the parameter of the network that it stands for, or None.
      ema: prefer weights averaged over the training, where both kinds are there.
    Returns the weights under the prefix that gives the network most of its parameters; None if no prefix gives any.
    """
    names = list(names)
    given: dict[str, set[str]] = {}
    for name in names:
        for start in (0, *(match.end() for match in re.finditer(r"[./]", name))):
            if parameter := needed(name[start:]):
                given.setdefault(name[:start], set()).add(parameter)
    if not given:
        return None
    prefix = max(given, key=lambda prefix: (len(given[prefix]), is_averaged(prefix) == ema, len(prefix)))
    taken = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    return Weights(taken, prefix, groups((name for name in names if name not in taken), prefix))


def groups(names: Iterable[str], beside: str = "") -> dict[str, int]:
    """Count names by the first of their parts in which they differ from the prefix `beside`."""

    def place(name):
        parts, others = re.split(r"[./]", name), re.split(r"[./]", beside)
        common = next((n for n, pair in enumerate(zip(parts, others, strict=False)) if pair[0] != pair[1]), len(others))
        return ".".join(parts[: common + 1])

    return dict(Counter(map(place, names)))


def contents(names: Iterable[str]) -> str:
    """Describe a checkpoint in a few words: how many arrays lie where, and the name of the first."""
    names = list(names)
    if not names:
        return "no arrays"
    return f"{_listed(groups(names))}; the first is {names[0]!r}"


def is_averaged(prefix: str) -> bool:
    """Say whether a prefix marks weights that are averaged over the training."""
    return bool(_EMA.search(prefix))


def _listed(counts: dict[str, int]) -> str:
    listed = [f"{place} ({count} array{'s' if count > 1 else ''})" for place, count in counts.items()]
    more = f" and {len(listed) - _MOST_NAMED} places more" if len(listed) > _MOST_NAMED else ""
    return ", ".join(listed[:_MOST_NAMED]) + more
