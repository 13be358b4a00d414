"""Goldens, which are stored channels first, in our layout; and of RefVSR windows, and how near an image must come."""

import jax.numpy as jnp
import numpy as np


def channels_last(array):
    """(..., c, h, w), as goldens are stored, to (..., h, w, c)."""
    return jnp.asarray(np.moveaxis(array, -3, -1))


def windows(arrays):
    """RefVSR's frames and references of the first window, and of the one a frame later."""
    first = [channels_last(arrays[name]) for name in ("lrs", "refs")]
    new = [channels_last(arrays[name])[:, None] for name in ("lrs_next", "refs_next")]
    return first, [jnp.concatenate([x[:, 1:], y], 1) for x, y in zip(first, new, strict=True)]


def assert_image(ours, expected):
    """All but one pixel in a thousand, which a flipped patch index may move."""
    far = np.abs(ours - channels_last(expected)).max(-1) > 1e-4
    assert far.mean() <= 1e-3
