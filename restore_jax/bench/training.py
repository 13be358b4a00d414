"""Measures the training loop: images a second, share of time waiting for data, memory: restore-jax bench train.

It runs a config for two short intervals in a folder of its own. The first compiles and fills caches; the second counts.
"""

import json
import pathlib
import tempfile

import jax

from restore_jax import train
from restore_jax.bench import timing


def measure(config, steps: int) -> dict:
    """Measure the second of two intervals of `steps` steps: steps and images a second, waiting for data, bytes.

    peak_bytes: of the process; device_bytes: of the accelerator, None on CPU.
    """
    with config.unlocked():
        config.total_steps, config.log_every, config.checkpoint_every = 2 * steps, steps, 2 * steps + 1
        config.evaluation.every = 0
    with tempfile.TemporaryDirectory() as folder:
        train.train(config, folder)
        last = (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()[-1]
    names = ("steps_per_second", "images_per_second", "waiting_for_data")
    peak = timing.peak_memory()
    device = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {**{name: json.loads(last)[name] for name in names}, "peak_bytes": peak, "device_bytes": device}
