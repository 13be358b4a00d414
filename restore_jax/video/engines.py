"""Engines, which restore the frames of a stream: networks taken apart so that nothing is computed twice.

An engine has
    name, scale
    multiple: its frames' sides must be multiples of it
    takes_reference: whether `prepare` is given references
    behind, stride, ahead: `step` restores `stride` frames and sees so many before and after; at a clip's ends fewer
    repeats: how often a clip's first frame is repeated before it, and its last one after it
    prepare(frame, reference, before): what is kept of a frame (h, w, 3); `before` is what it gave for the frame before
    prepare_again(before), if there is much to save: the same where the frame and its reference are those before
    step(prepared, state, at, count): [(image, state), ...] of `count` frames, number `at` and following of what
        `prepare` gave; `state` is what came with the frame before, None at a clip's beginning. Images are
        (s·h, s·w, 3) float32 in [0, 1].
"""

import itertools
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from restore_jax import weights as registry
from restore_jax.cache import enable_compilation_cache
from restore_jax.errors import InputError

WINDOW = 7  # frames, for weights of windows or clips whose card does not say
SCALE = 4  # of the networks without references


class Bicubic:
    """Enlarges each frame by itself, by cubic interpolation (a = -0.75); needs no weights and no reference."""

    name = "bicubic"
    multiple, takes_reference = 1, False
    behind, stride, ahead, repeats = 0, 1, 0, 0

    def __init__(self, scale: int = 4):
        self.scale = scale

    def prepare(self, frame, reference, before):
        """Return a frame (h, w, 3) as it is."""
        return frame

    def step(self, prepared, state, at, count):
        """Return [(image, None), ...]."""
        return [(self._enlarged(frame), None) for frame in itertools.islice(prepared, at, at + count)]

    def _enlarged(self, frame):
        size = (self.scale * frame.shape[1], self.scale * frame.shape[0])
        return np.clip(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), 0, 1)


class RefVSR:
    """A RefVSR network with its weights (a `restore_jax.weights.Restorer`); restores the middle of a window."""

    takes_reference, stride = True, 1

    def __init__(self, weights, dtype: str = "float32"):
        enable_compilation_cache()
        model = weights.model.clone(dtype=jnp.dtype(dtype))
        self.name, self.scale = weights.name, model.scale
        self.behind = self.ahead = self.repeats = int(weights.card.get("window", WINDOW)) // 2
        self.multiple = max(model.multiples)
        self.references = model.references  # "dual": `prepare` takes a pair (wide, tele)
        self.matched_scale = 4.0 if self.references == "tele" else 2.0
        self.params, self.bidirectional = jax.device_put(weights.params), model.bidirectional
        self._prepare, self._flow = _part(model, "prepare"), _part(model, "flow")
        self._first = _part(model, "propagate", direction="forward", carried=False)
        self._onward = _part(model, "propagate", direction="forward", carried=True)
        self._backward = _part(model, "propagate", direction="backward")
        self._reconstruct = _part(model, "reconstruct")
        self._initial, self._no_flow = model.initial_state, model.initial_flow

    def prepare(self, frame, reference, before):
        """Compute features of a frame and its reference, and flows from and to the frame before."""
        if self.references == "dual" and not isinstance(reference, tuple):
            raise InputError(f"weights {self.name}: need two reference videos, of a wide and of a telephoto camera")
        inputs = jax.tree.map(lambda x: jnp.asarray(x)[None], (frame, reference))
        return self._with_flows(self._prepare(self.params, *inputs), before)

    def prepare_again(self, before):
        """Reuse the features, and compute flows between the frame and itself, which are not quite zero."""
        return self._with_flows(before[0], before)

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


