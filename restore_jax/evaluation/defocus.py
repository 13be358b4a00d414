"""Evaluation of defocus maps: data sets, estimators, and metrics (dissertation 3.4).

A data set is a name of `DATASETS`, built by `restore-jax data build`, or a folder with image/, and with map/ or gt/
that has a map of each photograph's name. Maps are black and white pictures (white is blurred), or sigma as
`restore_jax.defocus.write_map` writes it (NaN, or 65535 in a PNG, is not known).
"""

import functools
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from restore_jax.data.built import open_newest
from restore_jax.defocus import METHODS, NOT_KNOWN, STEPS_PER_PIXEL, estimate_defocus, read_map, write_colours
from restore_jax.errors import InputError
from restore_jax.evaluation.measuring import Item, compared, open_weights, scores_of
from restore_jax.evaluation.rows import Filled, Options, Outcome, digest, mean
from restore_jax.io.finding import find_photos
from restore_jax.io.photos import read_photo, write_photo
from restore_jax.metrics import defocus as metrics

BINARY = ("cuhk",)
DATASETS = {  # {dataset: (the feature that holds the truth, the conventions that it is measured under)}
    "cuhk_blur": ("map", BINARY),
    "rtf": ("map", ("dmenet-matlab", "dmenet-py")),
    "syndof": ("sigma", ("syndof",)),
}


@dataclass(frozen=True)
class Photographs:
    """A data set. load(i): (name, image (h, w, 3), truth (h, w)), the truth bool (True: blurred) or sigma in pixels."""

    name: str
    count: int
    load: Callable[[int], tuple[str, np.ndarray, np.ndarray]]
    conventions: tuple[str, ...]


# ---------------------------------------------------------------------------------------------------------------- data
def open_data(name: str) -> Photographs:
    """Open a data set by a name of DATASETS, such as "cuhk_blur/train504", or a folder. Raises InputError."""
    if str(name).partition("/")[0] in DATASETS:
        return open_dataset(str(name))
    if not pathlib.Path(name).is_dir():
        raise InputError(f"{name}: no such folder, and not one of {', '.join(DATASETS)}")
    return open_folder(pathlib.Path(name))


def open_dataset(name: str) -> Photographs:
    """Open a dataset that `restore-jax data build` made: its split "test", or its only one. Raises InputError."""
    dataset = name.partition("/")[0]
    feature, conventions = DATASETS[dataset]
    builder, split = builder_and_split(name)
    if feature not in builder.info.features:
        raise InputError(f"{builder.data_path}: holds {', '.join(builder.info.features)}, no {feature!r}")
    records = builder.as_data_source(split)

    def load(index):
        record = records[index]
        map_ = np.asarray(record[feature])
        map_ = map_[..., 0] if map_.ndim == 3 else map_
        truth = map_ > map_.max() / 2 if conventions == BINARY else sigma_of_codes(map_)
        scene = record["scene"].decode().replace("/", "_")  # several examples of SYNDOF share one scene
        return f"{index:05}_{scene}", record["image"], truth

    return Photographs(name, len(records), load, conventions)


def builder_and_split(name: str):
    """Return (TFDS builder, its split "test" or its only one) of a dataset that was built. Raises InputError."""
    builder = open_newest(name)
    splits = list(builder.info.splits)
    if "test" not in splits and len(splits) != 1:
        raise InputError(f"{builder.data_path}: has the splits {', '.join(splits)}, not test")
    return builder, "test" if "test" in splits else splits[0]


def sigma_of_codes(codes: np.ndarray) -> np.ndarray:
    """Convert a 16-bit map's thousandths to sigma in pixels, NaN where it is not known; floats are sigma already."""
    if codes.dtype.kind == "f":
        return codes.astype(np.float32)
    return np.where(codes == NOT_KNOWN, np.nan, codes / STEPS_PER_PIXEL).astype(np.float32)


def open_folder(folder: pathlib.Path) -> Photographs:
    """Open a folder as a data set; all maps must be of the first one's kind. Raises InputError."""
    photos = find_photos([folder / "image"])
    place = next((folder / name for name in ("map", "gt") if (folder / name).is_dir()), None)
    if place is None:
        raise InputError(f"{folder}: has no folder map or gt beside image")
    maps = {path.stem: path for path in sorted(place.iterdir()) if path.suffix in (".png", ".npy")}
    for photo in photos:
        if photo.stem not in maps:
            raise InputError(f"{photo}: has no map {photo.stem}.png or .npy in {place}")
    binary = is_binary(maps[photos[0].stem])

    def load(index):
        photo, path = photos[index], maps[photos[index].stem]
        if is_binary(path) != binary:
            raise InputError(
                f"{path}: {maps[photos[0].stem]} is {'' if binary else 'not '}black and white, this is not so"
            )
        image, truth = read_photo(photo).pixels, read_binary(path) if binary else read_sigma(path)
        if image.shape[:2] != truth.shape:
            size, other = ("x".join(map(str, array.shape[1::-1])) for array in (truth, image))
            raise InputError(f"{path}: is {size}, its photograph {other}")
        return photo.stem, image, truth

    return Photographs(str(folder), len(photos), load, BINARY if binary else ("syndof", "px"))


