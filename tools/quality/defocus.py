"""Measures how well weights estimate the defocus of six photographs for which it is known.

    python -m tools.quality.defocus [--weights NAME|FILE] [--out FOLDER] [--json]

The photographs are those of `tools/quality/scenes.py`, so that the truth is sigma = COC / 4, up to 3 px. Printed is the
mean absolute error in pixels of sigma of the network, of the estimators without a network, and of the best constant
map, the median of the truth. Good weights have at most half the error of any other.
"""

import argparse
import json
import pathlib

import numpy as np

from restore_jax.defocus import estimate_defocus, write_colours
from tools.quality.scenes import cases

METHODS = ("zhuo", "jnb", "ebdb")
COLUMNS = ("dmenet", *METHODS, "constant")


def errors(weights: str, out: str | None = None):
    """Yield (name, {method: mean absolute error in pixels of sigma}) of each photograph."""
    for name, _, blurred, coc in cases():
        truth = np.abs(coc) / 4
        maps = {"dmenet": estimate_defocus(blurred, weights=weights)}
        maps |= {method: estimate_defocus(blurred, method=method) for method in METHODS}
        if out is not None:
            for method, sigma in {**maps, "truth": truth.astype(np.float32)}.items():
                write_colours(pathlib.Path(out) / f"{name}_{method}.png", np.minimum(sigma, 3.5))
        row = {method: float(np.abs(sigma - truth).mean()) for method, sigma in maps.items()}
        yield name, {**row, "constant": float(np.abs(truth - np.median(truth)).mean())}


def main():
    """Print a row for each photograph and the means, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="dmenet", help="a shipped name or a file (default dmenet)")
    parser.add_argument("--out", help="folder for pictures of the maps")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    args = parser.parse_args()
    rows = dict(errors(args.weights, args.out))
    rows["mean"] = {column: float(np.mean([row[column] for row in rows.values()])) for column in COLUMNS}
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'sigma error, px':18}" + "".join(f"{column:>10}" for column in COLUMNS))
    for name, row in rows.items():
        print(f"{name:18}" + "".join(f"{row[column]:10.3f}" for column in COLUMNS))


if __name__ == "__main__":
    main()
