"""Engines, which restore the frames of a stream: networks taken apart so that nothing is computed twice.

An engine prepares each frame once, and restores a frame from its own and its neighbours' prepared parts:

    prepare(frame, reference, before): returns the prepared part of a frame (h, w, 3); `before` is that of the frame
    before prepare_again(before): does so for a frame and reference equal to those before, if the engine
    `prepares_again` step(prepared, state, at, count): returns [(image, state), ...] of `count` frames, from number `at`
    in the list
        `prepared`; `state` came with the frame before, None at a clip's beginning. Images are (s·h, s·w, 3) float32 in
        [0, 1].

A network's `interface` names its engine, one of `ENGINES`.
"""

import itertools
import os
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from restore_jax import models
from restore_jax.cache import enable_compilation_cache
from restore_jax.errors import InputError
from restore_jax.models.interface import computing_in
from restore_jax.weights import registry


class Engine:
    """The methods and fields that all engines have.

    Attributes:
      name: of the weights.
      scale: how many times as large as the frames the images are.
      multiple: the sides of frames and references must be multiples of it.
      references: cameras whose frames `prepare` is given, as of `Interface`: a pair of frames if there are two.
      matched_scale: pixels of the reference for one of the frame, on the same object.
      behind, stride, ahead: `step` restores `stride` frames, and sees so many before and after; fewer at a clip's ends.
      repeats: how often a clip's first frame is repeated before it, and its last one after it.
      prepares_again: whether `prepare_again` saves time.
    """

    name: str = ""
    scale: int = 4
    multiple: int = 1
    references: tuple[str, ...] = ()
    matched_scale: float = 2.0
    behind, stride, ahead, repeats = 0, 1, 0, 0
    prepares_again: bool = False

    def __init__(self, weights: registry.Restorer, dtype: str = "float32"):
        enable_compilation_cache()
        interface = weights.model.interface
        self.model = computing_in(weights.model, dtype)
        self.name, self.params = weights.name, jax.device_put(weights.params)
        self.scale, self.multiple = interface.scale, max(each.multiple for each in interface.inputs)
        self.references, self.matched_scale = interface.references, interface.reference_scale

    @property
    def takes_reference(self) -> bool:
        """Whether `prepare` is given references."""
        return bool(self.references)

    def prepare(self, frame, reference, before):
        """Keep the frame as it is, or the frame and its reference if the engine takes one."""
        return (frame, reference) if self.takes_reference else frame

    def prepare_again(self, before):
        """Keep the same once more."""
        raise NotImplementedError

    def step(self, prepared, state, at: int, count: int) -> list:
        """Restore frames."""
        raise NotImplementedError

    def confidence(self, prepared):
        """Return the confidence (1, h, w, n) of matching in what `prepare` gave, None if nothing is matched there."""
        return None


class Bicubic(Engine):
    """Enlarges each frame by itself, by cubic interpolation (a = -0.75); needs no weights and no reference."""

    name = "bicubic"

    def __init__(self, scale: int = 4):
        self.scale = scale

    def step(self, prepared, state, at, count):
        """Return [(image, None), ...]."""
        return [(self._enlarged(frame), None) for frame in itertools.islice(prepared, at, at + count)]

    def _enlarged(self, frame):
        size = (self.scale * frame.shape[1], self.scale * frame.shape[0])
        return np.clip(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), 0, 1)


