"""Test-time optimisation of a reference memory: its keys and basis learn one reference video (dissertation 6.2.2).

Nothing else of the network changes, and what ships never does: the adapted bank is kept in the cache by the hash of all
that decides it, and the same call finds it there.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from restore_jax.cache import enable_compilation_cache
from restore_jax.errors import InputError
from restore_jax.weights.files import read_safetensors, save
from restore_jax.weights.tree import flatten

EPOCHS = 10
PATCH = 128  # side of what is learnt from at once, pixels of the reference
BATCH = 4
RATE = 2e-3
PATIENCE = 2  # epochs without a gain of LEAST_GAIN
LEAST_GAIN = 0.01  # dB
LEARNT = ("keys", "basis")


@dataclasses.dataclass(frozen=True)
class Adapted:
    """The result of `adapt`.

    weights: those given, with the adapted bank. psnr: of the reconstructed references (dB, on [0, 1], clipped), before
    the first epoch and after each; the bank is that of the best. cached: it was found in the cache, not learnt now.
    """

    weights: object
    psnr: tuple[float, ...]
    cached: bool


def adapt(
    weights,
    references: Sequence[np.ndarray],
    *,
    epochs: int = EPOCHS,
    minutes: float | None = None,
    rate: float = RATE,
    seed: int = 0,
    cache: pathlib.Path | None = None,
    progress: Callable[[int, float], None] = lambda epoch, psnr: None,
) -> Adapted:
    """Adapt the memory (keys and basis) of `weights`, a `restore_jax.weights.Restorer`, to reference frames.

    Args:
      references: (h, w, 3) float32 in [0, 1], of one size and even sides, at the scale they are used at: two pixels
        for one of the frames to be enlarged.
      epochs: at most so many times over all frames; it ends early once `PATIENCE` epochs gain nothing.
      minutes: at most so long, whole epochs; the first is always finished.
      cache: a folder to keep the result in, and to look for it; None for neither.
      progress: called with the epoch (0 before the first) and the PSNR.
    Raises InputError for weights without a memory, and for frames that are too small or of different sizes.
    """
    check_memory(weights)
    frames = _checked(references)
    path = None
    if cache is not None:
        path = pathlib.Path(cache) / f"{_key(weights, frames, epochs, minutes, rate, seed)}.safetensors"
        if (found := _cached(path)) is not None:
            bank, history = found
            return Adapted(_with_bank(weights, bank), history, True)
    enable_compilation_cache()
    params = jax.device_put(weights.params)
    bank = {name: params["params"]["bank"][name] for name in LEARNT}
    step, measure, optimizer = _functions(weights.model, rate)
    optimizer_state = optimizer.init(bank)
    rng = np.random.default_rng(seed)

    def psnr(bank):
        return -10 * math.log10(np.mean([float(measure(bank, params, frame[None])) for frame in frames]))

    best, history = bank, [psnr(bank)]
    progress(0, history[0])
    began = time.monotonic()
    for epoch in range(1, epochs + 1):
        for batch in _epoch(frames, rng):
            bank, optimizer_state = step(bank, optimizer_state, params, batch)
        history.append(psnr(bank))
        progress(epoch, history[-1])
        if history[-1] > max(history[:-1]):
            best = bank
        spent = (time.monotonic() - began) / 60
        if minutes is not None and spent * (epoch + 1) / epoch > minutes:
            break
        if epoch >= PATIENCE and max(history[-PATIENCE:]) < max(history[:-PATIENCE]) + LEAST_GAIN:
            break
    best = jax.tree.map(np.asarray, best)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, {"params": best}, "memory", {}, {"psnr": history})
    return Adapted(_with_bank(weights, best), tuple(history), False)


def _functions(model, rate):
    """Return (step, measure, optimizer); the functions are jitted and take the bank apart from other parameters."""
    optimizer = optax.adam(rate)  # rectified Adam, which trained the rest, adapts nothing in its first steps

    def error(bank, params, frames, power):
        whole = {**params["params"], "bank": {**params["params"]["bank"], **bank}}
        remembered = model.apply({"params": whole}, frames, method="reconstruct_reference")
        remembered = jnp.clip(remembered, 0, 1) if power == 2 else remembered
        return jnp.mean(jnp.abs(remembered - frames) ** power)

    @jax.jit
    def step(bank, state, params, frames):
        gradients = jax.grad(error)(bank, params, frames, 1)
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic is not strict
            updates, state = optimizer.update(gradients, state, bank)
        return optax.apply_updates(bank, updates), state

    return step, jax.jit(lambda bank, params, frames: error(bank, params, frames, 2)), optimizer


def _epoch(frames, rng):
    """Yield batches (BATCH, p, p, 3) of as many patches as cover all frames once, at random places."""
    height, width = frames[0].shape[:2]
    side = min(PATCH, height, width) // 2 * 2
    per_frame = max(1, round(height * width / side**2))
    order = rng.permutation(np.repeat(np.arange(len(frames)), per_frame))
    order = np.resize(order, -(-len(order) // BATCH) * BATCH)
    for numbers in order.reshape(-1, BATCH):
        corners = rng.integers([height - side + 1, width - side + 1], size=(BATCH, 2))
        yield np.stack([frames[n][y : y + side, x : x + side] for n, (y, x) in zip(numbers, corners, strict=True)])


def check_memory(weights) -> None:
    """Raise InputError for weights (`restore_jax.weights.Restorer`) without a reference memory."""
    if "bank" not in weights.params["params"]:
        raise InputError(f"weights {weights.name}: have no reference memory")


def _checked(references) -> list[np.ndarray]:
    frames = [np.asarray(frame, np.float32) for frame in references]
    if not frames:
        raise InputError("references: there is none to adapt to")
    shape = frames[0].shape
    if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < 8 or shape[0] % 2 or shape[1] % 2:
        raise InputError(f"references: shape {shape} is not (h, w, 3) with even sides of at least 8")
    if other := next((frame.shape for frame in frames if frame.shape != shape), None):
        raise InputError(f"references: shapes {shape} and {other} differ")
    return frames


def _key(weights, frames, *options) -> str:
    """Return a hex digest of all that decides the result."""
    digest = hashlib.sha256(json.dumps([*options, PATCH, BATCH, PATIENCE, LEAST_GAIN]).encode())
    for name, array in sorted(flatten(weights.params).items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    for frame in frames:
        digest.update(repr(frame.shape).encode() + np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()


def _cached(path):
    """Read (bank, PSNR history) from a file that `adapt` wrote; None if it is missing or damaged."""
    try:
        params, header = read_safetensors(path)
        return {name: params["params"][name] for name in LEARNT}, tuple(header["card"]["psnr"])
    except (InputError, KeyError):
        return None


def _with_bank(weights, bank):
    """Return the weights with another bank; those given stay as they are."""
    modules = weights.params["params"]
    params = {**weights.params, "params": {**modules, "bank": {**modules["bank"], **bank}}}
    return dataclasses.replace(weights, params=params)
