"""Networks by name and options, and the shapes of their parameters."""

from restore_jax.errors import InputError
from restore_jax.models import create, variable_shapes


def network(name: str, options: dict):
    """Build a network: (network, shapes of its variables). Raises InputError for an unknown name or option."""
    try:
        return create(name, **options), parameter_shapes(name, options)
    except ValueError as error:  # its message names the wrong option
        raise InputError(" ".join(str(error).split())) from error
    except Exception as error:  # raised wherever a wrong option is used
        said = " ".join(str(error).split())
        raise InputError(f"{name} cannot be built with options {options} ({type(error).__name__}: {said})") from error


def parameter_shapes(name: str, options: dict) -> dict:
    """Return the shapes of the variables of `create(name, **options)`; nothing is computed."""
    return variable_shapes(create(name, **options))
