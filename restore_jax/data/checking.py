"""Training files, looked at before a run begins, so that none of them stops it hours later.

Only headers are read, because decoding everything would take long. They show what kind a file is, its size and depth.
They do not show damage behind the header: a JPEG that ends in the middle of its pixels passes, and is refused when its
turn comes. What is left after bad files are skipped depends on the files alone, not on time or threads.
"""

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from restore_jax.errors import InputError

Example, Found = TypeVar("Example"), TypeVar("Found")

_THREADS = 16  # they wait for disks more than they compute
_MOST_NAMED = 5  # examples in one line


def look(
    examples: Sequence[Example], check: Callable[[Example], Found], say: Callable[[str], None]
) -> list[Found | InputError]:
    """Return for each example what `check` returns, or the InputError that it raises, by many threads at once.

    say: takes a line on the progress after 1 second, then 2, 4, 8, ...
    """

    def attempt(example):
        try:
            return check(example)
        except InputError as error:
            return error

    began, due, found = time.monotonic(), 1.0, []
    # The filters of warnings belong to all threads: they are set once, around them.
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter("ignore")
        with contextlib.closing(pool.map(attempt, examples)) as results:  # closed: what has not begun is dropped
            for result in results:
                found.append(result)
                if time.monotonic() - began >= due:
                    say(f"checking the data: {len(found)} of {len(examples)} examples")
                    due *= 2
    return found


def without_bad(
    examples: Sequence[Example], found: Sequence[Found | InputError], skip_bad: bool, say: Callable[[str], None]
) -> list[tuple[Example, Found]]:
    """Return the examples that `look` found good, in their order, each with what was found.

    If some are bad: with skip_bad `say` takes a line that counts and names them; without, or if all are bad, InputError
    does.
    """
    bad = [str(result) for result in found if isinstance(result, InputError)]
    named = "; ".join(bad[:_MOST_NAMED]) + f"; and {len(bad) - _MOST_NAMED} more" * (len(bad) > _MOST_NAMED)
    count = f"{len(bad)} of {len(examples)} examples"
    if bad and len(bad) == len(examples):
        raise InputError(f"no example can be used: {named}")
    if bad and not skip_bad:
        raise InputError(f"{count} cannot be used (--skip-bad leaves them out): {named}")
    if bad:
        say(f"{count} left out: {named}")
    return [pair for pair in zip(examples, found, strict=True) if not isinstance(pair[1], InputError)]
