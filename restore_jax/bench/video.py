"""restore-jax bench vsr: seconds a frame and peak memory of reference-based video super-resolution as it streams.

A frame is timed once the window is full: its features, flows and matching, a forward step, the backward steps, and the
restoration. In the same run plain 3x3 convolutions say what the machine does; memory is that of the process.
"""

import itertools
import json
import pathlib
import statistics
import time

import numpy as np

from restore_jax.bench import timing
from restore_jax.cli.arguments import Parser, new_file, positive, size_of

NETWORKS = {"small": {"mid_channels": 24, "num_blocks": 24}, "base": {"mid_channels": 48, "num_blocks": 30}}
PUBLISHED = {("small", 120, 68): (1.6, None), ("small", 240, 136): (9.0, 1.4)}  # seconds, GB: PyTorch on 2 cores


def drawn_weights(network: str, mode: str):
    """A RefVSR of NETWORKS with random weights, as a `restore_jax.weights.Restorer`."""
    from restore_jax import models
    from restore_jax.weights import Restorer

    model = models.create("refvsr", mode=mode, **NETWORKS[network])
    return Restorer(network, model, timing.drawn_variables(model), {})


def measure(weights, width: int, height: int, frames: int, tile: int | None) -> dict:
    """first_seconds, seconds (of each frame after it), peak_bytes, and gflops_plain, the rate of a 3x3 convolution."""
    from restore_jax.video import stream
    from restore_jax.video.engines import engine

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
    """GFLOP/s of a 3x3 convolution, 64 channels, 180x320, warm."""
    import jax
    import jax.numpy as jnp

    x, kernel = jnp.ones((1, 180, 320, 64)), jnp.ones((3, 3, 64, 64))
    layout = ("NHWC", "HWIO", "NHWC")
    run = jax.jit(lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=layout))
    (times,) = timing.in_turn([lambda: jax.block_until_ready(run(x, kernel))], 5)
    return 2e-9 * 180 * 320 * 9 * 64 * 64 / statistics.median(times)


def main(argv: list[str]) -> int:
    """Measures and prints one line, and writes --json."""
    parser = Parser(prog="restore-jax bench vsr", description=__doc__)
    sizes = {"type": size_of(4), "default": (136, 240), "metavar": "WxH"}
    parser.add_argument("--size", **sizes, help="of the frames and references (240x136)")
    parser.add_argument("--network", choices=tuple(NETWORKS), default="small")
    parser.add_argument("--hd", action="store_true", help="the network for real HD input, matched at a quarter")
    parser.add_argument("--frames", type=int, default=3, metavar="N", help="timed after the first (3)")
    parser.add_argument("--tile", type=positive, metavar="N", help="largest square computed at once (none)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write what was measured there")
    args = parser.parse_args(argv)
    height, width = args.size
    if width % 8 or args.frames < 0:
        parser.error("the width is a multiple of 8, --frames at least 0")
    weights = drawn_weights(args.network, "hd" if args.hd else "downsampled")
    found = measure(weights, width, height, args.frames, args.tile)
    steady = statistics.median(found["seconds"]) if found["seconds"] else None
    line = f"refvsr {args.network}{' hd' if args.hd else ''} {width}x{height}, window of 7: "
    line += f"{steady:.2f} s a frame, " if steady else ""
    line += f"first {found['first_seconds']:.1f} s with compiling, peak {found['peak_bytes'] / 1e9:.2f} GB"
    line += f"; a plain 3x3 convolution reaches {found['gflops_plain']:.0f} GFLOP/s"
    seconds, gigabytes = PUBLISHED.get((args.network, width, height), (None, None))
    if seconds and not args.hd:
        line += f"; the published PyTorch network took {seconds} s" + (f", {gigabytes} GB" if gigabytes else "")
    print(line)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found | {"command": argv}, indent=1) + "\n")
    return 0
