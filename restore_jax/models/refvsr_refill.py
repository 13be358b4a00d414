"""RefVSR-IR: RefVSR with IconVSR's refill of propagated features at keyframes and its coupled directions.

Source: docs/networks.md 4, "RefVSR-IR"; dissertation Table 5.1.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from restore_jax.models.edvr import Extractor
from restore_jax.models.iconvsr import REACH, extend_ends, pad_sides
from restore_jax.models.interface import WINDOW, Interface
from restore_jax.models.layers import conv
from restore_jax.models.refvsr import RefVSR
from restore_jax.models.vsr_layers import each_frame, reverse, scan_frames

EXTRACTOR_WIDTH = 64  # channels, for networks of any width


class RefVSRRefill(RefVSR):
    """RefVSR whose features are refilled at keyframes; `create("refvsr", refill=True, ...)`.

    Attributes: those of RefVSR (published: mid_channels 36, num_blocks 30, windows of 13 frames), and
      keyframe_stride: a clip's frames 0, stride, 2 stride, ... are keyframes, and a window's last one.

    `apply(params, lrs, refs, state=None, train=False)` as of RefVSR, and in the returned dict besides:
      state: of the forward cell at this window's first frame, that `frame`, from which the next window goes on, and
        `shift` (), how far the next window's first frame is behind a keyframe.
      confidence, index: for all frames of the window, also with a `state`. flow_forward: from frame i + 1 to i, up to
        the centre; flow_backward: from i to i + 1, of the whole window.
      offset (b, n, 5): mean absolute offset, pixels, of the extractor's alignments at n places, all keyframes.
    """

    refill: bool = True
    keyframe_stride: int = 5

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives: whole windows, whose directions see each other."""
        return replace(super().interface, network="RefVSRRefill", window=2 * WINDOW - 1, engine="windows")

    def setup(self):
        if not self.bidirectional:
            raise ValueError("refvsr: refill=True needs both directions")
        super().setup()
        self.extractor = Extractor(EXTRACTOR_WIDTH, 2 * REACH + 1, dtype=self.dtype, remat=self.remat)
        self.backward_refill = conv(self.mid_channels, None, dtype=self.dtype)
        self.forward_refill = conv(self.mid_channels, None, dtype=self.dtype)

    def __call__(
        self,
        lrs: Float[Array, "b t h w 3"],
        refs: Float[Array, "b t hr wr 3"],
        state: dict | None = None,
        train: bool = False,
    ) -> dict[str, Any]:
        self.check_inputs(lrs, refs)
        centre = lrs.shape[1] // 2
        nothing = self.initial_state(lrs.shape[0], *lrs.shape[2:4])
        shift = jnp.zeros((), jnp.int32) if state is None else state["shift"]
        prepared = self._each(lambda self, frames: self.prepare(*frames), (lrs, refs))
        outputs = {name: prepared[name] for name in ("confidence", "index") if name in prepared}

        pairs = (
            jnp.concatenate([lrs[:, 1 : centre + 1], lrs[:, :-1]], 1),
            jnp.concatenate([lrs[:, :centre], lrs[:, 1:]], 1),
        )
        flow = self._each(lambda self, pair: self.flow(*pair), pairs)
        outputs["flow_forward"] = jax.tree.map(lambda x: x[:, :centre], flow)
        outputs["flow_backward"] = jax.tree.map(lambda x: x[:, centre:], flow)
        refills, marks, outputs["offset"] = self.refills(lrs, shift)

        def back(self, carry, seen, refills):
            state, at_centre = carry
            frame, flow, mark, is_centre = seen
            state = self.propagate(state, self.marked(frame, mark, refills), flow, "backward")
            return (state, chosen(is_centre, state, at_centre)), state["features"]

        def forth(self, carry, seen, refills):
            state, at_first = carry
            frame, flow, mark, is_first, backward = seen
            state = self.propagate(state, self.marked(frame, mark, refills) | {"backward": backward}, flow)
            return (state, chosen(is_first, state, at_first)), None

        def number(n, count):
            return jnp.asarray(np.arange(count) == n)[None]

        none = self.initial_flow(lrs.shape[0], *lrs.shape[2:4])
        seen = (prepared, joined(outputs["flow_backward"], single(none)), marks, number(centre, lrs.shape[1]))
        (_, backward), features = scan_frames(self, back, (nothing, nothing), reverse(seen), refills, self.remat)

        # The clip's earlier frames are known by the state at the frame before this window.
        before = nothing if state is None else {name: state[name] for name in nothing}
        first = single(none if state is None else self.flow(lrs[:, 0], state["frame"]))
        flow = joined(first, outputs["flow_forward"])
        if self.variant == "released" and self.frame_alignment == "flow":
            # The published network warps all but the features by the flow that the backward direction used last.
            last_used = jnp.broadcast_to(outputs["flow_backward"][:, :1], outputs["flow_forward"].shape)
            flow = (flow, joined(first, last_used))
        seen = (prepared, marks, number(0, lrs.shape[1]), reverse(features))
        frames, marks, is_first, features = jax.tree.map(lambda x: x[:, : centre + 1], seen)
        seen = (frames, flow, marks, is_first, features)
        (forward, at_first), _ = scan_frames(self, forth, (before, nothing), seen, refills, self.remat)

        outputs["state"] = at_first | {"frame": lrs[:, 0], "shift": (shift + 1) % self.keyframe_stride}
        outputs |= {"confidence_forward": forward["confidence"], "confidence_backward": backward["confidence"]}
        image = self.reconstruct(jax.tree.map(lambda x: x[:, centre], prepared), forward, backward)
        outputs["image"] = image if train else jnp.clip(image, 0, 1)
        return outputs

    def refills(self, lrs: Float[Array, "b t h w 3"], shift: Int[Array, ""]):
        """Extract features at the keyframes of a window whose first frame is `shift` frames behind a keyframe.

        Returns (features (b, n, h, w, 64); for every frame whether it is a keyframe and the number of its features,
        both (1, t); offset (b, n, 5)). n is the same for all shifts: surplus places are the last frame's.
        """
        count = lrs.shape[1]
        places = keyframe_places(count, self.keyframe_stride, shift)
        frames = extend_ends(pad_sides(lrs))
        windows = jnp.take(frames, places[:, None] + jnp.arange(2 * REACH + 1)[None], 1)
        features, offset = each_frame(self, lambda self, window: self.extractor(window), windows, self.remat)
        is_key = jnp.arange(count)[:, None] == places[None]
        marks = (is_key.any(1)[None], jnp.argmax(is_key, 1)[None])
        return features[:, :, : lrs.shape[2], : lrs.shape[3]], marks, offset

    def marked(self, prepared, mark, refills):
        """Add to a prepared frame the features that refill it, if it is a keyframe."""
        key, number = mark
        return prepared | {"key": key, "refill": jnp.take(refills, number, 1)[:, 0]}

    def aggregate(self, prepared, propagated, direction):
        """Aggregate as RefVSR does, with refill; the forward trunk sees the backward features too."""
        forward = direction == "forward"
        merge = self.forward_refill if forward else self.backward_refill
        refilled = merge(jnp.concatenate([propagated, prepared["refill"]], -1))
        propagated = jnp.where(prepared["key"][:, None, None, None], refilled, propagated)
        if forward:
            return self.forward_trunk(prepared["frame"], prepared["backward"], propagated)
        return self.backward_trunk(prepared["frame"], propagated)


def keyframe_places(count: int, stride: int, shift: Int[Array, ""]) -> Int[Array, " n"]:
    """Return the numbers of the keyframes among `count` frames, the first of which is `shift` frames behind one.

    There are equally many for every shift: surplus places are the last frame, which is always a keyframe.
    """
    places = -shift % stride + stride * jnp.arange(-(-count // stride))
    return jnp.append(jnp.minimum(places, count - 1), count - 1)


def chosen(flag, state, other):
    """Return `state` where flag (1,) is true, else `other`."""
    return jax.tree.map(lambda x, y: jnp.where(flag[0], x, y), state, other)


def single(flow):
    """Turn a flow into a sequence of one."""
    return jax.tree.map(lambda x: x[:, None], flow)


def joined(flow, following):
    """Concatenate two sequences of flows."""
    return jax.tree.map(lambda *x: jnp.concatenate(x, 1), flow, following)
