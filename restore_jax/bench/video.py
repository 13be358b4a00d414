"""Measures seconds a frame and peak memory of streamed video super-resolution with a reference: bench vsr.

A frame is timed once the window is full: its features, flows and matching, a forward step, the backward steps, and the
restoration. In the same run plain 3x3 convolutions say what the machine does; memory is that of the process.
"""

import itertools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from restore_jax import models
from restore_jax.bench import timing
from restore_jax.video import stream
from restore_jax.video.engines import engine
from restore_jax.weights import Restorer

NETWORKS = {"small": {"mid_channels": 24, "num_blocks": 24}, "base": {"mid_channels": 48, "num_blocks": 30}}
PUBLISHED = {("small", 120, 68): (1.6, None), ("small", 240, 136): (9.0, 1.4)}  # seconds, GB: PyTorch on 2 cores


def drawn_weights(network: str, mode: str):
    """Make a RefVSR of NETWORKS with random weights, as a `restore_jax.weights.Restorer`."""
    model = models.create("refvsr", mode=mode, **NETWORKS[network])
    return Restorer(network, model, timing.drawn_variables(model), {})


def measure(weights, width: int, height: int, frames: int, tile: int | None) -> dict:
    """Measure first_seconds, seconds of each later frame, peak_bytes, and gflops_plain, a 3x3 convolution's rate."""
    rng = np.random.default_rng(0)
    chosen = engine(weights)
    pair = tuple(rng.random((height, width, 3), np.float32) for _ in range(2))
    needed = chosen.behind + frames + 1 + chosen.ahead
    moments, last = [], time.perf_counter()
    for _ in itertools.islice(stream.restored(chosen, itertools.repeat(pair, needed), tile=tile), frames + 1):
        now = time.perf_counter()
        moments.append(now - last)
        last = now
    found = {"first_seconds": moments[0], "seconds": moments[1:], "peak_bytes": timing.peak_memory()}
    return found | {"gflops_plain": plain_rate()}


def plain_rate() -> float:
    """Measure the GFLOP/s of a 3x3 convolution, 64 channels, 180x320, warm."""
    x, kernel = jnp.ones((1, 180, 320, 64)), jnp.ones((3, 3, 64, 64))
    layout = ("NHWC", "HWIO", "NHWC")
    run = jax.jit(lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=layout))
    (times,) = timing.in_turn([lambda: jax.block_until_ready(run(x, kernel))], 5)
    return 2e-9 * 180 * 320 * 9 * 64 * 64 / statistics.median(times)
