"""Networks by name and options, and the shapes of their parameters."""

from restore_jax.errors import InputError
from restore_jax.models import create, variable_shapes


def network(name: str, options: dict):
    """(network, shapes of its variables). Raises InputError if there is none of that name with such options."""
    try:
        return create(name, **options), parameter_shapes(name, options)
    except ValueError as error:  # ours says what is wrong
        raise InputError(" ".join(str(error).split())) from error
    except Exception as error:  # of whatever an option is used for
        said = " ".join(str(error).split())
        raise InputError(f"{name} cannot be built with options {options} ({type(error).__name__}: {said})") from error


def parameter_shapes(name: str, options: dict) -> dict:
    """Shapes of the variables of the network `create(name, **options)`; nothing is computed."""
    return variable_shapes(create(name, **options))
