"""IFAN: defocus deblurring with an iterative filter adaptive network (dissertation, chapter IV; docs/networks.md 1).

It is an encoder-decoder, whose bottleneck features, at 1/8 of the image, are deblurred by per-pixel separable filters
that a second encoder predicts. It is trained together with the disparity of dual-pixel views and with reblurring
(4.2.3).
"""

import re
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import Interface, pictures
from restore_jax.models.layers import ResidualBlocks, TransposedConv, conv
from restore_jax.ops.filtering import LEAK, fac, iac, leaky_relu, predict_and_iac
from restore_jax.ops.resize import every_nth

REBLUR_STEPS = 17  # filters of the reblurring network, whatever N is
F_GAIN = 1.5


class Encoder(nn.Module):
    """Four levels of three convolutions, halving the image three times; returns the features of all four."""

    width: int
    dtype: Any

    @nn.compact
    def __call__(self, x):
        levels = []
        for level, features in enumerate((self.width, 2 * self.width, 4 * self.width, 4 * self.width), start=1):
            for n in (1, 2, 3):
                stride = 2 if n == 1 and level > 1 else 1
                x = leaky_relu(conv(features, f"conv{level}_{n}", stride=stride, dtype=self.dtype)(x))
            levels.append(x)
        return levels


class Predictor(nn.Module):
    """Estimates a map from features: conv LReLU, two pairs of residual blocks, conv without activation."""

    features: int
    out_features: int
    out_size: int = 3
    gain: float = 1.0
    dtype: Any = jnp.float32

    def setup(self):
        self.conv_in = conv(self.features, None, gain=self.gain, dtype=self.dtype)
        self.block_1 = ResidualBlocks(self.features, 2, self.gain, self.dtype)
        self.block_2 = ResidualBlocks(self.features, 2, self.gain, self.dtype)
        self.conv_out = conv(self.out_features, None, self.out_size, gain=self.gain, dtype=self.dtype)

    def code(self, x):
        """Return the input of the last convolution."""
        return self.block_2(self.block_1(leaky_relu(self.conv_in(x))))

    def __call__(self, x):
        return self.conv_out(self.code(x))

    def last_layer(self):
        """Return kernel (in, out) and bias of the last convolution, of size 1, in the compute dtype."""
        parameters = self.conv_out.variables["params"]
        return parameters["kernel"][0, 0].astype(self.dtype), parameters["bias"].astype(self.dtype)


class Reconstructor(nn.Module):
    """Turns features at 1/8 and the encoder's skips into a residual image."""

    width: int
    output_leak: float | None
    dtype: Any
    remat: bool = False

    @nn.compact
    def __call__(self, x, skips):
        blocks = nn.remat(ResidualBlocks) if self.remat else ResidualBlocks
        x = leaky_relu(conv(4 * self.width, "conv_in", dtype=self.dtype)(x))
        x = ResidualBlocks(4 * self.width, 3, dtype=self.dtype, name="blocks")(x)
        x = leaky_relu(conv(4 * self.width, "conv_mid", dtype=self.dtype)(x))
        for level, skip in zip((3, 2, 1), reversed(skips), strict=True):
            features = self.width * 2 ** (level - 1)
            x = leaky_relu(TransposedConv(features, self.dtype, name=f"up{level}")(x)) + skip
            x = blocks(features, 1, dtype=self.dtype, name=f"up{level}_block_1")(x)
            x = blocks(features, 1, dtype=self.dtype, name=f"up{level}_block_2")(x)
        return leaky_relu(conv(3, "conv_out", dtype=self.dtype)(x), self.output_leak)


class PlainDeblur(nn.Module):
    """Replaces IAC in Table 4.1's rows without filter predictor by convolutions of equal cost."""

    features: int
    count: int
    dtype: Any

    @nn.compact
    def __call__(self, features, code):
        x = jnp.concatenate([features, code], -1)
        x = leaky_relu(conv(self.features, "conv_in", dtype=self.dtype)(x))
        for n in range(self.count):
            x = ResidualBlocks(self.features, 1, dtype=self.dtype, name=f"block_{n + 1}")(x)
        return x


