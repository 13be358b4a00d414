"""A task and a network small enough to compile in a second: three convolutions that take noise away."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from restore_jax import metrics


class Model(nn.Module):
    """conv 3 -> 16 -> 16 -> 3, residual."""

    @nn.compact
    def __call__(self, x):
        y = nn.relu(nn.Conv(16, (3, 3))(x))
        y = nn.relu(nn.Conv(16, (3, 3))(y))
        return x + nn.Conv(3, (3, 3))(y)


def initial_params(model, key, config):
    return model.init(key, jnp.zeros((1, 16, 16, 3)))


def inputs(example, key, config):
    sharp = example["sharp"].astype(jnp.float32) / 255
    return {"sharp": sharp, "noisy": sharp + 0.1 * jax.random.normal(key, sharp.shape)}


evaluation_inputs = inputs


def phases(config):
    return (((), loss),)


def loss(model, params, inputs, config):
    value = jnp.mean(jnp.square(model.apply(params, inputs["noisy"]) - inputs["sharp"]))
    return value, ({"loss": value}, {})


def evaluate(model, params, inputs, config):
    result = jnp.clip(model.apply(params, inputs["noisy"]), 0, 1)
    values = {"psnr": metrics.psnr(result, inputs["sharp"]), "ssim": metrics.ssim(result, inputs["sharp"])}
    return values, {"result": result}
