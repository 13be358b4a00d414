"""Weights drawn at random, for tests that need a network and not what it learnt.

NumPy draws them: compiling flax's initialisers would take longer than most tests.
"""

import jax
import jax.numpy as jnp
import numpy as np

from restore_jax import models, weights


def by_size(shape):
    """A deviation for which outputs of small networks are neither 0 nor huge, by the number of an array's elements."""
    return np.prod(shape) ** -0.25 / 2


def by_fan_in(shape):
    """A deviation that keeps the spread of activations, by what an output is the sum of; biases of a tenth."""
    return (np.prod(shape[:-1]) if len(shape) > 1 else 100) ** -0.5


def drawn(shapes, deviation, seed=0):
    """Normal numbers in the place of all arrays of a tree of shapes; deviation: a number, or a function of a shape."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        sigma = deviation(leaf.shape) if callable(deviation) else deviation
        return jnp.asarray(rng.normal(0, sigma, leaf.shape), jnp.float32)

    return jax.tree.map(draw, shapes)


def restorer(kind, deviation, card=None, **options):
    """A small network of that kind and its options with drawn weights, called "tiny"."""
    model = models.create(kind, **options)
    return weights.Restorer("tiny", model, drawn(models.variable_shapes(model), deviation), card or {})


def save_random(path, kind: str, card: dict, **options):
    """Saves weights of a network: kernels as by He, variances 1, the rest 0. Returns path."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        scale = (2 / np.prod(leaf.shape[:-1])) ** 0.5 if name == "kernel" else 0.0
        return (scale * rng.standard_normal(leaf.shape) + (name == "var")).astype(np.float32)

    shapes = models.variable_shapes(models.create(kind, **options))
    weights.save(path, jax.tree_util.tree_map_with_path(draw, shapes), kind, options, card)
    return path
