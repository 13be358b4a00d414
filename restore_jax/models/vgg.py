"""VGG19's convolutional part (Simonyan and Zisserman, 2015): an encoder, and features that losses and matching compare.

Two families of weights are published, each for its own input: Caffe's (vgg19.npy) for `caffe_input`, torchvision's for
`imagenet_input`.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from restore_jax.models.interface import Interface, pictures
from restore_jax.ops.convolution import convolution

CONVOLUTIONS = (2, 2, 4, 4, 4)  # number in each block, which a 2x2 max-pool ends
WIDTHS = (64, 128, 256, 512, 512)
LAYERS = tuple(
    layer
    for block, count in enumerate(CONVOLUTIONS, start=1)
    for layer in (*(f"{kind}{block}_{n}" for n in range(1, count + 1) for kind in ("conv", "relu")), f"pool{block}")
)

CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VGG19(nn.Module):
    """The layers of VGG19 up to and with `last`.

    Attributes:
      last: one of LAYERS: "conv4_4" (before the activation), "relu4_4" (after), "pool4".
      width_divisor: all widths are divided by it; 1 as published.
      padding: the convolutions' padding, "zero" as published, or "symmetric", which repeats the edge.
      dtype: that of the computation; parameters stay float32.

    `apply(params, x)`: x (b, h, w, 3), `caffe_input` or `imagenet_input` of an image. Returns {layer: features} of
    every layer, in their order; pooling drops an odd last row or column. Under jit, results that are not used are not
    computed.
    """

    last: str = "relu5_4"
    width_divisor: int = 1
    padding: str = "zero"
    dtype: Any = jnp.float32

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        return Interface("VGG19", pictures("x"), output="")

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        if self.last not in LAYERS:
            raise ValueError(f"vgg19: last={self.last!r} is no layer; they are {', '.join(LAYERS)}")
        features = {}
        x = x.astype(self.dtype)
        for layer in LAYERS[: LAYERS.index(self.last) + 1]:
            if layer.startswith("conv"):
                width = WIDTHS[int(layer[4]) - 1] // self.width_divisor
                x = convolve(x, width, layer, padding=self.padding, dtype=self.dtype)
            elif layer.startswith("relu"):
                x = nn.relu(x)
            else:
                x = nn.max_pool(x, (2, 2), (2, 2))
            features[layer] = x
        return features


def convolve(x, features: int, name: str | None, size: int = 3, padding: str = "zero", dtype: Any = jnp.float32):
    """Convolve x and keep its size, inside a compact method; He initialisation.

    padding: "zero", or "symmetric": x is mirrored at its edge, the edge included (NumPy's "symmetric").
    """
    if padding not in ("zero", "symmetric"):
        raise ValueError(f"padding={padding!r} is none of zero, symmetric")
    margin = size // 2
    if padding == "symmetric" and margin:
        x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), "symmetric")
        margin = 0
    init = nn.initializers.he_normal()
    layer = nn.Conv(
        features, (size, size), padding=margin, kernel_init=init, dtype=dtype, name=name,
        conv_general_dilated=convolution,
    )  # fmt: skip
    return layer(x)


def caffe_input(image: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Convert RGB in [0, 1] to the input of Caffe's weights: BGR in [0, 255] minus the mean colour."""
    return 255 * image[..., ::-1] - np.array(CAFFE_MEAN, image.dtype).reshape(1, 1, 1, 3)


def imagenet_input(image: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Convert RGB in [0, 1] to the input of torchvision's weights: mean colour 0, standard deviation 1."""
    mean, std = (np.array(v, image.dtype).reshape(1, 1, 1, 3) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std
