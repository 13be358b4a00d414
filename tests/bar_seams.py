"""The bar for long clips through a bidirectional network: chunks against the whole clip, below 1/255.

    python -m tests.bar_seams FOLDER [--weights NAME|FILE] [--ahead 8 16 28]

FOLDER as of `tests.bar_vsr`. A chunk's backward direction begins `ahead` frames behind it in place of the clip's end;
what that changes, in levels of 8 bits, is largest at its last frames.
"""

import argparse
import pathlib

import jax
import numpy as np

from restore_jax import weights
from restore_jax.evaluation import vsr as evaluate_vsr
from restore_jax.io.photos import to_float
from restore_jax.video import engines, stream

FRAMES, HEIGHT, WIDTH = 48, 50, 64  # of the middle of a clip


def differences(loaded, clip, ahead: int) -> np.ndarray:
    """(t, h, w, 3): the stream's frames minus the whole clip's, in levels."""
    frames = np.stack([to_float(clip.load(number).frame) for number in range(FRAMES)])
    top, left = ((side - size) // 2 for side, size in zip(frames.shape[1:3], (HEIGHT, WIDTH), strict=True))
    frames = frames[:, top : top + HEIGHT, left : left + WIDTH]
    whole = np.clip(jax.jit(loaded.model.apply)(loaded.params, frames[None])["image"][0], 0, 1)
    chosen = engines.engine(loaded, False)
    chosen.ahead = ahead
    return 255 * np.abs(np.stack([image for image, _ in stream.restored(chosen, [(x, None) for x in frames])]) - whole)


def main():
    """Prints a row a clip and overlap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--weights", default="basicvsr")
    parser.add_argument("--ahead", type=int, nargs="+", default=[engines.BasicVSR.ahead])
    args = parser.parse_args()
    print(f"{'levels of 255':30}{'mean':>9}{'99.9 %':>9}{'largest':>9}")
    for clip in evaluate_vsr.open_folder(args.folder, FRAMES):
        for ahead in args.ahead:
            found = differences(weights.load(args.weights), clip, ahead)
            numbers = (found.mean(), np.quantile(found, 0.999), found.max())
            print(f"{clip.name + f', {ahead} ahead':30}" + "".join(f"{number:9.4f}" for number in numbers), flush=True)


if __name__ == "__main__":
    main()
