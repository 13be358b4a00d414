"""Weights drawn at random, as a file, for tests that need a network and not what it learnt."""

import jax
import numpy as np

from restore_jax import models, weights


def save_random(path, kind: str, card: dict, **options):
    """Saves weights of an image's network: kernels as by He, variances 1, the rest 0. Returns path."""
    model, blank = models.create(kind, **options), np.zeros((1, 64, 64, 3), np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), blank)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        scale = (2 / np.prod(leaf.shape[:-1])) ** 0.5 if name == "kernel" else 0.0
        return (scale * rng.standard_normal(leaf.shape) + (name == "var")).astype(np.float32)

    weights.save(path, jax.tree_util.tree_map_with_path(draw, shapes), kind, options, card)
    return path
