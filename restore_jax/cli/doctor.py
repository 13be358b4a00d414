"""restore-jax doctor says what this machine has, and checks the weights."""

import sys

EXAMPLES = "restore-jax doctor"


def add_arguments(parser) -> None:
    """Add nothing: the verb has no arguments."""


def run(args) -> int:
    """Print the lines; 1 if a device or weights are not sound."""
    from restore_jax.doctor import examine

    if examine():
        return 0
    print("restore-jax: doctor: something above is not sound", file=sys.stderr)
    return 1
