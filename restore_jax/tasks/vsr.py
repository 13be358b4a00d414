"""Video super-resolution without explicit references, and the reference memory (dissertation 6.2.2).

An example holds "lrs" (t, h, w, 3) and the truth: "hrs" (t, s h, s w, 3) for a network that restores every frame, "hr"
(s h, s w, 3) for one that restores the centre frame alone. If config.loss.memory is not 0 it also holds "refs"
(t, hr, wr, 3), reference frames to memorise.

The two losses train different modules (section 6.2.2): L_RMem the bank, the encoder of reference queries and the
reconstructor; L_RefVSR the bank, the encoder of LR queries, the fusion and the network that the memory is plugged into.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from restore_jax import losses, metrics, weights
from restore_jax.models import initial_variables
from restore_jax.tasks.terms import Arrays, LossValue, Phases, Variables, bicubic, summed, views_as_floats

SCALE = 4


def initial_params(model: nn.Module, key: jax.Array, config: ConfigDict) -> Variables:
    """Return initial parameters.

    config.spynet: weights of the flow network. config.backbone: weights of the network without memory.
    config.memorised: weights of this network after memorisation alone. The bank is taken from it. The encoder of LR
    queries starts as its encoder of reference queries, which sees frames of the same scale, so that look-ups are
    meaningful from the first step.
    """
    variables = initial_variables(model, key)
    if config.spynet:
        flow = weights.load_into(config.spynet, "spynet", {})["params"]
        variables = {"params": {**variables["params"], "flow_network": flow}}
    if config.backbone:
        plain = {name: value for name, value in config.model.options.items() if name != "memory"}
        own = weights.load_into(config.backbone, config.model.name, plain)["params"]
        variables = {"params": {**variables["params"], **own}}
    if config.get("memorised"):
        bank = weights.load_into(config.memorised, config.model.name, config.model.options)["params"]["bank"]
        bank = {**bank, "lr_queries": bank["reference_queries"]}
        variables = {"params": {**variables["params"], "bank": bank}}
    return {"params": variables["params"]}


def inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return the views as float32 in [0, 1]; the data has the cameras' noise and exposure already."""
    return views_as_floats(example)


def evaluation_inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return the views as float32 in [0, 1]."""
    return inputs(example, key, config)


def phases(config: ConfigDict) -> Phases:
    """Train everything by `loss`, or the memory alone where nothing is super-resolved (Tables 6.4 and 6.5)."""
    return ((() if config.loss.pixel else ("bank",), loss),)


def loss(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Sum the terms, each times its weight in config.loss.

    pixel: L_RefVSR (Eq. 6.3), by config.loss.norm, of the restored frames. memory: L_RMem (Eq. 6.2), mean absolute
    error.
    """
    weights, terms, values = config.loss, {}, {}
    if weights.pixel:
        result, truth = model.apply(params, inputs["lrs"], train=True)["image"], _truth(inputs)
        terms["pixel"] = weights.pixel * getattr(losses, weights.norm)(result, truth)
        values["gain_db"] = jnp.mean(_psnr(result, truth) - _psnr(_bicubic(inputs), truth))
    if weights.memory:
        frames = inputs["refs"].reshape(-1, *inputs["refs"].shape[2:])
        remembered = model.apply(params, frames, method="reconstruct_reference")
        terms["memory"] = weights.memory * losses.l1(remembered, frames)
        values["memory_db"] = jnp.mean(metrics.psnr(jnp.clip(remembered, 0, 1), frames, "refvsr"))
    total, values = summed(terms, **values)
    return total, (values, {})


def evaluate(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> tuple[Arrays, Arrays]:
    """Compute PSNR (b,) of the centre frame (convention "refvsr"), its gain over bicubic, and pictures."""
    result, truth = model.apply(params, inputs["lrs"])["image"], _truth(inputs)
    middle = [_centre(x) for x in (_bicubic(inputs), jnp.clip(result, 0, 1), truth)]
    plain, ours = (metrics.psnr(x, middle[2], "refvsr") for x in middle[:2])
    pictures = dict(zip(("input", "result", "truth"), middle, strict=True))
    return {"psnr": ours, "gain_db": ours - plain}, pictures


def _truth(inputs):
    return inputs["hrs"] if "hrs" in inputs else inputs["hr"]


def _bicubic(inputs):
    """Interpolate bicubically all frames, or the centre frame if only that has a truth."""
    lrs = inputs["lrs"]
    if "hrs" not in inputs:
        return bicubic(_centre(lrs), SCALE)
    return jax.vmap(lambda x: bicubic(x, SCALE), 1, 1)(lrs)


def _centre(frames):
    return frames[:, frames.shape[1] // 2] if frames.ndim == 5 else frames


def _psnr(result, truth):
    flat = (jnp.clip(x, 0, 1).reshape(-1, *x.shape[-3:]) for x in (result, truth))
    return metrics.psnr(*flat, "refvsr")
