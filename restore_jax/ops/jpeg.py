"""JPEG compression and decoding on the device, as a training augmentation.

    decoded = compress(image, quality=85, chroma_halved=True, phase=(3, 5))

The image is written and read back as libjpeg does it with its default settings: YCbCr of JFIF, 8x8 DCT, the tables of
Annex K scaled by `quality`, chroma halved by 2x2 means and enlarged by libjpeg's triangle filter. Entropy coding loses
nothing and is left out. Not differentiable: every step rounds.
Source: ITU-T T.81 (Annex K.1, A.3.3), JFIF 1.02, and libjpeg's `jpeg_set_quality` and `h2v2_fancy_upsample`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ],
    np.float32,
).reshape(8, 8)
CHROMINANCE = np.full((8, 8), 99, np.float32)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float32
)
_FREQUENCY, _SAMPLE = np.mgrid[:8, :8]
_DCT = np.where(_FREQUENCY == 0, np.sqrt(1 / 8), np.sqrt(1 / 4) * np.cos((2 * _SAMPLE + 1) * _FREQUENCY * np.pi / 16))
_DCT = _DCT.astype(np.float32)  # orthonormal: row k holds frequency k
_BLOCK = 16  # pixels: a minimum coded unit, two 8x8 blocks a side, so that halved chroma has whole blocks


def quantisation_tables(quality) -> tuple[Float[Array, "8 8"], Float[Array, "8 8"]]:
    """Give the luminance and chrominance tables of a quality of 1 to 100, scaled as `jpeg_set_quality` does it."""
    quality = jnp.asarray(quality, jnp.float32)
    scale = jnp.where(quality < 50, jnp.floor(5000 / quality), 200 - 2 * quality)

    def scaled(table):
        return jnp.clip(jnp.floor((table * scale + 50.0) / 100.0), 1, 255)

    return scaled(LUMINANCE), scaled(CHROMINANCE)


def compress(image: Float[Array, "h w 3"], quality, chroma_halved=False, phase=(0, 0)) -> Float[Array, "h w 3"]:
    """Write an image to a JPEG file and read it back.

    Args:
      image: [0, 1], RGB; rounded to 8 bits first.
      quality: 1 to 100, a whole number; may be traced.
      chroma_halved: 4:2:0 if true, else 4:4:4; may be traced.
      phase: (y, x) in 0 to 15, where the image's corner lies in the file's 16x16 grid; may be traced.

    Returns: 8-bit levels / 255. What lies outside of the image repeats its border.
    """
    height, width, _ = image.shape
    rows, columns = (-(-(side + _BLOCK - 1) // _BLOCK) * _BLOCK for side in (height, width))
    levels = jnp.round(255 * jnp.clip(image, 0, 1))
    y = jnp.clip(jnp.arange(rows) - phase[0], 0, height - 1)
    x = jnp.clip(jnp.arange(columns) - phase[1], 0, width - 1)
    planes = jnp.einsum("hwc,dc->dhw", levels[y][:, x], _TO_YCBCR, precision="highest")
    planes = jnp.round(planes + jnp.array([0.0, 128.0, 128.0])[:, None, None]) - 128.0
    luminance_table, chrominance_table = quantisation_tables(quality)
    luminance = _through_blocks(planes[:1], luminance_table)
    whole = _through_blocks(planes[1:], chrominance_table)
    small = planes[1:].reshape(2, rows // 2, 2, columns // 2, 2).mean((2, 4))
    # libjpeg rounds halves down and up in turn along a row, so that they cancel.
    small = jnp.floor(small + jnp.where(jnp.arange(columns // 2) % 2 == 0, 0.25, 0.5)[None, None])
    halved = _enlarged(_through_blocks(small, chrominance_table))
    chroma = jnp.where(chroma_halved, halved, whole)
    ycbcr = jnp.concatenate([luminance, chroma]) + jnp.array([128.0, 0.0, 0.0])[:, None, None]
    rgb = jnp.einsum("dhw,cd->hwc", ycbcr, np.linalg.inv(_TO_YCBCR).astype(np.float32), precision="highest")
    rgb = jnp.clip(jnp.round(rgb), 0, 255) / 255
    return jax.lax.dynamic_slice(rgb, (phase[0], phase[1], 0), image.shape)


def _through_blocks(planes, table):
    """Take planes (n, h, w), centred on 0, through DCT, quantisation and back; round them to 8-bit levels."""
    n, height, width = planes.shape
    blocks = planes.reshape(n, height // 8, 8, width // 8, 8)
    spectrum = jnp.einsum("ky,naybx,lx->nakbl", _DCT, blocks, _DCT, precision="highest")
    steps = table[None, None, :, None, :]
    spectrum = jnp.round(spectrum / steps) * steps
    blocks = jnp.einsum("ky,nakbl,lx->naybx", _DCT, spectrum, _DCT, precision="highest")
    return jnp.clip(jnp.round(blocks), -128, 127).reshape(n, height, width)


def _enlarged(planes):
    """Double planes (n, h, w) by libjpeg's triangle filter: 3/4 of the nearer sample, 1/4 of the next, in each axis."""

    def doubled(x, axis):
        x = jnp.moveaxis(x, axis, -1)
        before = jnp.concatenate([x[..., :1], x[..., :-1]], -1)
        after = jnp.concatenate([x[..., 1:], x[..., -1:]], -1)
        x = jnp.stack([3 * x + before, 3 * x + after], -1).reshape(*x.shape[:-1], -1)
        return jnp.moveaxis(x, -1, axis)

    planes = doubled(doubled(planes, 1), 2)
    # Sixteenths, rounded by 8 and 7 in turn as libjpeg does.
    columns = jnp.arange(planes.shape[2])
    return jnp.floor((planes + jnp.where(columns % 2 == 0, 8.0, 7.0)[None, None]) / 16.0)
