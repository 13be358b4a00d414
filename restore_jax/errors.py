"""The one exception a person's input can cause. The command line prints its single line and exits with 2."""


class InputError(ValueError):
    """Bad input or usage. The message is one line that names the file (or argument) and the reason."""


def install_line(extra: str) -> str:
    """Name the command that installs an extra of this package, from its source: no package index has it."""
    return f"pip install '.[{extra}]' in the source folder of restore-jax"
