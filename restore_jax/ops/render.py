"""Rendering of defocus blur from a sharp image and its depth: thin lens, layers, back to front.

Signed circle of confusion (COC): its diameter in pixels, positive behind the focal plane, negative in front of it.
A pixel's blur is its COC; a Gaussian stands in for the disc with sigma = COC / 4.

    coc = coc_from_depth(depth, focus=2.0, focal_length=50.0, f_number=1.8, pixels_per_mm=40.0)
    blurred = render_coc(image, coc, max_coc=12)
    left, right = render_dual_pixel(image, coc, max_coc=12)      # their mean is the defocused image

Everything is differentiable in the image; in depth only through the layers' blur sizes, not through occlusion.
Source: dissertation section 3.2 (Eqs. 3.1-3.2) and docs/networks.md 3; dual-pixel views are half apertures.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

# Pixels of dual-pixel disparity (right minus left) for each pixel of COC: a half disc's centroid is at +-2 d / (3 pi).
DISPARITY_PER_COC = 4 / (3 * math.pi)
SIGMA_PER_COC = 1 / 4
_SUBSAMPLES = 4  # per pixel and axis, where a disc's edge crosses it


def coc_from_depth(depth: Float[Array, "h w"], focus, focal_length, f_number, pixels_per_mm) -> Float[Array, "h w"]:
    """Compute the signed COC diameter in pixels of every depth, by the thin lens equation.

    Args:
      depth, focus: distances of the pixels and of the focal plane, in metres.
      focal_length: mm.
      f_number: focal length over aperture diameter.
      pixels_per_mm: how dense the sensor's pixels are.
    """
    depth_mm, focus_mm = 1000.0 * depth, 1000.0 * focus
    aperture = focal_length / f_number
    return pixels_per_mm * aperture * focal_length / (focus_mm - focal_length) * (depth_mm - focus_mm) / depth_mm


def coc_from_disparity(disparity: Float[Array, "h w"], focus, scale) -> Float[Array, "h w"]:
    """Compute the signed COC of an inverse depth (stereo disparity, any unit), which is linear for a thin lens."""
    return scale * (focus - disparity)


def render_defocus(
    image: Float[Array, "h w c"],
    depth: Float[Array, "h w"],
    focus,
    focal_length=50.0,
    f_number=1.8,
    pixels_per_mm=40.0,
    max_coc: int = 28,
    psf: str = "disc",
    num_layers: int = 64,
    fill: bool = False,
) -> tuple[Float[Array, "h w c"], Float[Array, "h w"]]:
    """Render the defocused image and its sigma map (pixels) from a depth.

    The lens is that of `coc_from_depth`; psf, num_layers and fill are those of `render_coc`. COCs are clipped to
    `max_coc`.
    """
    coc = jnp.clip(coc_from_depth(depth, focus, focal_length, f_number, pixels_per_mm), -max_coc, max_coc)
    return render_coc(image, coc, max_coc, psf, num_layers, fill), SIGMA_PER_COC * jnp.abs(coc)


def render_coc(
    image: Float[Array, "h w c"],
    coc: Float[Array, "h w"],
    max_coc: int,
    psf: str = "disc",
    num_layers: int = 32,
    fill: bool = False,
) -> Float[Array, "h w c"]:
    """Blur every pixel by its COC, nearer layers over farther ones.

    Args:
      image: any range, usually [0, 1].
      coc: signed diameter in pixels, |coc| <= max_coc.
      max_coc: bound of the COC, which fixes the size of the padding (static under jit).
      psf: "disc" or "gaussian" (sigma = COC / 4).
      num_layers: number of blur sizes the range of `coc` is rounded to.
      fill: continue the background behind what occludes it (`hidden_background`), so that a nearer layer's blur
        uncovers background. Without it the visible layers fill that place.
    """
    reach = math.ceil(max_coc / 2)
    hidden = hidden_background(image, coc, reach) if fill else None
    return composite(image, coc, num_layers, [_kernel_maker(psf, None, reach + 1)], reach + 1, hidden)[0]


def render_dual_pixel(
    image: Float[Array, "h w c"], coc: Float[Array, "h w"], max_coc: int, num_layers: int = 32
) -> tuple[Float[Array, "h w c"], Float[Array, "h w c"]]:
    """Render the left and right dual-pixel views, blurred by the disc's left and right halves.

    Behind the focal plane the left view has the left half, before it the right one.

    The right view, sampled at x + DISPARITY_PER_COC * coc, meets the left one at x. The defocused image is their mean.
    """
    pad = math.ceil(max_coc / 2) + 1
    kernel_makers = [_kernel_maker("disc", side, pad) for side in ("left", "right")]
    left, right = composite(image, coc, num_layers, kernel_makers, pad)
    return left, right


def composite(image, coc, num_layers, kernel_makers, pad=0, hidden=None):
    """Render layers back to front, once for each PSF; divide the blurred colours by the blurred masks at the end.

    Args:
      image: (h, w, c). coc: (h, w), signed diameter in pixels, rounded to `num_layers` values between its extremes.
      kernel_makers: functions (coc, size) -> transfer function (h, w1, 1 or c + 1): of colours and mask.
      pad: pixels that the image is mirrored by; with 0 the blur wraps around its borders, which are then to be cut.
      hidden: colours and COC of what is behind each pixel, NaN where nothing is.

    Returns: an image for each kernel maker.
    """
    if num_layers < 2:
        raise ValueError(f"render: num_layers is {num_layers}, at least 2 are needed")
    height, width, _ = image.shape
    low, high = coc.min(), coc.max()
    spacing = jnp.maximum(high - low, 1e-6) / (num_layers - 1)
    samples = []  # colours and COCs that are seen and, with `hidden`, those behind them
    for colours, at in ((image, coc),) if hidden is None else ((image, coc), hidden):
        colours = jnp.pad(colours, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
        samples.append((colours, jnp.round((jnp.pad(at, pad, mode="symmetric") - low) / spacing)))
    if hidden is not None:  # what a pixel of the same layer hides stays hidden
        (_, seen), (colours, behind) = samples
        samples[1] = colours, jnp.where(behind > seen, behind, jnp.nan)
    size = samples[0][0].shape[:2]

    def add_layer(carry, layer):
        masks = [(layer_of == layer).astype(image.dtype)[..., None] for _, layer_of in samples]
        colours = [jnp.concatenate([c * mask, mask], -1) for (c, _), mask in zip(samples, masks, strict=True)]
        spectrum = jnp.fft.rfft2(sum(colours), axes=(0, 1))
        layer_coc = low + layer * spacing
        out = []
        for behind, kernel_of in zip(carry, kernel_makers, strict=True):
            blurred = jnp.fft.irfft2(spectrum * kernel_of(layer_coc, size), s=size, axes=(0, 1))
            out.append(behind * (1 - jnp.clip(blurred[..., -1:], 0, 1)) + blurred)
        return tuple(out), None

    start = tuple(jnp.zeros((*size, image.shape[-1] + 1), image.dtype) for _ in kernel_makers)
    far_to_near = jnp.arange(num_layers - 1, -1, -1, dtype=image.dtype)
    views, _ = jax.lax.scan(add_layer, start, far_to_near)
    crop = (slice(pad, pad + height), slice(pad, pad + width))
    return tuple(v[crop][..., :-1] / jnp.maximum(v[crop][..., -1:], 1e-3) for v in views)


def hidden_background(
    image: Float[Array, "h w c"], coc: Float[Array, "h w"], reach: int, jump: float = 1.0, beyond: float = -math.inf
) -> tuple[Float[Array, "h w c"], Float[Array, "h w"]]:
    """Continue the background smoothly behind nearer things, up to `reach` pixels from their edges.

    1. Ring by ring from the edge inwards, a pixel takes the mean of those of its 8 neighbours whose COC is above
       `beyond` (0: behind the focal plane) and more than `jump` above its own: visible neighbours first, then continued
       ones. It stops where the pixel's own blur, half its COC, does not reach the edge: nothing is uncovered there.
    2. Continued pixels are averaged with their 8 neighbours, visible or not, at distances from reach / 2 down to 1,
       twice at each distance.

    Returns the background's colours, 0 where there is none, and its signed COC, NaN where there is none.
    """
    seen = jnp.concatenate([image, coc[..., None]], -1)
    strides = [2**i for i in reversed(range(reach.bit_length() - 1)) for _ in range(2)]

    def mean_of_farther(*fields, stride=1, margin=1):
        """Average the neighbours at that distance that are farther, each in the first field where it is."""
        padded = [jnp.pad(f, ((margin, margin), (margin, margin), (0, 0)), constant_values=jnp.nan) for f in fields]
        total, count = jnp.zeros_like(seen), jnp.zeros_like(coc)
        for y, x in itertools.product((-1, 0, 1), repeat=2):
            found = jnp.zeros_like(coc, bool)
            for field in padded:
                there = jax.lax.dynamic_slice(field, (margin + stride * y, margin + stride * x, 0), seen.shape)
                farther = ~found & (there[..., -1] > beyond) & (there[..., -1] > coc + jump)
                total += jnp.where(farther[..., None], there, 0)
                found |= farther
            count += found.astype(coc.dtype)
        return jnp.where(count[..., None] > 0, total / jnp.maximum(count, 1)[..., None], jnp.nan)

    def further(step, behind):
        wanted = jnp.isnan(behind[..., -1]) & (step < jnp.abs(coc) / 2)
        return jnp.where(wanted[..., None], mean_of_farther(behind), behind)

    def smooth(behind, stride):
        mean = mean_of_farther(seen, behind, stride=stride, margin=max(strides))
        return jnp.where(jnp.isnan(behind), jnp.nan, mean), None

    behind = jax.lax.fori_loop(1, reach, further, mean_of_farther(seen)) if reach > 0 else jnp.full_like(seen, jnp.nan)
    if strides:
        behind = jax.lax.scan(smooth, behind, jnp.asarray(strides))[0]
    return jnp.where(jnp.isnan(behind[..., -1:]), 0, behind[..., :-1]), behind[..., -1]


def _kernel_maker(psf, side, radius):
    """Return a function (signed coc, size) that gives the transfer function (h, w1, 1), half-spectrum of `size`."""
    if psf == "gaussian":
        return lambda coc, size: gaussian_transfer(SIGMA_PER_COC * jnp.abs(coc), size)[..., None]
    if psf == "disc":
        return lambda coc, size: _transfer(disc_psf(coc, radius, side), size)[..., None]
    raise ValueError(f"render: psf is {psf!r}, must be 'disc' or 'gaussian'")


def disc_psf(coc, radius: int, side: str | None = None) -> Float[Array, "k k"]:
    """Sample a disc of diameter |coc| pixels by area on a grid of 2 radius + 1; its sum is 1.

    Where |coc| <= 1 it is one pixel. side: None for the whole disc, "left" or "right" for half the aperture, mirrored
    where coc is negative.
    """
    s = _SUBSAMPLES
    fine = (jnp.arange((2 * radius + 1) * s, dtype=jnp.float32) + 0.5) / s - (radius + 0.5)
    y, x = fine[:, None], fine[None, :]
    coverage = jnp.clip((jnp.abs(coc) / 2 - jnp.sqrt(y**2 + x**2)) * s + 0.5, 0, 1)
    if side is not None:
        coverage = jnp.where(x * jnp.sign(coc) * (1 if side == "right" else -1) > 0, coverage, 0.0)
    one_pixel = (jnp.abs(y) < 0.5) & (jnp.abs(x) < 0.5)
    coverage = jnp.where(jnp.abs(coc) > 1, coverage, one_pixel.astype(fine.dtype))
    coverage = coverage.reshape(2 * radius + 1, s, 2 * radius + 1, s).sum((1, 3))
    return coverage / coverage.sum()


def _transfer(psf, size):
    """Return the transfer function of a PSF centred on its grid, for circular convolution at `size`."""
    k = psf.shape[0]
    placed = jnp.zeros(size, psf.dtype).at[:k, :k].set(psf)
    return jnp.fft.rfft2(jnp.roll(placed, (-(k // 2), -(k // 2)), (0, 1)))


def gaussian_transfer(sigma, size: tuple[int, int]) -> Complex[Array, "h w1"]:
    """Return a Gaussian's transfer function (half-spectrum), for circular convolution at `size`; sigma in pixels."""
    fy, fx = jnp.fft.fftfreq(size[0]), jnp.fft.rfftfreq(size[1])
    return jnp.exp(-2 * (jnp.pi * sigma) ** 2 * (fy[:, None] ** 2 + fx[None, :] ** 2)).astype(jnp.complex64)