class Cells(Engine):
    """RefVSR: two recurrent cells walk through a window from both ends, and its middle is restored."""

    prepares_again = True

    def __init__(self, weights: registry.Restorer, dtype: str = "float32"):
        super().__init__(weights, dtype)
        model = self.model
        self.behind = self.ahead = self.repeats = window(weights) // 2
        self.bidirectional = model.bidirectional
        self._prepare, self._flow = _part(model, "prepare"), _part(model, "flow")
        self._first = _part(model, "propagate", direction="forward", carried=False)
        self._onward = _part(model, "propagate", direction="forward", carried=True)
        self._backward = _part(model, "propagate", direction="backward")
        self._reconstruct = _part(model, "reconstruct")
        self._initial, self._no_flow = model.initial_state, model.initial_flow

    def prepare(self, frame, reference, before):
        """Compute features of a frame and its reference, and flows from and to the frame before."""
        if len(self.references) == 2 and not isinstance(reference, tuple):
            raise InputError(f"weights {self.name}: need two reference videos, of a wide and of a telephoto camera")
        inputs = jax.tree.map(lambda x: jnp.asarray(x)[None], (frame, reference))
        return self._with_flows(self._prepare(self.params, *inputs), before)

    def prepare_again(self, before):
        """Reuse the features, and compute flows between the frame and itself, which are not quite zero."""
        return self._with_flows(before[0], before)

    def confidence(self, prepared):
        """Return the confidence (1, h, w, n) of matching a frame's references."""
        return prepared[0].get("confidence")

    def _with_flows(self, prepared, before):
        if before is None:
            return prepared, None, None
        pair = prepared["frame"], before[0]["frame"]
        return prepared, self._flow(self.params, *pair), self._flow(self.params, *pair[::-1])

    def step(self, prepared, state, at, count):
        """Return [(image, state)] of the window's centre `at`; `count` is 1."""
        height, width = prepared[at][0]["frame"].shape[1:3]
        no_flow = self._no_flow(1, height, width)
        initial = self._initial(1, height, width)
        if state is None:
            state = initial
            for frame, flow, _ in itertools.islice(prepared, at + 1):
                state = self._first(self.params, state, frame, no_flow if state is initial else flow)
        else:
            frame, flow, _ = prepared[at]
            state = self._onward(self.params, state, frame, flow)
        backward = None
        if self.bidirectional:
            backward, flow = initial, no_flow
            for i in range(len(prepared) - 1, at - 1, -1):
                frame, _, following = prepared[i]
                backward = self._backward(self.params, backward, frame, flow)
                flow = following
        image = _image(self._reconstruct(self.params, prepared[at][0], state, backward))
        for i in range(at + 1):  # the state stands for them now: most of the memory is theirs
            prepared[i] = None
        return [(image, state)]


class Windows(Engine):
    """RefVSR-IR on whole windows: its directions see each other, so that windows can share little."""

    def __init__(self, weights: registry.Restorer, dtype: str = "float32"):
        super().__init__(weights, dtype)
        self.behind = self.ahead = self.repeats = window(weights) // 2
        self._restored = jax.jit(self.model.apply)

    def step(self, prepared, state, at, count):
        """Return [(image, state)] of the window's centre `at`; `count` is 1."""
        lrs, refs = (np.stack(frames)[None] for frames in zip(*prepared, strict=True))
        outputs = self._restored(self.params, lrs, refs, state)
        return [(_image(outputs["image"]), outputs["state"])]


class Chunks(Engine):
    """BasicVSR, with or without memory, on chunks of frames with frames after them for going backward.

    The forward direction is that of the whole clip, as its state is carried. The backward one begins `ahead` frames
    behind a chunk in place of the clip's end, or at the end if that is nearer.
    """

    behind, stride, ahead, repeats = 0, 16, 28, 0  # seams below 1/255 on two held-out clips

    def __init__(self, weights: registry.Restorer, dtype: str = "float32"):
        super().__init__(weights, dtype)
        model = self.model
        self._initial = model.initial_state
        self._flow, self._reconstruct = _part(model, "flow"), _part(model, "reconstruct")
        self._forward, self._backward = _part(model, "propagate"), _part(model, "propagate", direction="backward")

    def prepare(self, frame, reference, before):
        """Return (frame, flow to the frame before, flow from it)."""
        frame = jnp.asarray(frame)[None]
        if before is None:
            return frame, None, None
        return frame, self._flow(self.params, frame, before[0]), self._flow(self.params, before[0], frame)

    def step(self, prepared, state, at, count):
        """Return [(image, {features, frame}), ...]; `at` is 0."""
        height, width = prepared[0][0].shape[1:3]
        no_flow = jnp.zeros((1, height, width, 2))
        features, flow, backward = self._initial(1, height, width), no_flow, {}
        for i in range(len(prepared) - 1, -1, -1):
            frame, _, following = prepared[i]
            features = self._backward(self.params, features, frame, flow)
            flow = following
            if i < count:
                backward[i] = features
        results, state = [], state or {"features": self._initial(1, height, width), "frame": None}
        for i, (frame, flow, _) in enumerate(itertools.islice(prepared, count)):
            if flow is None:  # the first of those that came in: of the clip, or after a stop
                known = state["frame"] is not None
                flow = self._flow(self.params, frame, jnp.asarray(state["frame"])) if known else no_flow
            features = self._forward(self.params, state["features"], frame, flow)
            state = {"features": features, "frame": frame}
            results.append((_image(self._reconstruct(self.params, backward.pop(i), features, frame)), state))
        return results


