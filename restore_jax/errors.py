"""The one exception a person's input can cause. The command line prints its single line and exits with 2."""


class InputError(ValueError):
    """Bad input or usage. The message is one line that names the file (or argument) and the reason."""
