"""Measures the seams of long videos: what cutting a clip into chunks changes for a bidirectional network.

    python -m tools.quality.seams FOLDER [--weights NAME|FILE] [--ahead 8 16 28] [--json]

FOLDER holds videos, as for `tools/quality/vsr.py`. A chunk's backward direction begins `ahead` frames after the chunk
in place of the clip's end. Printed is the difference from the whole clip's result in levels of 8 bits, which is largest
at a chunk's last frames. It should be below 1 level.
"""

import argparse
import json
import pathlib

import jax
import numpy as np

from restore_jax import weights
from restore_jax.evaluation import vsr as evaluate_vsr
from restore_jax.io.photos import to_float
from restore_jax.video import engines, stream

FRAMES, HEIGHT, WIDTH = 48, 50, 64  # the middle of a clip, frames and pixels


def differences(loaded, clip, ahead: int) -> np.ndarray:
    """Return (t, h, w, 3): how far the stream's frames differ from the whole clip's, in levels."""
    frames = np.stack([to_float(clip.load(number).frame) for number in range(FRAMES)])
    top, left = ((side - size) // 2 for side, size in zip(frames.shape[1:3], (HEIGHT, WIDTH), strict=True))
    frames = frames[:, top : top + HEIGHT, left : left + WIDTH]
    whole = np.clip(jax.jit(loaded.model.apply)(loaded.params, frames[None])["image"][0], 0, 1)
    restorer = engines.engine(loaded, False)
    restorer.ahead = ahead
    return 255 * np.abs(
        np.stack([image for image, _ in stream.restored(restorer, [(x, None) for x in frames])]) - whole
    )


def main():
    """Print a row for each clip and overlap, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="folder of videos")
    parser.add_argument("--weights", default="basicvsr", help="a shipped name or a file (default basicvsr)")
    parser.add_argument(
        "--ahead", type=int, nargs="+", default=[engines.Chunks.ahead], help="frames that chunks overlap by"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    args = parser.parse_args()
    if not args.json:
        print(f"{'levels of 255':30}{'mean':>9}{'99.9 %':>9}{'largest':>9}")
    rows = {}
    for clip in evaluate_vsr.open_folder(args.folder, FRAMES):
        for ahead in args.ahead:
            levels = differences(weights.load(args.weights), clip, ahead)
            row = {"mean": levels.mean(), "99.9 %": np.quantile(levels, 0.999), "largest": levels.max()}
            rows[f"{clip.name}, {ahead} ahead"] = {name: float(value) for name, value in row.items()}
            if not args.json:
                label = f"{clip.name}, {ahead} ahead"
                print(f"{label:30}" + "".join(f"{value:9.4f}" for value in row.values()), flush=True)
    if args.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
