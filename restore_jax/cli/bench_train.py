"""restore-jax bench train measures the training loop: images a second, waiting for data, memory."""

import json
import pathlib

from restore_jax.cli.arguments import new_file, positive

EXAMPLES = "restore-jax bench train --config=configs/ifan.py:small --data photos/ --steps 50"


def add_arguments(parser) -> None:
    """Add the arguments of the verb; --config.a.b=value and the like are its overrides."""
    add = parser.add_argument
    help = "config file and its variant (default: configs/ifan.py:small)"
    add("--config", default="configs/ifan.py:small", metavar="FILE[:VARIANT]", help=help)
    add("--data", nargs="+", metavar="FOLDER", help="train on these photographs or pairs (default: the config's)")
    add("--steps", type=positive, default=50, metavar="N", help="steps of each of the two intervals (default: 50)")
    add("--json", type=new_file, metavar="FILE", help="write what was measured there")
    parser.set_defaults(overrides=())


def run(args) -> int:
    """Measure, print one line, and write --json."""
    from restore_jax.bench import training
    from restore_jax.train.config import load_config, with_folders

    config = load_config(args.config, args.overrides)
    if args.data:
        config = with_folders(config, args.data)
    measured = training.measure(config, args.steps)
    print(
        f"{args.config}: {measured['images_per_second']:.1f} images/s, {measured['steps_per_second']:.2f} steps/s of "
        f"{config.data.batch_size} x {config.data.size}x{config.data.size}, {measured['waiting_for_data']:.1%} waiting "
        f"for data, peak {measured['peak_bytes'] / 1e9:.2f} GB"
        + (f", device {measured['device_bytes'] / 1e9:.2f} GB" if measured["device_bytes"] else "")
    )
    if args.json:
        document = {"command": args.words[1:], **measured}
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0
