"""Point-spread functions of real lenses: a random aperture, its aberrations, and a little motion.

    lens = random_lens(key, settings)
    kernel = point_spread(lens, coc=9.5, reach=12)              # (25, 25, 3), each colour sums to 1

A PSF of diameter |coc| pixels is the picture of the aperture: a disc or a polygon of 5 to 9 blades. The barrel cuts it
towards the corners (cat's eye); spherical aberration makes its rim brighter on one side of the focal plane and darker
on the other; axial chromatic aberration gives red and blue sizes of their own; and real defocus is more or less like a
Gaussian (dissertation section 3.2.3). `side` keeps half of the aperture: the view of one photodiode of a dual pixel.
Source: Born and Wolf, "Principles of Optics", chapter 5 (aberrations); dual pixels: Wadhwa et al., "Synthetic
depth-of-field with a single-camera mobile phone", 2018.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Key

_SUBSAMPLES = 3  # per pixel and axis


class Lens(NamedTuple):
    """One lens as seen from one place of the picture; all scalars but `motion`."""

    blades: Float[Array, ""]  # number of blades, 0: a circle
    rotation: Float[Array, ""]  # of the polygon, radians
    gaussian: Float[Array, ""]  # share of a Gaussian of sigma = |coc| / 4 in the PSF, 0 to 1
    rim: Float[Array, ""]  # brightness of the rim over that of the middle behind focus: 1 + rim to 1 - rim; -1 to 1
    cut: Float[Array, ""]  # distance of the barrel's circle from the aperture's, in radii; 0: no cat's eye
    cut_angle: Float[Array, ""]  # its direction, radians
    colour: Float[Array, ""]  # red PSFs are larger by this factor less 1, blue ones smaller
    motion: Float[Array, " 2"]  # (y, x) length in pixels of a straight shake during the exposure


def random_lens(key: Key[Array, ""], settings) -> Lens:
    """A random lens.

    settings: polygon, cut (probabilities), gaussian (probabilities of a pure aperture, a pure Gaussian; the rest are
    mixtures), rim, colour (largest absolute values), motion (probability, longest in pixels).
    """
    keys = jax.random.split(key, 12)

    def uniform(n, low=0.0, high=1.0):
        return jax.random.uniform(keys[n], minval=low, maxval=high)

    blades = jnp.where(uniform(0) < settings.polygon, jnp.floor(uniform(1, 5.0, 10.0)), 0.0)
    choice = uniform(2)
    pure, smooth = settings.gaussian
    gaussian = jnp.where(choice < pure, 0.0, jnp.where(choice < pure + smooth, 1.0, uniform(3)))
    cut = jnp.where(uniform(4) < settings.cut, uniform(5, 0.1, 0.8), 0.0)
    shaken, longest = settings.motion
    length = jnp.where(uniform(6) < shaken, uniform(7, 0.0, float(longest)), 0.0)
    angle = uniform(8, 0.0, 2 * jnp.pi)
    return Lens(
        blades=blades,
        rotation=uniform(9, 0.0, 2 * jnp.pi),
        gaussian=gaussian,
        rim=settings.rim * uniform(10, -1.0, 1.0),
        cut=cut,
        cut_angle=angle + 1.0,  # unrelated to the shake's by the random rotation of training crops
        colour=settings.colour * uniform(11, -1.0, 1.0),
        motion=length * jnp.stack([jnp.sin(angle), jnp.cos(angle)]),
    )


def point_spread(lens: Lens, coc, reach: int, side: str | None = None) -> Float[Array, "k k 3"]:
    """The PSF of a signed COC on a grid of 2 reach + 1 pixels, area-sampled, each colour with sum 1; without motion.

    side: None, or "left" / "right": of the aperture's half that this dual-pixel view sees, mirrored where coc < 0.
    """
    s = _SUBSAMPLES
    fine = (jnp.arange((2 * reach + 1) * s, dtype=jnp.float32) + 0.5) / s - (reach + 0.5)
    y, x = fine[:, None], fine[None, :]
    sign = jnp.where(coc < 0, -1.0, 1.0)
    # In front of the focal plane the aperture is seen upside down.
    y, x = sign * y, sign * x
    distance = jnp.sqrt(y**2 + x**2)
    # A polygon's edge lies at R cos(pi / n) / cos(angle from the middle of a side).
    n = jnp.maximum(lens.blades, 3.0)
    from_side = jnp.mod(jnp.arctan2(y, x) + lens.rotation, 2 * jnp.pi / n) - jnp.pi / n
    edge = jnp.where(lens.blades > 0, jnp.cos(jnp.pi / n) / jnp.cos(from_side), 1.0)
    cut_y, cut_x = lens.cut * jnp.sin(lens.cut_angle), lens.cut * jnp.cos(lens.cut_angle)
    one_pixel = ((jnp.abs(y) < 0.5) & (jnp.abs(x) < 0.5)).astype(distance.dtype)
    half = jnp.ones_like(distance)
    if side is not None:
        # Samples on the line between the halves belong to both.
        half = jnp.clip(x * (s if side == "right" else -s) + 0.5, 0, 1) + jnp.zeros_like(distance)

    def of_colour(size):
        radius = jnp.abs(coc) * size / 2
        inside = jnp.clip((radius * edge - distance) * s + 0.5, 0, 1)
        barrel = jnp.sqrt((y - radius * cut_y) ** 2 + (x - radius * cut_x) ** 2)
        inside *= jnp.clip((radius - barrel) * s + 0.5, 0, 1)
        share = distance**2 / jnp.maximum(radius, 0.5) ** 2
        inside *= 1 + lens.rim * sign * jnp.clip(2 * share - 1, -1, 1)
        bell = jnp.exp(-2 * share)  # sigma is half the radius
        flat, bell = (p / jnp.maximum(p.sum(), 1e-6) for p in (inside, bell))
        psf = half * ((1 - lens.gaussian) * flat + lens.gaussian * bell)
        psf = jnp.where(jnp.abs(coc) * size > 1, psf, half * one_pixel)
        psf = psf.reshape(2 * reach + 1, s, 2 * reach + 1, s).sum((1, 3))
        return psf / jnp.maximum(psf.sum(), 1e-6)

    return jnp.stack([of_colour(1 + lens.colour), of_colour(1.0), of_colour(1 - lens.colour)], -1)


def transfer(lens: Lens, coc, size: tuple[int, int], reach: int, side: str | None = None) -> Complex[Array, "h w1 3"]:
    """The transfer function of `point_spread` and of the shake, for circular convolution at `size` (half-spectrum)."""
    psf = point_spread(lens, coc, reach, side)
    placed = jnp.zeros((*size, 3), psf.dtype).at[: psf.shape[0], : psf.shape[1]].set(psf)
    spectrum = jnp.fft.rfft2(jnp.roll(placed, (-reach, -reach), (0, 1)), axes=(0, 1))
    fy, fx = jnp.fft.fftfreq(size[0]), jnp.fft.rfftfreq(size[1])
    shake = jnp.sinc(lens.motion[0] * fy[:, None] + lens.motion[1] * fx[None, :]).astype(spectrum.dtype)
    return spectrum * shake[..., None]
