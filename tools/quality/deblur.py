"""Measures how well weights deblur six photographs whose defocus is known (`tools/quality/scenes.py`).

    python -m tools.quality.deblur [--weights NAME|FILE] [--out FOLDER] [--json]

Printed for each photograph: PSNR of the input and of the result, their difference, and how the result differs where
the blur is of a certain size. PSNR is over RGB of 8-bit images. In a region it is at most 58.9 dB, the rounding error
of 8 bits, as a region in focus can equal the truth.

Good weights gain 2 dB or more in the mean, lose nothing on any photograph, and leave what is in focus as it is.
"""

import argparse
import json
import pathlib

import imageio.v3 as iio
import numpy as np

import restore_jax as rj
from tools.quality.scenes import cases

BINS = ((0, 1), (1, 3), (3, 6), (6, 9), (9, 12.01))
ROUNDING = 1 / 12  # mean squared error of rounding to integers


def squared_error(image, truth):
    """Return the squared error in 8-bit codes, averaged over channels, (h, w)."""
    return ((image.astype(np.float64) - truth) ** 2).mean(-1)


def decibel(error):
    """Convert a mean squared error in 8-bit codes to PSNR."""
    return float(10 * np.log10(255**2 / error))


def measure(sharp, defocused, result, coc):
    """Measure a photograph: PSNR before and after, and the same by |COC|, None where no pixel has it."""
    before, after = squared_error(defocused, sharp), squared_error(result, sharp)
    row = {"psnr_in": decibel(before.mean()), "psnr_out": decibel(max(after.mean(), ROUNDING))}
    row["gain"] = row["psnr_out"] - row["psnr_in"]
    for low, high in BINS:
        region = (np.abs(coc) >= low) & (np.abs(coc) < high)
        pair = [decibel(max(e[region].mean(), ROUNDING)) for e in (before, after)] if region.any() else None
        row[f"coc_{low}_{high:.0f}"] = pair and {"psnr_in": pair[0], "psnr_out": pair[1], "gain": pair[1] - pair[0]}
    return row


def table(rows):
    """Format the measurements as text: in focus PSNR before > after, the other ranges of |COC| as gains."""
    bins = [f"coc_{low}_{high:.0f}" for low, high in BINS]
    lines = [
        f"{'photo':17}{'in':>7}{'out':>7}{'gain':>7}  {'|COC|<1 in>out':>14}" + "".join(f"{b[4:]:>7}" for b in bins)
    ]
    for name, row in rows.items():
        focus = row[bins[0]]
        focus = f"{focus['psnr_in']:.1f}>{focus['psnr_out']:.1f}" if focus else "-"
        gains = "".join(f"{row[b]['gain']:7.2f}" if row[b] else f"{'-':>7}" for b in bins)
        lines.append(f"{name:17}{row['psnr_in']:7.2f}{row['psnr_out']:7.2f}{row['gain']:+7.2f}  {focus:>14}{gains}")
    gains = [row["gain"] for row in rows.values()]
    lines.append(f"mean gain {np.mean(gains):+.2f} dB, least {min(gains):+.2f} dB")
    return "\n".join(lines)


def picture(defocused, result, sharp):
    """Put input, result, truth and their difference (grey is none, x4) side by side."""
    difference = (128 + 4 * (result.astype(int) - sharp)).clip(0, 255).astype(np.uint8)
    return np.concatenate([defocused, result, sharp, difference], 1)


def main():
    """Print a row for each photograph, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="ifan", help="a shipped name or a file (default ifan)")
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder for pictures of input | result | truth | difference x4"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    args = parser.parse_args()

    weights = rj.load(args.weights)
    rows = {}
    for name, sharp, defocused, coc in cases():
        result = rj.deblur(defocused, weights=weights)
        rows[name] = measure(sharp, defocused, result, coc)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            iio.imwrite(args.out / f"{name}.png", picture(defocused, result, sharp))
    print(json.dumps(rows, indent=1) if args.json else table(rows))


if __name__ == "__main__":
    main()
