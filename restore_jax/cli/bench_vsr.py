"""restore-jax bench vsr measures seconds a frame and memory of video super-resolution with a reference, streaming."""

import json
import pathlib
import statistics

from restore_jax.cli.arguments import new_file, positive, size_of

EXAMPLES = "restore-jax bench vsr --size 120x68"


def add_arguments(parser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    help = "width and height in pixels of the frames and references (default: 240x136)"
    add("--size", type=size_of(4), default=(136, 240), metavar="WxH", help=help)
    add("--network", choices=("small", "base"), default="small", help="size of the network (default: small)")
    add("--hd", action="store_true", help="measure the network for real HD input, matched at a quarter")
    add("--frames", type=int, default=3, metavar="N", help="frames timed after the first (default: 3)")
    help = "side in pixels of the largest square computed at once (default: no tiles)"
    add("--tile", type=positive, metavar="N", help=help)
    add("--json", type=new_file, metavar="FILE", help="write what was measured there")


def run(args) -> int:
    """Measure, print one line, and write --json."""
    from restore_jax.bench import video

    height, width = args.size
    if width % 8 or args.frames < 0:
        args.parser.error("the width is a multiple of 8, --frames at least 0")
    weights = video.drawn_weights(args.network, "hd" if args.hd else "downsampled")
    measured = video.measure(weights, width, height, args.frames, args.tile)
    steady = statistics.median(measured["seconds"]) if measured["seconds"] else None
    line = f"refvsr {args.network}{' hd' if args.hd else ''} {width}x{height}, window of 7: "
    line += f"{steady:.2f} s a frame, " if steady else ""
    line += f"first {measured['first_seconds']:.1f} s with compiling, peak {measured['peak_bytes'] / 1e9:.2f} GB"
    line += f"; a plain 3x3 convolution reaches {measured['gflops_plain']:.0f} GFLOP/s"
    seconds, gigabytes = video.PUBLISHED.get((args.network, width, height), (None, None))
    if seconds and not args.hd:
        line += f"; the published PyTorch network took {seconds} s" + (f", {gigabytes} GB" if gigabytes else "")
    print(line)
    if args.json:
        document = measured | {"command": args.words[1:]}
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0