def split_filter_map(filters: Float[Array, "b h w m"], channels: int, steps: int, size: int):
    """Split a filter map into tap-major filters (n 2 k b h w c) and biases (n b h w c).

    The map's channels are in the published order: for each step the vertical taps (channel by channel, tap fastest),
    then the horizontal ones; after all steps their biases.
    """
    taps = filters[..., : steps * 2 * size * channels]
    taps = taps.reshape(*filters.shape[:3], steps, 2, channels, size)
    biases = filters[..., steps * 2 * size * channels :].reshape(*filters.shape[:3], steps, channels)
    return jnp.transpose(taps, (3, 4, 6, 0, 1, 2, 5)), jnp.transpose(biases, (3, 0, 1, 2, 4))


def split_dense_map(filters: Float[Array, "b h w m"], channels: int, size: int) -> Float[Array, "k k b h w c"]:
    """Turn a FAC filter map (channel by channel, row, column) into tap-major dense filters."""
    return jnp.transpose(filters.reshape(*filters.shape[:3], channels, size, size), (4, 5, 0, 1, 2, 3))


class IFAN(nn.Module):
    """Defocus deblurring network.

    Attributes:
      width: channels at full size; 32 as published. Features at 1/8 have 4 times as many.
      num_filters: N, separable filter pairs (IAC).
      filter_size: taps of a filter; 3, or 11 for `filtering="fac"`; None takes these.
      input: "single", or "dual": the filter encoder sees the two dual-pixel views.
      variant: "paper", or "released": horizontal passes use the vertical taps, as published checkpoints need.
      filtering: "iac", "fac" (one dense filter), or "none" (plain residual blocks; Table 4.1 without FP).
      disparity: with the disparity map estimator; without, it hands on features (Table 4.1 without DME).
      reblur: with the reblurring network, which only training needs.
      blur: with a 1x1 convolution that reads the blur of each place off the code that filters are made of. Only
        training needs it. It is not in the dissertation; without it, or the losses of disparity and reblurring, the
        code dies out.
      output_leak: slope of the activation after the last layer, which the published network has; None for none:
        the residual is then as easily negative as positive, and training is faster.
      dtype: that of the computation; parameters stay float32.
      remat: the backward pass computes the activations inside encoders and full-size blocks anew: at 8 x 256x256 it
        keeps 1.4 GB instead of 3.1. On CPU XLA undoes this.

    `apply(params, blurred, right=None, left=None, sharp=None, mean_filters=False)`: images (b, h, w, 3) float32 in
    [0, 1], sides multiples of 8. Single: `right` asks for the disparity of that view besides. Dual: `right` and `left`
    are required. `sharp` asks for its reblurring. `mean_filters` puts the mean over all pixels in place of each pixel's
    filters: the loss in quality is what adapting them is worth. Returns a dict:
      image (b, h, w, 3): deblurred, float32, unclipped.
      disparity (b, h/8, w/8, 1): right to left, in pixels of that grid, of the filter encoder's input.
      disparity_right: the same with `right` as the input (single-image use, if `right` is given).
      filters (b, h/8, w/8, N (2k+1) c): the filter map in the published channel order.
      blur (b, h/8, w/8, 1): log(1 + COC in pixels of the image), if the network has `blur`.
      reblurred (b, h/8, w/8, 3): the sharp image downsampled and reblurred by filters made of `filters`.
    Under jit, results that are not used are not computed: at inference the filter map never exists.
    """

    width: int = 32
    num_filters: int = 17
    filter_size: int | None = None
    input: str = "single"
    variant: str = "paper"
    filtering: str = "iac"
    disparity: bool = True
    reblur: bool = False
    blur: bool = False
    output_leak: float | None = LEAK
    dtype: Any = jnp.float32
    remat: bool = False

    def setup(self):
        for field, known in (
            ("input", ("single", "dual")),
            ("variant", ("paper", "released")),
            ("filtering", ("iac", "fac", "none")),
        ):
            if getattr(self, field) not in known:
                raise ValueError(f"ifan: {field}={getattr(self, field)!r} is none of {', '.join(known)}")
        if self.reblur and self.filtering == "none":
            raise ValueError("ifan: reblur=True needs filters: filtering 'iac' or 'fac'")
        c, k = 4 * self.width, self._taps
        filter_channels = {"iac": self.num_filters * (2 * k + 1) * c, "fac": k * k * c, "none": c}
        reblur_channels = {"iac": REBLUR_STEPS * (2 * k + 1) * 3, "fac": k * k * 3, "none": 0}
        encoder = nn.remat(Encoder) if self.remat else Encoder
        self.feature_encoder = encoder(self.width, self.dtype)
        self.filter_encoder = encoder(self.width, self.dtype)
        self.disparity_estimator = Predictor(c, 1 if self.disparity else c, dtype=self.dtype)
        if self.disparity:
            self.disparity_features = conv(c, None, dtype=self.dtype)
        self.filter_features = Predictor(c, c, dtype=self.dtype)
        self.filter_predictor = Predictor(c, filter_channels[self.filtering], 1, F_GAIN, self.dtype)
        if self.filtering == "none":
            self.plain = PlainDeblur(c, 6 if self.disparity else 5, self.dtype)
        self.reconstructor = Reconstructor(self.width, self.output_leak, self.dtype, self.remat)
        if self.blur:
            self.blur_head = conv(1, None, 1)
        if self.reblur:
            self.reblur_predictor = Predictor(c, reblur_channels[self.filtering], dtype=self.dtype)

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        views = ("left", "right") if self.input == "dual" else ()
        return Interface("IFAN", pictures("blurred", 8, views), "deblur", views=views, any_size=True)

    @property
    def _taps(self) -> int:
        return self.filter_size or (11 if self.filtering == "fac" else 3)

    def __call__(
        self,
        blurred: Float[Array, "b h w 3"],
        right: Float[Array, "b h w 3"] | None = None,
        left: Float[Array, "b h w 3"] | None = None,
        sharp: Float[Array, "b h w 3"] | None = None,
        mean_filters: bool = False,
    ) -> dict[str, Float[Array, "..."]]:
        if blurred.shape[1] % 8 or blurred.shape[2] % 8:
            raise ValueError(f"ifan: {blurred.shape[1]}x{blurred.shape[2]} is not a multiple of 8")
        dual = self.input == "dual"
        if dual and (right is None or left is None):
            raise ValueError("ifan: input='dual' needs both views, right and left")
        outputs = {}

        seen = jnp.concatenate([right, left], -1) if dual else blurred
        encoded = self.filter_encoder(seen.astype(self.dtype))[-1]
        disparity = self.disparity_estimator(encoded)
        if self.disparity:
            outputs["disparity"] = disparity
            if right is not None and not dual:
                encoded_right = self.filter_encoder(right.astype(self.dtype))[-1]
                outputs["disparity_right"] = self.disparity_estimator(encoded_right)
            disparity = leaky_relu(self.disparity_features(disparity))

        code = leaky_relu(self.filter_features(jnp.concatenate([encoded, disparity], -1)))
        code = self.filter_predictor.code(code)
        if self.blur:
            outputs["blur"] = self.blur_head(code.astype(jnp.float32))
        if mean_filters:  # the last convolution is linear
            code = jnp.broadcast_to(code.mean((1, 2), keepdims=True), code.shape)
        filters = self.filter_predictor.conv_out(code)
        if self.filtering != "none":
            outputs["filters"] = filters

        *skips, features = self.feature_encoder(blurred.astype(self.dtype))
        deblurred = self._deblur(features, code, filters)
        residual = self.reconstructor(deblurred, skips)
        outputs["image"] = blurred + residual.astype(blurred.dtype)

        if self.reblur:
            reblur_filters = self.reblur_predictor(filters)
            if sharp is not None:
                outputs["reblurred"] = self._reblur(every_nth(sharp, 8), reblur_filters)
        return outputs

    def _deblur(self, features, code, filters):
        if self.filtering == "none":
            return self.plain(features, filters)
        c, k = 4 * self.width, self._taps
        if self.filtering == "fac":
            return leaky_relu(fac(features, split_dense_map(filters, c, k)))

        def planes(weights):  # (1, 1, d, channels of the map) to (n, 2k + 1, d, c): one 1x1 convolution a plane
            taps, biases = split_filter_map(weights, c, self.num_filters, k)
            steps, d = self.num_filters, weights.shape[2]
            return jnp.concatenate([taps.reshape(steps, 2 * k, d, c), biases.reshape(steps, 1, d, c)], 1)

        kernel, bias = self.filter_predictor.last_layer()
        kernel, bias = planes(kernel[None, None]), planes(bias[None, None, None])[:, :, 0]
        return predict_and_iac(features, code, kernel, bias, shared_taps=self.variant == "released")

    def _reblur(self, sharp, filters):
        filters = filters.astype(jnp.float32)
        if self.filtering == "fac":
            return fac(sharp, split_dense_map(filters, 3, self._taps))
        taps, biases = split_filter_map(filters, 3, REBLUR_STEPS, self._taps)
        if self.variant == "released":
            taps = jnp.stack([taps[:, 0], taps[:, 0]], 1)
        return iac(sharp, taps, biases, final_leak=None) + sharp


