"""The contract of a network: what it takes and gives, for verbs, video engines, exports, counts and trainings.

Every network of `restore_jax.models` has a property `interface`. Nothing outside of this folder asks a network what
class it is of or what attributes it has.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

WINDOW = 7  # frames of a window or clip, as the dissertation trains most networks on


@dataclass(frozen=True)
class Input:
    """An argument of a network's `__call__`: a batch of pictures, or of frames if the network takes several at once.

    Attributes:
      name: of the argument.
      multiple: its sides must be multiples of it, pixels.
      factor: how many times as large as the first input it is; training and streams take other sizes too.
      count: of arrays; more than one are given as a tuple.
    """

    name: str
    multiple: int = 1
    factor: int = 1
    count: int = 1


@dataclass(frozen=True)
class Interface:
    """The contract of one network with its options.

    Attributes:
      network: the name of its class, as people read it.
      inputs: what is restored first, then views or references.
      verb: of restore-jax that its weights are for: "deblur", "defocus" or "vsr"; "" for a part of other networks.
      kind: "image": it takes single pictures (b, h, w, 3). "window": it takes frames (b, t, h, w, 3) and restores the
        middle one. "clip": it takes frames and restores all of them.
      output: the output that it is for, among those that `__call__` returns; "" if there is no such one.
      scale: how many times as large as the first input the output is.
      views: the inputs that are views of a dual-pixel camera.
      references: cameras with a longer lens whose frames it takes: of "wide", which sees half of the view, and "tele".
      reference_scale: pixels of the reference for one of the frame, on the same object.
      window: frames that it takes at once, unless the card of its weights says otherwise; 1 for single pictures.
      any_window: whether it takes another number of frames than `window`.
      period: for a clip, every how many frames the same is computed again.
      engine: of `restore_jax.video.engines`, which restores videos with it; "" if there is none.
      any_size: whether it can be exported without knowing sizes. Networks cannot that resize by weights computed
        beforehand, or match in blocks.
    """

    network: str
    inputs: tuple[Input, ...]
    verb: str = ""
    kind: Literal["image", "window", "clip"] = "image"
    output: str = "image"
    scale: int = 1
    views: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    reference_scale: float = 2.0
    window: int = 1
    any_window: bool = True
    period: int = 1
    engine: str = ""
    any_size: bool = False

    @property
    def multiple(self) -> int:
        """The number that both sides of the first input must be multiples of, so that all inputs fit."""
        return math.lcm(*(each.multiple // math.gcd(each.multiple, each.factor) for each in self.inputs))

    def shapes(self, height: Any, width: Any, frames: int | None = None, batch: Any = 1) -> dict[str, Any]:
        """Return {name: shape} of float32 inputs, of which the first has height x width pixels.

        height, width, batch: numbers, or dimensions of `jax.export`. frames: instead of `window`, if the network takes
        any number.
        """
        count = frames if frames and self.any_window else self.window
        before = (batch,) if self.kind == "image" else (batch, count)

        def shape(each):
            sides = each.factor * height, each.factor * width
            return jax.ShapeDtypeStruct((*before, *sides, 3), jnp.float32)

        return {
            each.name: shape(each) if each.count == 1 else tuple(shape(each) for _ in range(each.count))
            for each in self.inputs
        }


def pictures(name: str, multiple: int = 1, views: tuple[str, ...] = ()) -> tuple[Input, ...]:
    """Return the inputs of a network that takes pictures of one size: the picture, then `views` of it."""
    return tuple(Input(each, multiple) for each in (name, *views))


def result(model: nn.Module, variables: Any, inputs: dict[str, Any]) -> jax.Array:
    """Apply a network to inputs by name; returns the output that it is for."""
    outputs = model.apply(variables, **inputs)
    return outputs[model.interface.output] if isinstance(outputs, dict) else outputs


def computing_in(model: nn.Module, dtype: str) -> nn.Module:
    """Return the network with its computation in `dtype`, "float32" or "bfloat16", if it leaves that open."""
    leaves_open = "dtype" in (field.name for field in fields(model))
    return model.clone(dtype=jnp.dtype(dtype)) if leaves_open else model