class Clips(Engine):
    """A network that takes a few frames at once and carries no state.

    EDVR's windows have one result. IconVSR's clips overlap, and their strides keep the grid of keyframes.
    """

    def __init__(self, weights: registry.Restorer, dtype: str = "float32"):
        super().__init__(weights, dtype)
        model, interface = self.model, weights.model.interface
        if interface.kind == "window":
            self.behind = self.ahead = self.repeats = window(weights) // 2
        else:
            self.behind = self.ahead = 2 * interface.period
            self.stride = 4 * interface.period
        self._restored = jax.jit(lambda params, frames: model.apply(params, frames)["image"])

    def step(self, prepared, state, at, count):
        """Return [(image, None), ...]."""
        images = self._restored(self.params, np.stack(prepared)[None])
        if images.ndim == 4:
            return [(_image(images), None)]
        return [(_image(images[:, i]), None) for i in range(at, at + count)]


class Stills(Engine):
    """Each frame by itself (SRCNN, SRResNet, RCAN), or with its reference (TTSR, DCSR)."""

    def __init__(self, weights: registry.Restorer, dtype: str = "float32"):
        super().__init__(weights, dtype)
        model = self.model
        self._restored = jax.jit(lambda params, *images: model.apply(params, *images)["image"])

    def prepare(self, frame, reference, before):
        """Return (frame,), or (frame, reference) for a network that takes one, as they are."""
        return (frame, reference) if self.takes_reference else (frame,)

    def step(self, prepared, state, at, count):
        """Return [(image, None)]; `count` is 1."""
        return [(_image(self._restored(self.params, *(image[None] for image in prepared[at]))), None)]


ENGINES = {"cells": Cells, "windows": Windows, "chunks": Chunks, "clips": Clips, "stills": Stills}


def window(weights: registry.Restorer) -> int:
    """Return how many frames a network takes at once: what its weights' card says, if it takes any number."""
    interface = weights.model.interface
    return int(weights.card.get("window", interface.window)) if interface.any_window else interface.window


def _part(model, method: str, **options):
    """Jit one of a network's methods as a function (params, *inputs)."""
    return jax.jit(lambda params, *inputs: model.apply(params, *inputs, **options, method=method))


def _image(batch) -> np.ndarray:
    """Return the only image of a batch, clipped. Raises FloatingPointError if it is not finite."""
    image = np.asarray(batch, np.float32)[0]
    if not np.isfinite(image).all():
        raise FloatingPointError("the network's output is not finite: are the weights sound?")
    return np.clip(image, 0, 1)


def engine(weights: Any = None, referenced: bool = True, dtype: str = "float32", scale: int = 4) -> Engine:
    """Return the engine for weights by name or path, or for what `load` returned; None stands for the best there is.

    `referenced`: whether there is a reference video. InputError for weights of another kind of network or scale.
    """
    if weights is None:
        try:
            weights = registry.load("refvsr" if referenced else "basicvsr")
        except InputError:  # none ship
            return Bicubic(scale)
        if weights.model.interface.scale != scale:
            return Bicubic(scale)
    if isinstance(weights, (str, os.PathLike)):
        if weights == Bicubic.name:
            return Bicubic(scale)
        weights = registry.load(weights)
    interface = weights.model.interface
    if not interface.engine:
        taken = ", ".join(models.serving("vsr"))
        raise InputError(f"weights {weights.name}: of a network for something else; vsr takes {taken} or bicubic")
    if interface.references and not referenced:
        raise InputError(f"weights {weights.name}: need a reference video, --ref")
    if interface.scale != scale:
        raise InputError(f"weights {weights.name}: enlarge {interface.scale} times, not {scale}")
    return ENGINES[interface.engine](weights, dtype)
