"""SRCNN, three convolutions on the bicubically enlarged picture (Dong et al. 2014; docs/networks.md 5)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import Interface, pictures
from restore_jax.models.layers import conv
from restore_jax.ops.imresize import imresize
from restore_jax.ops.resize import upsample_bicubic


class SRCNN(nn.Module):
    """Convolutions 9-1-5, zero padding.

    Attributes:
      scale: how many times larger the output is.
      widths: channels of the two hidden layers.
      upsampling: "matlab" (a = -.5, as in the paper), or "pytorch" (a = -.75, as mmagic's checkpoint needs it).
      dtype: that of the computation; parameters stay float32.

    `apply(params, lr, train=False)`: lr (b, h, w, 3) in [0, 1]. Returns {"image" (b, s·h, s·w, 3) float32, clipped to
    [0, 1] unless `train`, "upsampled" of the same size}.
    """

    scale: int = 4
    widths: tuple[int, int] = (64, 32)
    upsampling: str = "matlab"
    dtype: Any = jnp.float32

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        return Interface("SRCNN", pictures("lr"), "vsr", scale=self.scale, engine="stills")

    @nn.compact
    def __call__(self, lr: Float[Array, "b h w 3"], train: bool = False) -> dict[str, Array]:
        if self.upsampling not in ("matlab", "pytorch"):
            raise ValueError(f"srcnn: upsampling={self.upsampling!r} is none of matlab, pytorch")
        upsampled = (imresize if self.upsampling == "matlab" else upsample_bicubic)(lr, self.scale)
        x = upsampled.astype(self.dtype)
        x = nn.relu(conv(self.widths[0], "patches", 9, dtype=self.dtype)(x))
        x = nn.relu(conv(self.widths[1], "mapping", 1, dtype=self.dtype)(x))
        image = conv(3, "reconstruction", 5, dtype=self.dtype)(x).astype(jnp.float32)
        return {"image": image if train else jnp.clip(image, 0, 1), "upsampled": upsampled}