# Factors of Xavier's initial kernels that keep a signal's size through the filter branch, by a convolution's place in
# it.
SIGNAL_GAIN = 1.41  # before LeakyReLU of slope .1
BLOCK_GAIN = 0.5  # the second convolution of a residual block
TAP_GAIN = 0.75  # the predictor's last convolution: initial taps then vary by about .08 from pixel to pixel
_FILTER_BRANCH = ("filter_encoder", "disparity_estimator", "disparity_features", "filter_features", "filter_predictor")


def with_identity_filters(params: dict, model: IFAN) -> dict:
    """Change initial parameters so that predicted filters change nothing in the mean, but differ from pixel to pixel.

    N random filters in a row wipe out the features, from which training first has to recover. So the biases of the last
    convolution become identity filters. Xavier's gain of 1 with LeakyReLU shrinks the signal of the filter encoder by a
    factor of a thousand over its 25 layers, and filters that are equal at every pixel stay equal. So the kernels of
    this branch get gains that keep the signal. This is not in the dissertation (config `init="identity_filters"`). A
    network without iterated filters is returned as it is.
    """
    if model.filtering != "iac":
        return params
    c, k, n = 4 * model.width, model.filter_size or 3, model.num_filters
    fresh = {
        name: _with_gains(value, 1 / F_GAIN if name == "filter_predictor" else 1.0) if name in _FILTER_BRANCH else value
        for name, value in params["params"].items()
    }
    taps = jnp.zeros((n, 2, c, k)).at[..., k // 2].set(1.0)
    last = params["params"]["filter_predictor"]["conv_out"]["kernel"]
    last = {"kernel": TAP_GAIN / F_GAIN * last, "bias": jnp.concatenate([taps.ravel(), jnp.zeros(n * c)])}
    fresh["filter_predictor"] = {**fresh["filter_predictor"], "conv_out": last}
    return {"params": fresh}


def _with_gains(tree, scale, name=""):
    """Multiply the kernels of a part of the filter branch by `scale` and by the gain of their place."""
    if "kernel" not in tree:
        return {inner: _with_gains(value, scale, inner) for inner, value in tree.items()}
    in_block = re.fullmatch(r"conv_\d_([01])", name)
    plain = name == "conv_out" or (in_block and in_block[1] == "0")
    gain = 1.0 if plain else BLOCK_GAIN if in_block else SIGNAL_GAIN
    return {**tree, "kernel": scale * gain * tree["kernel"]}
