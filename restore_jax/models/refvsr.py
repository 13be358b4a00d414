"""RefVSR: video super-resolution with a reference video (dissertation, chapter V; docs/networks.md 4).

Two recurrent cells go through a window of frames, one from each end, and meet at its centre, which is restored. Each
frame has a reference frame of a camera with a longer focal length, whose patches are matched, copied and fused.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import WINDOW, Input, Interface
from restore_jax.models.refvsr_alignment import Matcher, PatchAffine, copied_reference, copied_state, placed
from restore_jax.models.refvsr_layers import Fusion, ReferenceEncoder, Upsampler
from restore_jax.models.spynet import SPyNet
from restore_jax.models.vsr_layers import Trunk
from restore_jax.ops.resize import block_mean, resize_bilinear_align_corners, upsample_bicubic
from restore_jax.ops.warp import warp, warp_released


class RefVSR(nn.Module):
    """Reference-based video super-resolution network.

    Attributes:
      mid_channels, num_blocks: width, and residual blocks of a trunk: 48 and 30, small 24 and 24.
      mode: "downsampled": input that was downsampled, sides multiples of 2 (4 for scale 2); "hd": real input, matched
        at 1/4 of its size, sides multiples of 8.
      scale: how many times larger the output is, 4 or 2.
      variant: "paper", or "released": warps and borders as published checkpoints need them.
      bidirectional: with the backward cell.
      fusion: "propagative", or "current": fusion sees the current matching confidence alone (Table 5.2 without PTF).
      references: "wide", of twice the focal length; "tele", of about four times, halved first; "dual", both: each is
        aligned, and fusion sees both, their confidences and what these accumulate to (Fig. 5.6).
      reference_alignment: by "match", or by the optical "flow" from the frame to the reference in its middle.
      frame_alignment: of a neighbour's state, by "flow", or by "match" (both Table 5.4).
      refill: at keyframes, RefVSR-IR; `models.create` then returns the class of refvsr_refill.
      dtype: that of the computation; parameters, matching and flow stay float32.
      remat: compute each frame's activations again in the backward pass, so that memory grows by a frame's state alone.

    `apply(params, lrs, refs, state=None, train=False)`: frames (b, t, h, w, 3) and references (b, t, hr, wr, 3) in
    [0, 1], for "dual" a pair of them, (wide, tele). On the same object a wide reference has 2 pixels and a telephoto 4
    for one of the frame. `state` is what the call for the previous window returned (windows advance by a frame), None
    at a clip's beginning. Returns a dict, in which for "dual" confidences have two channels, and indices are a pair:
      image (b, s·h, s·w, 3): the centre frame t // 2, float32, clipped to [0, 1] unless `train`.
      state: {features (b, h, w, c), features_2x (b, 2h, 2w, c), confidence (b, h, w, 1)} of the forward cell.
      confidence (b, n, h, w, 1), index (b, n, _, _): of the matching, for all n = t frames, or with a `state` those
        from the centre on. No index with reference_alignment="flow".
      confidence_forward, confidence_backward (b, h, w, 1): accumulated at the centre.
      flow_forward (b, _, h, w, 2): from frame i + 1 to i, up to the centre; flow_backward: from i to i + 1, from it.
        With frame_alignment="match" dicts {index, confidence, neighbour}.
    Under jit, results that are not used are not computed.

    A stream computes what depends on a frame or a pair of frames once, by `apply(..., method=)`: "prepare", "flow",
    "propagate", "reconstruct".
    """

    mid_channels: int = 48
    num_blocks: int = 30
    mode: str = "downsampled"
    scale: int = 4
    variant: str = "paper"
    bidirectional: bool = True
    fusion: str = "propagative"
    references: str = "wide"
    reference_alignment: str = "match"
    frame_alignment: str = "flow"
    refill: bool = False
    dtype: Any = jnp.float32
    remat: bool = False

    def setup(self):
        for field, known in (
            ("mode", ("downsampled", "hd")),
            ("scale", (4, 2)),
            ("variant", ("paper", "released")),
            ("fusion", ("propagative", "current")),
            ("references", ("wide", "tele", "dual")),
            ("reference_alignment", ("match", "flow")),
            ("frame_alignment", ("flow", "match")),
        ):
            if getattr(self, field) not in known:
                raise ValueError(f"refvsr: {field}={getattr(self, field)!r} is none of {', '.join(map(str, known))}")
        c, n, dtype = self.mid_channels, self._matching_factor, self.dtype
        self.matcher = Matcher(halve=self.mode == "hd", deep=n > 1)
        self.encoder = ReferenceEncoder(c, dtype)
        if self.references == "dual":
            self.tele_encoder = ReferenceEncoder(c, dtype, levels=3)

        def affine_part(size):
            # With an index for each pixel, patches of the frame's size are single pixels, which cannot turn.
            return PatchAffine(size, self.variant, dtype) if size > 1 else None

        if self.reference_alignment == "flow":
            self.reference_flow = SPyNet()
        else:
            self.affine, self.affine_2x = affine_part(n), affine_part(2 * n)
            if self.references == "dual":
                self.tele_affine, self.tele_affine_2x = affine_part(n), affine_part(2 * n)
        if self.frame_alignment == "flow":
            self.flow_network = SPyNet()
        else:
            self.frame_matcher = Matcher(halve=self.mode == "hd", deep=n > 1)
            self.forward_affine, self.forward_affine_2x = affine_part(n), affine_part(2 * n)
            if self.bidirectional:
                self.backward_affine, self.backward_affine_2x = affine_part(n), affine_part(2 * n)
        self.forward_trunk = Trunk(c, self.num_blocks, dtype)
        if self.bidirectional:
            self.backward_trunk = Trunk(c, self.num_blocks, dtype)
        self.fuse = Fusion(c, dtype)
        self.upsampler = Upsampler(c, self.scale, dtype)

    @property
    def _matching_factor(self) -> int:
        """Return how many times smaller the matching's index map is than the frame."""
        return 4 if self.mode == "hd" else 4 // self.scale

    @property
    def multiples(self) -> tuple[int, ...]:
        """Return the numbers that divide the sides of frames and of each reference."""
        n = self._matching_factor
        return (2 * n, *{"wide": (2 * n,), "tele": (4 * n,), "dual": (2 * n, 4 * n)}[self.references])

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        cameras = ("wide", "tele") if self.references == "dual" else (self.references,)
        frames, *others = self.multiples
        inputs = Input("lrs", frames), Input("refs", max(others), count=len(cameras))
        options = {"references": cameras, "reference_scale": 4.0 if self.references == "tele" else 2.0}
        return Interface("RefVSR", inputs, "vsr", "window", scale=self.scale, window=WINDOW, engine="cells", **options)

    def __call__(
        self,
        lrs: Float[Array, "b t h w 3"],
        refs: Float[Array, "b t hr wr 3"],
        state: dict | None = None,
        train: bool = False,
    ) -> dict[str, Any]:
        self.check_inputs(lrs, refs)
        count, centre = lrs.shape[1], lrs.shape[1] // 2
        first = 0 if state is None else centre
        seen = jax.tree.map(lambda x: x[:, first:], (lrs, refs))
        prepared = self._each(lambda self, frames: self.prepare(*frames), seen)
        outputs = {name: prepared[name] for name in ("confidence", "index") if name in prepared}

        def part(start, stop):
            return jax.tree.map(lambda x: x[:, start - first : stop - first], prepared)

        ahead, back = lrs[:, centre : count - 1], lrs[:, max(first, 1) : centre + 1]  # frames that a flow starts from
        neighbours = jnp.concatenate([lrs[:, max(first, 1) - 1 : centre], lrs[:, centre + 1 :]], 1)
        flow = self._each(lambda self, pair: self.flow(*pair), (jnp.concatenate([back, ahead], 1), neighbours))
        outputs["flow_forward"] = jax.tree.map(lambda x: x[:, : back.shape[1]], flow)
        outputs["flow_backward"] = jax.tree.map(lambda x: x[:, back.shape[1] :], flow)

        forward = self._walk(
            state, part(first, centre + 1), outputs["flow_forward"], "forward", carried=state is not None
        )
        outputs |= {"state": forward, "confidence_forward": forward["confidence"]}
        backward = None
        if self.bidirectional:
            reverse = jax.tree.map(lambda x: x[:, ::-1], (part(centre, count), outputs["flow_backward"]))
            backward = self._walk(None, *reverse, "backward")
            outputs["confidence_backward"] = backward["confidence"]
        at_centre = jax.tree.map(lambda x: x[:, centre - first], prepared)
        image = self.reconstruct(at_centre, forward, backward)
        outputs["image"] = image if train else jnp.clip(image, 0, 1)
        return outputs

    def check_inputs(self, lrs, refs):
        """Raise ValueError for sides that are no multiple of `multiples`, or a wrong number of references."""
        if (self.references == "dual") != isinstance(refs, tuple):
            wanted = "a pair (wide, tele)" if self.references == "dual" else "one array"
            raise ValueError(f"refvsr: references={self.references!r} needs for references {wanted}")
        for frames, multiple in zip((lrs, *jax.tree.leaves(refs)), self.multiples, strict=True):
            if any(size % multiple for size in frames.shape[2:4]):
                raise ValueError(f"refvsr: {frames.shape[2]}x{frames.shape[3]} is not a multiple of {multiple}")

    def _each(self, function, frames):
        """Apply `function(self, frame)` to every frame along axis 1 and stack the results."""
        return self._scan(lambda self, carry, frame: (carry, function(self, frame)), (), frames)[1]

    def _walk(self, state, prepared, flow, direction, carried=False):
        """Return the state after the prepared frames; without a state before them `flow` has one frame less."""
        if state is None:
            b, _, h, w, _ = prepared["frame"].shape
            state = self.initial_state(b, h, w)
            none = self.initial_flow(b, h, w)
            flow = jax.tree.map(lambda zero, x: jnp.concatenate([zero[:, None], x], 1), none, flow)

        def step(self, state, frame):
            return self.propagate(state, *frame, direction=direction, carried=carried), None

        return self._scan(step, state, (prepared, flow))[0]

    def _scan(self, step, carry, frames):
        step = nn.remat(step, prevent_cse=False) if self.remat else step
        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)
        return scan(self, carry, frames)

    def prepare(self, frame: Float[Array, "b h w 3"], reference) -> dict[str, Array]:
        """Match one frame with its reference, which both directions need: confidence, index and aligned features.

        reference: (b, hr, wr, 3), or for "dual" the pair (wide, tele).
        Returns {frame, confidence, index, aligned (b, h, w, c), aligned_2x (b, 2h, 2w, c)}; for "dual" channels of both
        references, and a pair of indices.
        """
        if self.references != "dual":
            reference = block_mean(reference, 2) if self.references == "tele" else reference
            return {"frame": frame, **self._aligned(frame, reference)}
        found = self._aligned(frame, reference[0]), self._aligned(frame, reference[1], tele=True)
        both = {name: jnp.concatenate([x[name] for x in found], -1) for name in found[0] if name != "index"}
        if "index" in found[0]:
            both["index"] = tuple(x["index"] for x in found)
        return {"frame": frame, **both}

    def _aligned(self, frame, reference, tele=False):
        """Align a reference with 2 pixels for one of the frame, or 4 if `tele`.

        Returns {confidence, index, aligned, aligned_2x}.
        """
        n, pooling = self._matching_factor, 4 if tele else 2
        encoder = self.tele_encoder if tele else self.encoder
        features = encoder(reference)[:-3:-1]  # at 1 and at 2 pixels for one of the frame
        if self.reference_alignment == "flow":
            return self._flowed(frame, block_mean(reference, pooling), features)
        confidence, index = self.matcher(frame, reference, pooling)
        double = block_mean(reference, 2) if tele else reference
        affines = (self.tele_affine, self.tele_affine_2x) if tele else (self.affine, self.affine_2x)
        aligned, aligned_2x = copied_reference(
            frame, double, features, index, n, affines, full_size_seen=self.variant == "released"
        )
        return {"confidence": confidence, "index": index, "aligned": aligned, "aligned_2x": aligned_2x}

    def _flowed(self, frame, reference, features):
        """Align by the optical flow from the frame to the reference, which lies in its middle at the frame's scale.

        Where the flow leads outside of the reference, features and confidence are zero.
        """
        h, w = frame.shape[1:3]
        image = placed(reference, h, w)
        flow = self.reference_flow(frame, image)
        inside = warp(placed(jnp.ones_like(reference[..., :1]), h, w), flow)
        confidence, _ = self.matcher(frame, warp(image, flow), 1, search=False)
        flow_2x = 2 * resize_bilinear_align_corners(flow, 2 * h, 2 * w)
        return {
            "confidence": confidence * inside,
            "aligned": warp(placed(features[0], h, w), flow),
            "aligned_2x": warp(placed(features[1], h, w, 2), flow_2x),
        }

    def flow(self, frame: Float[Array, "b h w 3"], neighbour: Float[Array, "b h w 3"]):
        """Find the motion that aligns the neighbour's state: optical flow (b, h, w, 2), whose SPyNet is not trained.

        With frame_alignment="match" it is {index, confidence (b, h, w, 1), neighbour}.
        """
        if self.frame_alignment == "flow":
            return jax.lax.stop_gradient(self.flow_network(frame, neighbour))
        confidence, index = self.frame_matcher(frame, neighbour, 1)
        return {"index": index, "confidence": confidence, "neighbour": neighbour}

    def initial_flow(self, b: int, h: int, w: int):
        """Return a placeholder for `flow` before a clip's first frame, where the state is zero."""
        if self.frame_alignment == "flow":
            return jnp.zeros((b, h, w, 2))
        n = self._matching_factor
        index = jnp.zeros((b, h // n, w // n), jnp.int32)
        return {"index": index, "confidence": jnp.zeros((b, h, w, 1)), "neighbour": jnp.zeros((b, h, w, 3))}

    def initial_state(self, b: int, h: int, w: int) -> dict[str, Array]:
        """Return the state before a clip's first frame: zeros."""
        c = self.mid_channels
        return {
            "features": jnp.zeros((b, h, w, c), self.dtype),
            "features_2x": jnp.zeros((b, 2 * h, 2 * w, c), self.dtype),
            "confidence": jnp.zeros((b, h, w, 2 if self.references == "dual" else 1)),
        }

    def propagate(
        self,
        state: dict[str, Array],
        prepared: dict[str, Array],
        flow,
        direction: str = "forward",
        carried: bool = False,
    ) -> dict[str, Array]:
        """Make one step of a cell (Eq. 5.1): from the neighbour's state and this frame to this frame's state.

        flow: `flow` of this frame and the neighbour; any value before the first frame, where the state is zero. If it
          is a pair, the first is for the features, the second for the rest of the state (RefVSR-IR as published).
        carried: the state comes from the previous window. The published network warps it properly then; within a
          window's forward direction it warps the features of single size in place of those of double size (quirk a).
        """
        if self.frame_alignment == "flow":
            propagated, propagated_2x, confidence = self._warped(state, flow, direction, carried)
        else:
            affines = tuple(getattr(self, f"{direction}_{name}") for name in ("affine", "affine_2x"))
            propagated, propagated_2x, confidence = copied_state(
                state, prepared["frame"], flow, self._matching_factor, affines
            )
        x = self.aggregate(prepared, propagated, direction)
        current = prepared["confidence"]
        seen = current if self.fusion == "current" else jnp.concatenate([confidence, current], -1)
        x, x_2x = self.fuse(x, propagated_2x, prepared["aligned"], prepared["aligned_2x"], seen)
        return {"features": x, "features_2x": x_2x, "confidence": jnp.maximum(confidence, current)}

    def aggregate(self, prepared, propagated, direction):
        """Aggregate the frame and the features that were propagated to it (R of Eq. 5.3)."""
        trunk = self.forward_trunk if direction == "forward" else self.backward_trunk
        return trunk(prepared["frame"], propagated)

    def _warped(self, state, flow, direction, carried):
        """Warp the neighbour's features, those at 2x, and confidence.

        If flow is a pair, its first is for the features, its second for the rest.
        """
        own, flow = flow if isinstance(flow, tuple) else (flow, flow)
        flow_2x = 2 * resize_bilinear_align_corners(flow, *state["features_2x"].shape[1:3])
        move = warp_released if self.variant == "released" else warp
        propagated, confidence = move(state["features"], own), move(state["confidence"], flow)
        in_place = self.variant == "released" and direction == "forward" and not carried
        return propagated, move(propagated if in_place else state["features_2x"], flow_2x), confidence

    def reconstruct(
        self, prepared: dict[str, Array], forward: dict[str, Array], backward: dict[str, Array] | None
    ) -> Float[Array, "b h2 w2 3"]:
        """Restore the frame from the states of both directions (Eq. 5.2), float32, not clipped."""
        states = [state for state in (backward, forward) if state is not None]
        if self.fusion == "current":
            confidences = prepared["confidence"]
        else:
            confidences = jnp.concatenate([state["confidence"] for state in states], -1)
        residual = self.upsampler([state["features_2x"] for state in states], confidences)
        upsampled = jnp.clip(upsample_bicubic(prepared["frame"], self.scale), 0, 1)
        return upsampled + residual.astype(jnp.float32)
