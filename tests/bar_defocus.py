"""The bar for defocus maps: the six photographs of `tests.bar_deblur`, whose COC, hence sigma = COC / 4, is known.

    python -m tests.bar_defocus [--weights NAME|FILE] [--out DIR]

Stage 3 asks for a mean absolute error of at most half that of the best constant map (the median of the truth) and of
the classical estimators. The defocus is rendered by `tests.reference_render` with discs, to 12 px; sigma to 3 px.
"""

import argparse
import pathlib

import numpy as np

from tests.bar_deblur import cases

METHODS = ("zhuo", "jnb", "ebdb")


def errors(weights, out=None):
    """Yields (name, {method: mean absolute error in pixels of sigma})."""
    from restore_jax.defocus import estimate_defocus, write_colours

    for name, _, blurred, coc in cases():
        truth = np.abs(coc) / 4
        maps = {"dmenet": estimate_defocus(blurred, weights=weights)}
        maps |= {method: estimate_defocus(blurred, method=method) for method in METHODS}
        if out is not None:
            for method, sigma in {**maps, "truth": truth.astype(np.float32)}.items():
                write_colours(pathlib.Path(out) / f"{name}_{method}.png", np.minimum(sigma, 3.5))
        found = {method: float(np.abs(sigma - truth).mean()) for method, sigma in maps.items()}
        yield name, {**found, "constant": float(np.abs(truth - np.median(truth)).mean())}


def main():
    """Prints a row a photograph and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="dmenet")
    parser.add_argument("--out", help="folder for the maps as pictures")
    args = parser.parse_args()
    columns = ("dmenet", *METHODS, "constant")
    print(f"{'sigma error, px':18}" + "".join(f"{column:>10}" for column in columns))
    rows = []
    for name, found in errors(args.weights, args.out):
        rows.append([found[column] for column in columns])
        print(f"{name:18}" + "".join(f"{value:10.3f}" for value in rows[-1]))
    print(f"{'mean':18}" + "".join(f"{value:10.3f}" for value in np.mean(rows, 0)))


if __name__ == "__main__":
    main()
