"""DPDNet, a U-Net that deblurs defocus from one image or from two dual-pixel views (Abuolaim and Brown 2020).

See docs/networks.md 5.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import Interface, pictures
from restore_jax.models.vgg import convolve
from restore_jax.ops.convolution import convolution
from restore_jax.ops.resize import upsample_nearest

LEVELS = 5
MULTIPLE = 2 ** (LEVELS - 1)  # sides must be multiples of it


class DPDNet(nn.Module):
    """Defocus deblurring U-Net; every convolution but the last is followed by ReLU.

    Attributes:
      input: "single", or "dual": the left and the right view.
      width: of the first level; each of the five has twice the width of the one before.
      dropout: share of activations that training drops in the two coarsest levels.
      dtype: that of the computation; parameters stay float32.

    `apply(params, image)` or, dual, `apply(params, left, right)`: (b, h, w, 3) in [0, 1], sides multiples of 16. With
    `train=True` it needs `rngs={"dropout": key}`. Returns {"image" (b, h, w, 3) float32 in [0, 1] (a sigmoid), and
    "features" (b, h / 16, w / 16, 16 width)}. Dual views may also be named, as IFAN's are: `apply(params, image,
    left=, right=)`; the image itself is then not looked at.
    """

    input: str = "single"
    width: int = 64
    dropout: float = 0.4
    dtype: Any = jnp.float32

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        dual = self.input == "dual"  # the image is the left view
        inputs, views = pictures("image", MULTIPLE, ("right",) * dual), ("left", "right") * dual
        return Interface("DPDNet", inputs, "deblur", views=views, any_size=True)

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w 3"],
        right: Float[Array, "b h w 3"] | None = None,
        left: Float[Array, "b h w 3"] | None = None,
        train: bool = False,
    ) -> dict[str, Array]:
        if self.input not in ("single", "dual"):
            raise ValueError(f"dpdnet: input={self.input!r} is none of single, dual")
        if any(side % MULTIPLE for side in image.shape[1:3]):
            raise ValueError(f"dpdnet: {image.shape[1]}x{image.shape[2]} is not a multiple of {MULTIPLE}")
        if self.input == "dual":
            if right is None:
                raise ValueError('dpdnet: input="dual" needs the left and the right view')
            image = jnp.concatenate([image if left is None else left, right], -1)
        x, skips = image.astype(self.dtype), []
        for level in range(1, LEVELS + 1):
            if level > 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = self._pair(x, level, f"down{level}")
            if level >= LEVELS - 1:
                x = nn.Dropout(self.dropout, deterministic=not train, name=f"dropout{level}")(x)
            skips.append(x)
        features = skips.pop()
        for level in range(LEVELS - 1, 0, -1):
            up = nn.relu(self._conv_2x2(upsample_nearest(x, 2), self.width * 2 ** (level - 1), f"up{level}"))
            x = self._pair(jnp.concatenate([skips.pop(), up], -1), level, f"merge{level}")
        x = nn.relu(convolve(x, 3, "conv_out", dtype=self.dtype))
        logits = convolve(x, 3, "logit", 1, dtype=self.dtype).astype(jnp.float32)
        return {"image": nn.sigmoid(logits), "features": features}

    def _pair(self, x, level, name):
        width = self.width * 2 ** (level - 1)
        for n in (1, 2):
            x = nn.relu(convolve(x, width, f"{name}_conv{n}", dtype=self.dtype))
        return x

    def _conv_2x2(self, x, features, name):
        """Convolve by 2x2 with zeros at the end alone, as TensorFlow pads even kernels."""
        layer = nn.Conv(
            features, (2, 2), padding=((0, 1), (0, 1)), kernel_init=nn.initializers.he_normal(), dtype=self.dtype,
            name=name, conv_general_dilated=convolution,
        )  # fmt: skip
        return layer(x)
