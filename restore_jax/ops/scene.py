"""Random plausible depth for photographs that have none: slanted planes, smooth surfaces, cut-out occluders."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

_OCCLUDERS = 3


def random_coc(key: Key[Array, ""], size: tuple[int, int], max_coc, min_coc=2.0) -> Float[Array, "h w"]:
    """Draw the signed COC map (pixels) of a random scene seen by a random lens.

    The scene is an inverse depth, in which COC is linear: a slanted plane plus a smooth surface, and before it up to
    three cut-outs, each a slanted plane of its own. The focal plane lies anywhere in the scene, or up to half its depth
    before or behind it. The largest |COC| is uniform in [min_coc, max_coc].
    """
    keys = jax.random.split(key, 5)
    nearness = _plane(keys[0], size) + _smooth_surface(keys[1], size)
    for occluder_key in jax.random.split(keys[2], _OCCLUDERS):
        nearness = _add_occluder(occluder_key, nearness)
    low, high = nearness.min(), nearness.max()
    focus = low + (high - low) * jax.random.uniform(keys[3], minval=-0.5, maxval=1.5)
    distance = focus - nearness
    largest = jax.random.uniform(keys[4], minval=min_coc, maxval=max_coc)
    return distance * largest / jnp.maximum(jnp.abs(distance).max(), 1e-6)


def _grid(size):
    y = jnp.linspace(-1, 1, size[0])[:, None]
    x = jnp.linspace(-1, 1, size[1])[None, :]
    return y, x


def _plane(key, size, slope=1.0):
    y, x = _grid(size)
    a, b = slope * jax.random.normal(key, (2,))
    return a * y + b * x


def _smooth_surface(key, size):
    strength_key, coarse_key, fine_key = jax.random.split(key, 3)
    strength = jax.random.uniform(strength_key, (2,))
    coarse = jax.image.resize(jax.random.normal(coarse_key, (3, 3)), size, "cubic")
    fine = jax.image.resize(jax.random.normal(fine_key, (6, 6)), size, "cubic")
    return strength[0] * coarse + 0.5 * strength[1] * fine


def cut_out(key: Key[Array, ""], size: tuple[int, int]) -> tuple[Bool[Array, "h w"], Float[Array, ""]]:
    """Draw the mask of a blob that stands before a scene, and how much nearer it is: .1 to about 2."""
    keys = jax.random.split(key, 4)
    y, x = _grid(size)
    cy, cx = jax.random.uniform(keys[0], (2,), minval=-1.0, maxval=1.0)
    radius = jax.random.uniform(keys[1], minval=0.15, maxval=0.9)
    return _blob(keys[2], y - cy, x - cx, radius), jnp.abs(jax.random.normal(keys[3])) + 0.1


def _blob(key, y, x, radius):
    """Tell which points lie inside a wavy closed curve around the origin."""
    phases = jax.random.uniform(key, (4,), maxval=2 * jnp.pi)
    angle = jnp.arctan2(y, x)
    wobble = sum(0.15 * jnp.sin((n + 2) * angle + phases[n]) for n in range(4))
    return jnp.sqrt(y**2 + x**2) < radius * (1 + wobble)


def _add_occluder(key, nearness):
    """Add, with probability 1/2, a blob or half-plane that is at least as near as what it covers."""
    keys = jax.random.split(key, 6)
    y, x = _grid(nearness.shape)
    cy, cx = jax.random.uniform(keys[0], (2,), minval=-1.0, maxval=1.0)
    radius = jax.random.uniform(keys[1], minval=0.15, maxval=0.7)
    blob = _blob(keys[2], y - cy, x - cx, radius)
    direction = jax.random.uniform(jax.random.fold_in(keys[2], 1), maxval=2 * jnp.pi)
    half_plane = jnp.cos(direction) * (y - cy) + jnp.sin(direction) * (x - cx) > 0
    chance = jax.random.uniform(keys[3])
    mask = jnp.where(chance < 0.35, blob, (chance < 0.5) & half_plane)
    step = jnp.abs(jax.random.normal(keys[4])) + 0.1
    base = jnp.max(jnp.where(mask, nearness, -jnp.inf))
    surface = jnp.where(jnp.isfinite(base), base, 0.0) + step + _plane(keys[5], nearness.shape, 0.3)
    return jnp.where(mask, jnp.maximum(surface, nearness), nearness)
