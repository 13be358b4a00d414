"""Counts the multiply-accumulates of a function in its jaxpr, without computing anything, for inputs of any size.

It counts convolutions and matrix products, as the dissertation's tables do. A tap that falls on the zero padding
counts; a zero that dilation puts between inputs does not. Elementwise products are not counted: those of IFAN's
adaptive filtering are below 0.1 % of the network. Code whose result is not used is not counted either, because XLA
drops it.
"""

import functools
import itertools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from restore_jax.models import variable_shapes
from restore_jax.models.interface import result

# Primitives that hold one jaxpr and run it once, on their own operands.
_CALLS = (
    *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
)


def macs(function, *arguments) -> int:
    """Count the multiply-accumulates of `function(*arguments)`, which must be jittable; 1 MAC is 2 operations.

    arguments: pytrees of arrays or `jax.ShapeDtypeStruct`. The body of a `scan` counts once an iteration, a `cond` as
    its most expensive branch. Raises NotImplementedError where the count is unknown: in a `while` or a custom kernel.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    return _count(jaxpr, [True] * len(jaxpr.outvars))[0]


def restoring_macs(model, height: int, width: int, frames: int = 7) -> int:
    """Count the multiply-accumulates of restoring one picture from inputs of height x width pixels.

    It takes any network of `models`. For a network of images that is an image, with its views if it is dual. For one
    with a reference, the reference is twice as fine and its frames have the input's size. For EDVR and RefVSR it is a
    window, of `frames` frames for RefVSR. For networks that restore a whole clip it is one frame of a long clip
    (IconVSR: the mean over the keyframes' stride). The flow network between frames is left out, as the dissertation
    leaves out its parameters. Sides that the network does not take are rounded up.
    """
    interface, variables = model.interface, variable_shapes(model)
    if interface.kind != "clip":
        return _restoring(model, variables, restoring_inputs(model, height, width, frames))
    clips = (restoring_inputs(model, height, width, n * interface.period + 1) for n in (2, 3))
    fewer, more = (_restoring(model, variables, clip) for clip in clips)
    return (more - fewer) // interface.period


def restoring_inputs(model, height: int, width: int, frames: int = 7) -> dict:
    """Return {name: shape} of what the network is applied to, its sides rounded up to what it takes.

    frames: of a clip or window, for networks that take any number.
    """
    multiple = model.interface.multiple
    return model.interface.shapes(*(-(-side // multiple) * multiple for side in (height, width)), frames)


def _restoring(model, variables, inputs) -> int:
    with nn.intercept_methods(_without_flow):
        return macs(functools.partial(result, model), variables, inputs)


def _without_flow(following, arguments, options, context):
    if context.module.name == "flow_network" and context.method_name == "__call__":
        return jnp.zeros((*arguments[0].shape[:-1], 2))
    return following(*arguments, **options)


def _count(jaxpr, wanted: list[bool]) -> tuple[int, list[bool]]:
    """Count the MACs behind the `wanted` outputs, and say which inputs they need."""
    live = {v for v, w in zip(jaxpr.outvars, wanted, strict=True) if w and not _is_literal(v)}
    total = 0
    for equation in reversed(jaxpr.eqns):
        used = [v in live for v in equation.outvars]
        if any(used):
            count, needed = _count_equation(equation, used)
            total += count
            live |= {v for v, n in zip(equation.invars, needed, strict=True) if n and not _is_literal(v)}
    return total, [v in live for v in jaxpr.invars]


def _count_equation(equation, used: list[bool]) -> tuple[int, list[bool]]:
    name, params = equation.primitive.name, equation.params
    everything = [True] * len(equation.invars)
    if name == "conv_general_dilated":
        return _convolution(equation), everything
    if name == "dot_general":
        contracted = params["dimension_numbers"][0][0]
        left, product = equation.invars[0].aval.shape, equation.outvars[0].aval.size
        return product * math.prod(left[axis] for axis in contracted), everything
    if name == "scan":
        return _scan(params, used)
    inner = list(_jaxprs(params))
    if name in _CALLS and len(inner) == 1:
        return _count(inner[0], used)
    counts = [_count(jaxpr, [True] * len(jaxpr.outvars))[0] for jaxpr in inner]
    if name != "cond" and any(counts):
        raise NotImplementedError(f"multiply-accumulates inside {name!r} cannot be counted from its jaxpr")
    return max(counts, default=0), everything


def _scan(params, used):
    body = params["jaxpr"].jaxpr
    if "ft_in" in params:  # JAX 0.12: (constants, carries, sequences)
        consts, carries, _ = (len(list(part)) for part in params["ft_in"].unpack())
    else:
        consts, carries = params["num_consts"], params["num_carry"]
    while True:  # a carry is used if its last value is used, or if the next iteration needs it
        count, needed = _count(body, used)
        again = [u or n for u, n in zip(used[:carries], needed[consts : consts + carries], strict=True)]
        if again == used[:carries]:
            return params["length"] * count, needed
        used = again + used[carries:]


def _convolution(equation) -> int:
    params, dims = equation.params, equation.params["dimension_numbers"]
    kernel, output = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
    count = output[dims.out_spec[0]] * output[dims.out_spec[1]] * kernel[dims.rhs_spec[1]]
    axes = zip(
        (output[axis] for axis in dims.out_spec[2:]),
        (kernel[axis] for axis in dims.rhs_spec[2:]),
        params["window_strides"],
        params["lhs_dilation"],
        params["rhs_dilation"],
        params["padding"],
        strict=True,
    )
    for positions, taps, stride, spread, holes, (before, _) in axes:
        hits = ((o * stride + t * holes - before) % spread == 0 for o in range(positions) for t in range(taps))
        count *= sum(hits)
    return count


def _jaxprs(params):
    """Yield all jaxprs among an equation's parameters, alone or in a sequence (the branches of `cond`)."""
    values = (value if isinstance(value, (tuple, list)) else (value,) for value in params.values())
    for value in itertools.chain.from_iterable(values):
        jaxpr = getattr(value, "jaxpr", value)
        if hasattr(jaxpr, "eqns"):
            yield jaxpr


def _is_literal(variable) -> bool:
    return hasattr(variable, "val")
