"""restore-jax bench render measures SYNDOF's renderer beside a loop over whole images in NumPy and SciPy."""

import json
import pathlib

from restore_jax.cli.arguments import new_file, positive, size_of

EXAMPLES = "restore-jax bench render --size 512x256 --layers 100"


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    help = "width and height in pixels of the image (default: 1024x436)"
    add("--size", type=size_of(), default=(436, 1024), metavar="WxH", help=help)
    add("--layers", type=positive, default=350, metavar="N", help="layers of depth (default: 350)")
    help = "rounds of measuring (default: 1, as the loop takes a minute)"
    add("--repeats", type=positive, default=1, metavar="N", help=help)
    add("--no-loop", action="store_true", help="measure our renderer alone")
    add("--json", type=new_file, metavar="FILE", help="write what was measured there")


def run(args) -> int:
    """Measure, print one line, and write --json."""
    from restore_jax.bench import rendering

    height, width = args.size
    if args.layers < 2:
        args.parser.error("--layers: at least 2")
    measured = rendering.measure(height, width, args.layers, args.repeats, not args.no_loop)
    line = f"render {width}x{height}, {args.layers} layers: {measured['images_a_minute']:.1f} images/minute"
    if "ratio" in measured:
        line += f", NumPy/SciPy loop {measured['loop_images_a_minute']:.2f}: {measured['ratio']:.1f} times as fast"
        line += f", largest difference {measured['largest_difference']:.1e}"
    print(f"{line}, peak {measured['peak_bytes'] / 1e9:.2f} GB")
    if args.json:
        document = measured | {"command": args.words[1:]}
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0
