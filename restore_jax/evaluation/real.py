"""Evaluation of deblurring on real defocused photographs whose sharp picture is known.

A folder holds triples of one size, aligned to the pixel: NAME_A and NAME_B are a scene focused near
and far, and NAME_F is both fused to one picture that is sharp everywhere; the underscore may lack. Such are fusions of
the Lytro multi-focus set of Nejati et al. (2015).
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from restore_jax.deblurring import deblurred
from restore_jax.errors import InputError
from restore_jax.evaluation.deblur import METHODS, NETWORKS, checked, deblurring, weights_of
from restore_jax.evaluation.measuring import Item, compared, open_weights, scores_of
from restore_jax.evaluation.rows import Filled, Options, Outcome, digest
from restore_jax.io.finding import find_photos
from restore_jax.io.photos import from_float, read_photo, write_photo
from restore_jax.metrics.focus import figures

TRUTH, VIEWS = "F", "AB"  # the last letters of names
COLUMNS = {  # {field of Figures: the column that prints it}
    "gain": "gain (dB)",
    "blurred": "gain where blurred (dB)",
    "sharp": "PSNR to the input in focus (dB)",
    "grid": "JPEG grid (1: none)",
}
LEAST_GAIN = "least gain (dB)"


def triples(folder) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """List the (photograph, truth) pairs of a folder. Raises InputError if it holds none."""
    paths = {path.stem: path for path in find_photos([folder])}
    pairs = []
    for stem, truth in sorted(paths.items()):
        if not stem.endswith(TRUTH):
            continue
        names = (stem.removesuffix(TRUTH) + view for view in VIEWS)
        pairs += [(paths[name], truth) for name in names if name in paths]
    if not pairs:
        raise InputError(f"{folder}: holds no triples NAME_A, NAME_B, NAME_F")
    return pairs


def measure(folder, method: str, weights: str | None, options: Options) -> Outcome:
    """Measure a method on the folder's photographs; options.limit takes the first ones.

    Pictures of input, result and truth side by side go to options.pictures. Raises InputError for weights and
    photographs that cannot be read.
    """
    restorer, sha, name = open_weights(weights, "deblur" if method in NETWORKS else "defocus")
    if method in NETWORKS:  # as `restore-jax deblur` restores, in the strength that the weights recommend

        def restored(views):
            return deblurred(restorer, views["blurred"]).image

    else:
        restored = deblurring(method, restorer)
    pairs = triples(folder)[: options.limit]

    def items():
        for path, truth_path in pairs:
            views = {"blurred": read_photo(path).pixels, "truth": read_photo(truth_path).pixels}
            views = checked(views, path.name)
            picture = options.pictures and options.pictures / f"{path.stem}_{method}.png"

            def compute(views=views, picture=picture):
                photo, result, truth = (
                    from_float(pixels, np.uint8) for pixels in (views["blurred"], restored(views), views["truth"])
                )
                if picture:
                    write_photo(picture, np.concatenate([photo, result, truth], 1) / np.float32(255))
                return {k: None if np.isnan(v) else v for k, v in figures(photo, result, truth)._asdict().items()}

            key = ("real", method, sha, digest(*views.values()))
            yield Item(key, f"{method}: {path.name}", compute, picture)

    scores = scores_of(items(), options)
    columns = {}
    for field, column in COLUMNS.items():
        values = [score[field] for score in scores if score[field] is not None]
        columns[column] = float(np.mean(values)) if values else None
    columns[LEAST_GAIN] = min(score["gain"] for score in scores)
    return Outcome(columns, len(scores), name)


def compare(folder, methods: Sequence[str], options: Options) -> list[Filled]:
    """Measure several methods, a row each. Raises InputError for an unknown one."""
    return compared(
        methods, METHODS, lambda method: measure(folder, method, weights_of(method, options, method), options)
    )
