"""The bar for deblurring: six photographs, defocused by `tests.reference_render`, restored, compared with the truth.

    python -m tests.bar_deblur [--weights NAME|FILE] [--out DIR] [--json]

Stage 1 asks for a mean gain of at least 2.0 dB (3 is the aim), no photograph more than 0.1 dB below its input, and
in-focus regions not harmed. The defocus: disc PSF, COC up to 12 px, 8-bit input. PSNR is over RGB of 8-bit images; in
a region it has a floor of the 8-bit rounding error (58.9 dB), as a region in focus can be equal to the truth.
"""

import argparse
import json
import pathlib

import numpy as np
import skimage.data
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import ndtr

from tests.reference_render import render

MAX_COC = 12.0
BINS = ((0, 1), (1, 3), (3, 6), (6, 9), (9, 12.01))
ROUNDING = 1 / 12  # mean squared error of rounding to integers


def slanted_plane(shape, seed):
    """COC of a slanted plane, -6 to 12 px in a random direction (a plane in space is linear in 1/depth, so in COC)."""
    angle = np.random.default_rng(seed).uniform(0.2, 0.6) * np.pi
    y, x = np.mgrid[: shape[0], : shape[1]]
    ramp = np.cos(angle) * x + np.sin(angle) * y
    return np.interp(ramp, (ramp.min(), ramp.max()), (-MAX_COC / 2, MAX_COC))


def smooth_surface(shape, seed):
    """COC of a smooth random surface, -12 to 8 px, every amount about as often."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), min(shape) / 8)
    uniform = ndtr((noise - noise.mean()) / noise.std())
    return np.interp(uniform, (uniform.min(), uniform.max()), (-MAX_COC, 8))


def cut_out(shape, seed):
    """COC of a flat shape with a random outline, in focus, before a background plane at 6 to 12 px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle = np.arctan2(y, x)
    outline = 0.55 + sum(rng.normal(0, 0.08) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(1, 7))
    return np.where(np.hypot(x, y) < outline, 0.0, 9 + 3 * x)


def two_steps(shape, seed):
    """COC of three flat treads from left to right: -6 px (near), 0 and 12 px (far)."""
    first, second = np.random.default_rng(seed).uniform((0.25, 0.6), (0.4, 0.75)) * shape[1]
    x = np.broadcast_to(np.arange(shape[1]), shape)
    return np.where(x < first, -MAX_COC / 2, np.where(x < second, 0.0, MAX_COC))


def right_disparity(left):
    """Disparity seen by the right camera, from the left one's (NaN or inf: not measured).

    A left pixel at x is at x - d on the right; of several the nearest (largest d) wins. What the left camera did not
    see is background: holes take the smaller of the measured disparities to their left and right in the row.
    """
    right = np.full(left.shape, -np.inf)
    y, x = np.nonzero(np.isfinite(left))
    d = left[y, x]
    target = np.round(x - d).astype(int)
    seen = target >= 0
    np.maximum.at(right, (y[seen], target[seen]), d[seen])
    holes = np.isinf(right)
    column = np.arange(right.shape[1])
    before = np.maximum.accumulate(np.where(holes, 0, column), 1)
    after = np.minimum.accumulate(np.where(holes, column[-1], column)[:, ::-1], 1)[:, ::-1]
    ends = np.stack([np.take_along_axis(right, i, 1) for i in (before, after)])
    return np.where(np.isfinite(ends).all(0), ends.min(0), ends.max(0))


def filled(disparity):
    """NaN and inf replaced by the nearest measured value."""
    index = distance_transform_edt(~np.isfinite(disparity), return_distances=False, return_indices=True)
    return disparity[tuple(index)]


def disparity_coc(disparity):
    """COC is linear in disparity (both are in 1/depth): 0 at the median, 12 px at the farther extreme."""
    offset = np.median(disparity) - disparity
    return offset * (MAX_COC / np.abs(offset).max())


def cases():
    """Yields (name, sharp uint8 (h, w, 3), defocused uint8 (h, w, 3), signed COC in pixels (h, w)) for the six."""
    left, right, disparity = skimage.data.stereo_motorcycle()
    photographs = [
        ("astronaut", skimage.data.astronaut(), slanted_plane, 1),
        ("coffee", skimage.data.coffee(), smooth_surface, 2),
        ("chelsea", skimage.data.chelsea(), cut_out, 3),
        ("rocket", skimage.data.rocket(), two_steps, 4),
    ]
    scenes = [(name, sharp, coc(sharp.shape[:2], seed)) for name, sharp, coc, seed in photographs]
    scenes.append(("motorcycle_left", left, disparity_coc(filled(disparity))))
    scenes.append(("motorcycle_right", right, disparity_coc(filled(right_disparity(disparity)))))
    for name, sharp, coc in scenes:
        blurred = render(sharp / 255.0, coc)
        yield name, sharp, np.round(blurred * 255).clip(0, 255).astype(np.uint8), coc


def squared_error(image, truth):
    """Mean over channels of the squared error in 8-bit codes, (h, w)."""
    return ((image.astype(np.float64) - truth) ** 2).mean(-1)


def decibel(error):
    """PSNR of a mean squared error in 8-bit codes."""
    return float(10 * np.log10(255**2 / error))


def measure(sharp, defocused, result, coc):
    """PSNR before and after, and the gain by |COC|, of one photograph: a dict of floats (None: no such pixels)."""
    before, after = squared_error(defocused, sharp), squared_error(result, sharp)
    row = {"psnr_in": decibel(before.mean()), "psnr_out": decibel(max(after.mean(), ROUNDING))}
    row["gain"] = row["psnr_out"] - row["psnr_in"]
    for low, high in BINS:
        region = (np.abs(coc) >= low) & (np.abs(coc) < high)
        pair = [decibel(max(e[region].mean(), ROUNDING)) for e in (before, after)] if region.any() else None
        row[f"coc_{low}_{high:.0f}"] = pair and {"psnr_in": pair[0], "psnr_out": pair[1], "gain": pair[1] - pair[0]}
    return row


def table(rows):
    """The measurements as lines of text; in focus is shown as PSNR before > after, the other bins as gains."""
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
    """Input, result, truth and their difference (grey is none, x4) side by side."""
    difference = (128 + 4 * (result.astype(int) - sharp)).clip(0, 255).astype(np.uint8)
    return np.concatenate([defocused, result, sharp, difference], 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="ifan", help="a shipped name or a file (default: ifan)")
    parser.add_argument("--out", type=pathlib.Path, help="folder for input | result | truth | difference x4 as PNG")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    args = parser.parse_args()

    import imageio.v3 as iio

    import restore_jax as rj

    clf = rj.load(args.weights)
    rows = {}
    for name, sharp, defocused, coc in cases():
        result = rj.deblur(defocused, weights=clf)
        rows[name] = measure(sharp, defocused, result, coc)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            iio.imwrite(args.out / f"{name}.png", picture(defocused, result, sharp))
    print(json.dumps(rows, indent=1) if args.json else table(rows))


if __name__ == "__main__":
    main()
