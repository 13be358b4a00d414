"""The networks by name: `create(name, **options)` returns a Flax linen module."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # JAX and Flax are loaded when a network is made
    import flax.linen as nn
    import jax

__all__ = ["FILES", "NAMES", "create", "example_inputs", "initial_variables", "serves", "serving", "variable_shapes"]

_NETWORKS = {
    "ifan": ("ifan", "IFAN"),
    "dmenet": ("dmenet", "DMENet"),
    "vgg19": ("vgg", "VGG19"),
    "spynet": ("spynet", "SPyNet"),
    "refvsr": ("refvsr", "RefVSR"),
    "edvr": ("edvr", "EDVR"),
    "basicvsr": ("basicvsr", "BasicVSR"),
    "iconvsr": ("iconvsr", "IconVSR"),
    "srcnn": ("srcnn", "SRCNN"),
    "srresnet": ("srresnet", "SRResNet"),
    "rcan": ("rcan", "RCAN"),
    "ttsr": ("ttsr", "TTSR"),
    "dcsr": ("dcsr", "DCSR"),
    "dpdnet": ("dpdnet", "DPDNet"),
}

NAMES = tuple(_NETWORKS)
FILES = {name: file for name, (file, _) in _NETWORKS.items()}  # its file here, and its converter's in weights/


def create(name: str, **options: Any) -> "nn.Module":
    """Create the network `name` as a `flax.linen.Module`; options are its fields (see the class).

    Raises ValueError for an unknown name or option.
    """
    if name not in _NETWORKS:
        raise ValueError(f"no network {name!r}; known: {', '.join(NAMES)}")
    refill = name == "refvsr" and options.get("refill")  # a class of its own
    file, attribute = ("refvsr_refill", "RefVSRRefill") if refill else _NETWORKS[name]
    network = getattr(importlib.import_module(f"{__name__}.{file}"), attribute)
    if options.get("memory") and hasattr(network, "fused"):  # chapter VI's plug-in
        from flax.core import FrozenDict

        from restore_jax.models.memory import with_memory

        network, options["memory"] = with_memory(network), FrozenDict(options["memory"])
    known = [f for f in network.__dataclass_fields__ if f not in ("parent", "name")]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known)}")
    return network(**options)


def serves(name: str, verb: str) -> bool:
    """Say whether a verb of restore-jax takes the network `name`."""
    return name in NAMES and create(name).interface.verb == verb


def serving(verb: str) -> tuple[str, ...]:
    """Return the names of the networks that a verb of restore-jax takes."""
    return tuple(name for name in NAMES if serves(name, verb))


def example_inputs(model: "nn.Module") -> dict[str, Any]:
    """Return {name: shape} of small inputs that a network's `init` may be called with."""
    return model.interface.shapes(16, 16, 3)


def initial_variables(model: "nn.Module", key: "jax.Array") -> dict[str, Any]:
    """Return fresh variables of a network, {"params": ...} and the like."""
    import jax
    import jax.numpy as jnp

    inputs = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), example_inputs(model))
    return jax.jit(lambda key: model.init(key, **inputs))(key)


def variable_shapes(model: "nn.Module") -> dict[str, Any]:
    """Return the shapes of a network's variables, {"params": ...} and the like; nothing is computed."""
    import jax

    return jax.eval_shape(model.init, jax.random.key(0), **example_inputs(model))


def __dir__() -> list[str]:
    return __all__