def is_binary(path: pathlib.Path) -> bool:
    """Say whether a map is a picture of 8 bits or fewer, and so not sigma."""
    return path.suffix == ".png" and read_photo(path).bits == 8


def read_binary(path: pathlib.Path) -> np.ndarray:
    """Read where a black and white picture is white, (h, w) bool. Raises InputError if it has other colours."""
    pixels = read_photo(path).pixels
    if not np.isin(pixels, (0, 1)).all():
        raise InputError(f"{path}: has 8 bits, but is not black and white: neither a map of blurred pixels nor sigma")
    return pixels[..., 0] > 0


def read_sigma(path: pathlib.Path) -> np.ndarray:
    """Read sigma in pixels, NaN where it is not known. Raises InputError."""
    sigma = read_map(path)
    if np.isnan(sigma).all():
        raise InputError(f"{path}: sigma is known nowhere in it")
    return np.where(sigma == np.float32(NOT_KNOWN / STEPS_PER_PIXEL), np.nan, sigma) if path.suffix == ".png" else sigma


# ------------------------------------------------------------------------------------------------------------ measuring
def measure(data: Photographs, method: str, options: Options, role: str = "bdcs") -> Outcome:
    """Measure a method on a data set. DMENet's weights are options.weights[role], or those that ship.

    Raises InputError for weights, photographs or maps that cannot be read.
    """
    if not data.count:
        raise InputError(f"{data.name}: holds no photographs")
    restorer, sha, label = open_weights(options.weights.get(role, "dmenet") if method == "dmenet" else None, "defocus")
    count = min(data.count, options.limit or data.count)

    def items():
        for index in range(count):
            name, image, truth = data.load(index)
            picture = options.pictures and options.pictures / f"{name}_{method}.png"

            def compute(name=name, image=image, truth=truth, picture=picture):
                sigma = estimate_defocus(image, method=method, **({"weights": restorer} if restorer else {}))
                if picture:
                    write_colours(picture, sigma)
                    write_truth(picture.with_name(f"{name}_truth.png"), truth)
                return score(sigma, truth)

            key = (data.name, name, digest(image, truth), method, sha)
            yield Item(key, f"{data.name}: {method} {index + 1}/{count} {name}", compute, picture)

    conventions = list(metrics.CONVENTIONS) if options.all_conventions else data.conventions
    average = averaged_binary if data.conventions == BINARY else functools.partial(averaged, conventions=conventions)
    values, details = average(scores_of(items(), options))
    return Outcome(values, count, label, {"data": data.name, "method": method, "weights_sha256": sha, **details})


def score(sigma: np.ndarray, truth: np.ndarray) -> dict:
    """Measure a photograph: accuracy and the curve for a bool truth, else errors under every convention."""
    if truth.dtype != bool:
        return {name: metrics.errors(sigma, truth, name) for name in metrics.CONVENTIONS}
    precision, recall = metrics.precision_recall(sigma, truth)
    found = {"accuracy": metrics.accuracy(sigma, truth), "precision": np.round(precision, 6).tolist()}
    if truth.any():
        average = metrics.average_precision(precision, recall)
        return {**found, "recall": np.round(recall, 6).tolist(), "average_precision": average}
    return {**found, "recall": None, "average_precision": None}


def averaged_binary(scores: Sequence[dict]) -> tuple[dict, dict]:
    """Average scores: ({column: mean}, the mean curve); photographs without blur have no part in the curve."""
    curves = [(found["precision"], found["recall"]) for found in scores if found["recall"] is not None]
    means = {f"{metric} [cuhk]": mean(found[name] for found in scores) for metric, name in BINARY_METRICS.items()}
    if not curves:
        return means, {}
    return means, dict(zip(("precision", "recall"), np.mean(curves, 0).tolist(), strict=True))


BINARY_METRICS = {"accuracy": "accuracy", "mAP": "average_precision"}


def averaged(scores: Sequence[dict], conventions: Sequence[str]) -> tuple[dict, dict]:
    """Average scores of maps of sigma: ({column: mean}, {})."""
    return {
        f"{metric.upper()} [{name}]": mean(found[name][metric] for found in scores)
        for metric in ("mse", "mae")
        for name in conventions
    }, {}


def precision_and_recall(rows: Sequence[Filled]) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Return {label: (precision, recall)} of the rows that have such curves."""
    details = {row.label: row.outcome.details for row in rows if row.outcome and "recall" in row.outcome.details}
    return {label: (found["precision"], found["recall"]) for label, found in details.items()}


def write_truth(path: pathlib.Path, truth: np.ndarray) -> None:
    """Write a picture of the truth: white is blurred, or sigma in the colours of the maps."""
    if truth.dtype == bool:
        write_photo(path, np.repeat(truth[..., None].astype(np.float32), 3, axis=-1))
    else:
        write_colours(path, np.nan_to_num(truth))


def compare(data: str, methods: Sequence[str], options: Options) -> list[Filled]:
    """Measure each method on a data set, a row each, nothing printed beside it. Raises InputError."""
    photographs = open_data(data)
    return compared(methods, METHODS, lambda method: measure(photographs, method, options))
