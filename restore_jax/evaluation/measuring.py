"""Measuring methods on data: the one loop over photographs or clips, which asks the journal before it computes."""

import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from restore_jax.errors import InputError
from restore_jax.evaluation.rows import Filled, Options, Outcome, mean
from restore_jax.version import __version__
from restore_jax.weights import registry


@dataclass(frozen=True)
class Item:
    """A photograph or clip to measure.

    key: the strings by which the journal knows its scores; the version is added. text: a line that is printed before it
    is computed. compute: returns its scores, and writes its picture. picture: the file, or None.
    """

    key: Sequence[str]
    text: str
    compute: Callable[[], dict]
    picture: pathlib.Path | None = None


def scores_of(items: Iterable[Item], options: Options) -> list[dict]:
    """Return the scores of every item, computed unless the journal holds them and their picture is there."""
    scores = []
    for item in items:
        key = (*item.key, __version__)
        known = options.journal.get(key)
        if known is None or (item.picture and not item.picture.exists()):
            options.say(item.text)
            known = item.compute()
            options.journal.add(key, known)
        scores.append(known)
    return scores


def means(scores: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return {column: mean} of scores that have the same columns."""
    return {column: mean(found[column] for found in scores) for column in scores[0]}


def open_weights(name: str | None, verb: str = "") -> tuple[registry.Restorer | None, str, str]:
    """Return (restorer, sha256, the name on its card) of weights; (None, "", "-") for None. Raises InputError.

    verb: of `restore-jax`, for which the weights must be.
    """
    if name is None:
        return None, "", "-"
    sha = registry.verify(name)
    return registry.load(name, verb), sha, registry.card(name)["name"]


def compared(methods: Sequence[str], known: Sequence[str], measure: Callable[[str], Outcome]) -> list[Filled]:
    """Measure each method, a row each. Raises InputError if one of them is not `known`."""
    for method in methods:
        if method not in known:
            raise InputError(f"--method {method}: is not one of {', '.join(known)}")
    return [Filled(method, {}, measure(method)) for method in methods]