class RefVSRRefill:
    """RefVSR-IR on whole windows: its directions see each other, so that windows can share little."""

    takes_reference, stride = True, 1

    def __init__(self, weights, dtype: str = "float32"):
        enable_compilation_cache()
        model = weights.model.clone(dtype=jnp.dtype(dtype))
        self.name, self.scale, self.references = weights.name, model.scale, model.references
        self.behind = self.ahead = self.repeats = int(weights.card.get("window", 2 * WINDOW - 1)) // 2
        self.multiple, self.matched_scale = (8 if model.mode == "hd" else 8 // model.scale), 2.0
        self.params, self._restored = jax.device_put(weights.params), jax.jit(model.apply)

    def prepare(self, frame, reference, before):
        """Return (frame, reference) as they are."""
        return frame, reference

    def step(self, prepared, state, at, count):
        """Return [(image, state)] of the window's centre `at`; `count` is 1."""
        lrs, refs = (np.stack(frames)[None] for frames in zip(*prepared, strict=True))
        outputs = self._restored(self.params, lrs, refs, state)
        return [(_image(outputs["image"]), outputs["state"])]


class BasicVSR:
    """A BasicVSR network, with or without memory, on chunks of frames with frames after them for going backward.

    The forward direction is that of the whole clip, as its state is carried. The backward one begins `ahead` frames
    behind a chunk in place of the clip's end, or at the end if that is nearer.
    """

    takes_reference, multiple = False, 1
    behind, stride, ahead, repeats = 0, 16, 28, 0  # seams below 1/255 on two held-out clips

    def __init__(self, weights, dtype: str = "float32"):
        enable_compilation_cache()
        model = weights.model.clone(dtype=jnp.dtype(dtype))
        self.name, self.scale = weights.name, SCALE
        self.params, self._initial = jax.device_put(weights.params), model.initial_state
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


class Clips:
    """A network that takes a few frames at once and carries no state.

    EDVR's windows have one result. IconVSR's clips overlap, and their strides keep the grid of keyframes.
    """

    takes_reference, multiple = False, 4

    def __init__(self, weights, dtype: str = "float32"):
        enable_compilation_cache()
        model = weights.model.clone(dtype=jnp.dtype(dtype))
        self.name, self.scale, self.params = weights.name, SCALE, jax.device_put(weights.params)
        if hasattr(model, "num_frames"):
            self.behind = self.ahead = self.repeats = model.num_frames // 2
            self.stride = 1
        else:
            self.behind = self.ahead = 2 * model.keyframe_stride
            self.stride, self.repeats = 4 * model.keyframe_stride, 0
        self._restored = jax.jit(lambda params, frames: model.apply(params, frames)["image"])

    def prepare(self, frame, reference, before):
        """Return a frame (h, w, 3) as it is."""
        return frame

    def step(self, prepared, state, at, count):
        """Return [(image, None), ...]."""
        images = self._restored(self.params, np.stack(prepared)[None])
        if images.ndim == 4:
            return [(_image(images), None)]
        return [(_image(images[:, i]), None) for i in range(at, at + count)]


class Stills:
    """A network that restores each frame by itself: SRCNN, SRResNet, RCAN."""

    takes_reference = False
    behind, stride, ahead, repeats = 0, 1, 0, 0

    def __init__(self, weights, dtype: str = "float32"):
        enable_compilation_cache()
        model = weights.model.clone(dtype=jnp.dtype(dtype))
        self.name, self.scale = weights.name, getattr(model, "scale", SCALE)
        self.params = jax.device_put(weights.params)
        fine = self.takes_reference and self.scale * (2 if getattr(model, "mode", "") == "hd" else 1)
        # References are as fine as the output, and are cut down to whole pixels of the input.
        self.multiple, self.matched_scale = fine or 1, float(self.scale)
        self._restored = jax.jit(lambda params, *images: model.apply(params, *images)["image"])

    def prepare(self, frame, reference, before):
        """Return (frame,), or (frame, reference) for a network that takes one, as they are."""
        return (frame, reference) if self.takes_reference else (frame,)

    def step(self, prepared, state, at, count):
        """Return [(image, None)]; `count` is 1."""
        return [(_image(self._restored(self.params, *(image[None] for image in prepared[at]))), None)]


class ReferencedStills(Stills):
    """A network that restores each frame with its reference: TTSR, DCSR."""

    takes_reference = True


def _part(model, method: str, **options):
    """Jit one of a network's methods as a function (params, *inputs)."""
    return jax.jit(lambda params, *inputs: model.apply(params, *inputs, **options, method=method))


def _image(batch) -> np.ndarray:
    """Return the only image of a batch, clipped. Raises FloatingPointError if it is not finite."""
    image = np.asarray(batch, np.float32)[0]
    if not np.isfinite(image).all():
        raise FloatingPointError("the network's output is not finite: are the weights sound?")
    return np.clip(image, 0, 1)


ENGINES = {
    **{"RefVSR": RefVSR, "RefVSRRefill": RefVSRRefill, "BasicVSR": BasicVSR, "EDVR": Clips, "IconVSR": Clips},
    **{"SRCNN": Stills, "SRResNet": Stills, "RCAN": Stills, "TTSR": ReferencedStills, "DCSR": ReferencedStills},
}


def engine(weights: Any = None, referenced: bool = True, dtype: str = "float32", scale: int = 4):
    """Return the engine for weights by name or path, or what `load` returned; None is the best that ships.

    `referenced`: whether there is a reference video. InputError for weights of another kind of network or scale.
    """
    if weights is None:
        try:
            weights = registry.load("refvsr" if referenced else "basicvsr")
        except InputError:  # none ship
            return Bicubic(scale)
        if getattr(weights.model, "scale", SCALE) != scale:
            return Bicubic(scale)
    if isinstance(weights, str) and weights == "bicubic":
        return Bicubic(scale)
    if not hasattr(weights, "model"):
        weights = registry.load(weights)
    kind = ENGINES.get(type(weights.model).__name__.removesuffix("WithMemory"))
    if kind is None:
        raise InputError(
            f"weights {weights.name}: of a network for something else; "
            "vsr takes refvsr, basicvsr, iconvsr, edvr, ttsr, dcsr, rcan, srresnet, srcnn or bicubic"
        )
    if kind.takes_reference and not referenced:
        raise InputError(f"weights {weights.name}: need a reference video, --ref")
    if (own := getattr(weights.model, "scale", SCALE)) != scale:
        raise InputError(f"weights {weights.name}: enlarge {own} times, not {scale}")
    return kind(weights, dtype)
