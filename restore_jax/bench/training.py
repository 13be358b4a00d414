"""restore-jax bench train: images a second, share of time spent waiting for data, and memory, of the real loop.

Runs a config for two short intervals in a folder of its own: the first compiles and fills caches, the second counts.
"""

import json
import pathlib
import tempfile

from restore_jax import train
from restore_jax.bench import timing
from restore_jax.cli.arguments import Parser, new_file, positive
from restore_jax.train.config import load_config, with_folders


def measure(config, steps: int) -> dict:
    """The second of two intervals of `steps` steps: steps_per_second, images_per_second, waiting_for_data, and bytes.

    peak_bytes: of the process; device_bytes: of the accelerator, None on CPU.
    """
    import jax

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


def main(argv: list[str]) -> int:
    """Measures and prints one line, and writes --json."""
    parser = Parser(prog="restore-jax bench train", description=__doc__)
    parser.add_argument("--config", default="configs/ifan.py:small", metavar="FILE[:VARIANT]", help="what to train")
    parser.add_argument("--data", nargs="+", metavar="FOLDER", help="on these photographs or pairs")
    parser.add_argument("--steps", type=positive, default=50, metavar="N", help="of each of the two intervals (50)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write what was measured there")
    args, overrides = parser.parse_known_args(argv)
    config = load_config(args.config, overrides)
    if args.data:
        config = with_folders(config, args.data)
    found = measure(config, args.steps)
    print(
        f"{args.config}: {found['images_per_second']:.1f} images/s, {found['steps_per_second']:.2f} steps/s of "
        f"{config.data.batch_size} x {config.data.size}x{config.data.size}, {found['waiting_for_data']:.1%} waiting "
        f"for data, peak {found['peak_bytes'] / 1e9:.2f} GB"
        + (f", device {found['device_bytes'] / 1e9:.2f} GB" if found["device_bytes"] else "")
    )
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"command": argv, **found}, indent=1) + "\n")
    return 0
