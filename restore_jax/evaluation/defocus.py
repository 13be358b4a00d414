"""Evaluation of defocus maps: data sets, estimators, the tables and figures of chapter III (dissertation 3.4).

A data set is a name of `DATASETS`, built by `restore-jax data build`, or a folder that holds image/, and map/ or gt/
with a map of each photograph's name: black and white pictures of what is blurred (white), or maps of sigma as
`restore_jax.defocus.write_map` writes them (NaN, or 65535 in a PNG: not known).
"""

import functools
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from restore_jax.defocus import METHODS, NOT_KNOWN, STEPS_PER_PIXEL, estimate_defocus, read_map, write_colours
from restore_jax.errors import InputError
from restore_jax.evaluation.published import required
from restore_jax.evaluation.rows import Filled, Options, Outcome, Row, Table, digest, mean
from restore_jax.io.photos import find_photos, read_photo, write_photo
from restore_jax.metrics import defocus as metrics
from restore_jax.version import __version__

BINARY = ("cuhk",)
DATASETS = {  # the feature that holds the truth, and the conventions it is measured by
    "cuhk_blur": ("map", BINARY),
    "rtf": ("map", ("dmenet-matlab", "dmenet-py")),
    "syndof": ("sigma", ("syndof",)),
}


@dataclass(frozen=True)
class Photographs:
    """A data set. load(i): (name, image (h, w, 3), truth (h, w)); the truth is bool, blurred, or sigma in pixels."""

    name: str
    count: int
    load: Callable[[int], tuple[str, np.ndarray, np.ndarray]]
    conventions: tuple[str, ...]


# ---------------------------------------------------------------------------------------------------------------- data
def open_data(name: str) -> Photographs:
    """The data set of a name of DATASETS, such as "cuhk_blur/train504", or of a folder. Raises InputError."""
    if str(name).partition("/")[0] in DATASETS:
        return open_dataset(str(name))
    if not pathlib.Path(name).is_dir():
        raise InputError(f"{name}: no such folder, and not one of {', '.join(DATASETS)}")
    return open_folder(pathlib.Path(name))


def open_dataset(name: str) -> Photographs:
    """A dataset that `restore-jax data build` made: its split "test", or its only one. Raises InputError."""
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
        scene = record["scene"].decode().replace("/", "_")  # of SYNDOF several examples have the same
        return f"{index:05}_{scene}", record["image"], truth

    return Photographs(name, len(records), load, conventions)


def builder_and_split(name: str):
    """(TFDS builder, its split "test" or its only one) of a dataset that was built. Raises InputError."""
    from restore_jax.data.built import open_newest

    builder = open_newest(name)
    splits = list(builder.info.splits)
    if "test" not in splits and len(splits) != 1:
        raise InputError(f"{builder.data_path}: has the splits {', '.join(splits)}, not test")
    return builder, "test" if "test" in splits else splits[0]


def sigma_of_codes(codes: np.ndarray) -> np.ndarray:
    """Sigma in pixels, NaN where it is not known, of a 16-bit map's thousandths; floats are sigma already."""
    if codes.dtype.kind == "f":
        return codes.astype(np.float32)
    return np.where(codes == NOT_KNOWN, np.nan, codes / STEPS_PER_PIXEL).astype(np.float32)


def open_folder(folder: pathlib.Path) -> Photographs:
    """The data set of a folder, all of whose maps are of the first one's kind. Raises InputError."""
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
    """Whether a map is a picture of 8 bits or fewer, not sigma."""
    return path.suffix == ".png" and read_photo(path).bits == 8


def read_binary(path: pathlib.Path) -> np.ndarray:
    """Where a black and white picture is white, (h, w) bool. Raises InputError if it has other colours."""
    pixels = read_photo(path).pixels
    if not np.isin(pixels, (0, 1)).all():
        raise InputError(f"{path}: has 8 bits, but is not black and white: neither what is blurred nor sigma")
    return pixels[..., 0] > 0


def read_sigma(path: pathlib.Path) -> np.ndarray:
    """Sigma in pixels, NaN where it is not known. Raises InputError."""
    sigma = read_map(path)
    if np.isnan(sigma).all():
        raise InputError(f"{path}: sigma is known nowhere in it")
    return np.where(sigma == np.float32(NOT_KNOWN / STEPS_PER_PIXEL), np.nan, sigma) if path.suffix == ".png" else sigma


# ------------------------------------------------------------------------------------------------------------ measuring
def measure(data: Photographs, method: str, options: Options, role: str = "bdcs") -> Outcome:
    """Metrics of a method over a data set; weights: of DMENet, options.weights[role] or those that ship.

    Scores of photographs found in the journal are not computed again, unless their picture is lacking. InputError for
    an unknown method, weights that cannot be read, and photographs or maps that cannot.
    """
    if method not in METHODS:
        raise InputError(f"--method {method}: is not one of {', '.join(METHODS)}")
    weights, loaded, label = "", None, "-"
    if method == "dmenet":
        from restore_jax import weights as registry

        name = options.weights.get(role, "dmenet")
        weights, loaded, label = registry.verify(name), registry.load(name, "defocus"), registry.card(name)["name"]
    if not data.count:
        raise InputError(f"{data.name}: holds no photographs")
    count = min(data.count, options.limit or data.count)
    scores = []
    for index in range(count):
        name, image, truth = data.load(index)
        key = (data.name, name, digest(image, truth), method, weights, __version__)
        picture = options.pictures and options.pictures / f"{name}_{method}.png"
        if (found := options.journal.get(key)) is None or (picture and not picture.exists()):
            options.say(f"{data.name}: {method} {index + 1}/{count} {name}")
            sigma = estimate_defocus(image, method=method, **({"weights": loaded} if loaded else {}))
            if picture:
                write_colours(picture, sigma)
                write_truth(options.pictures / f"{name}_truth.png", truth)
            found = score(sigma, truth)
            options.journal.add(key, found)
        scores.append(found)
    conventions = list(metrics.CONVENTIONS) if options.all_conventions else data.conventions
    average = averaged_binary if data.conventions == BINARY else functools.partial(averaged, conventions=conventions)
    values, details = average(scores)
    return Outcome(values, count, label, {"data": data.name, "method": method, "weights_sha256": weights, **details})


def score(sigma: np.ndarray, truth: np.ndarray) -> dict:
    """The scores of a photograph: of a bool truth accuracy and the curve, else errors under every convention."""
    if truth.dtype != bool:
        return {name: metrics.errors(sigma, truth, name) for name in metrics.CONVENTIONS}
    precision, recall = metrics.precision_recall(sigma, truth)
    found = {"accuracy": metrics.accuracy(sigma, truth), "precision": np.round(precision, 6).tolist()}
    if truth.any():
        average = metrics.average_precision(precision, recall)
        return {**found, "recall": np.round(recall, 6).tolist(), "average_precision": average}
    return {**found, "recall": None, "average_precision": None}


def averaged_binary(scores: Sequence[dict]) -> tuple[dict, dict]:
    """({column: mean}, the mean curve) over photographs; those where nothing is blurred have no part in the curve."""
    curves = [(found["precision"], found["recall"]) for found in scores if found["recall"] is not None]
    means = {f"{metric} [cuhk]": mean(found[name] for found in scores) for metric, name in BINARY_METRICS.items()}
    if not curves:
        return means, {}
    return means, dict(zip(("precision", "recall"), np.mean(curves, 0).tolist(), strict=True))


BINARY_METRICS = {"accuracy": "accuracy", "mAP": "average_precision"}


def averaged(scores: Sequence[dict], conventions: Sequence[str]) -> tuple[dict, dict]:
    """({column: mean}, nothing more) over photographs of sigma."""
    return {
        f"{metric.upper()} [{name}]": mean(found[name][metric] for found in scores)
        for metric in ("mse", "mae")
        for name in conventions
    }, {}


def write_truth(path: pathlib.Path, truth: np.ndarray) -> None:
    """A picture of the truth: white is blurred, or coloured as the maps are."""
    if truth.dtype == bool:
        write_photo(path, np.repeat(truth[..., None].astype(np.float32), 3, axis=-1))
    else:
        write_colours(path, np.nan_to_num(truth))


def compare(data: str, methods: Sequence[str], options: Options) -> list[Filled]:
    """A row for each method on a data set, nothing printed beside it. Raises InputError."""
    photographs = open_data(data)
    return [Filled(method, {}, measure(photographs, method, options)) for method in methods]


# --------------------------------------------------------------------------------------------------------------- tables
def measured(options: Options, *, data: str, method: str, role: str = "bdcs") -> Outcome:
    """A row that is a method on a data set."""
    if role != "bdcs":
        required(options, role)
    return measure(open_data(data), method, options, role)


def collected(options: Options, *, sources: Sequence[str]) -> Outcome:
    """A row that counts what the built SYNDOF was rendered from (samples) and what was rendered (outputs)."""
    builder, split = builder_and_split("syndof")
    scenes = [scene for source, scene in _scenes(builder, split) if source in sources]
    return Outcome({"samples": len(set(scenes)), "outputs": len(scenes)}, len(scenes))


def _scenes(builder, split):
    """(source, scene) of every example; nothing else is decoded."""
    from restore_jax.data.built import records

    found = records(builder, split, ("source", "scene"))
    return [(record["source"].decode(), record["scene"].decode()) for record in found]


def not_ours(options: Options, *, why: str) -> Outcome:
    """A row that nothing here computes."""
    raise InputError(why)


def _row(label, data, method, printed=(), role="bdcs"):
    compute = functools.partial(measured, data=data, method=method, role=role)
    return Row(label, dict(printed), compute, role if method == "dmenet" else method)


def _errors(mse, mae):
    return {"MSE": mse, "MAE": mae}


def _collection(label, sources, samples, outputs):
    return Row(label, {"samples": samples, "outputs": outputs}, functools.partial(collected, sources=sources))


CUHK = "cuhk_blur/train504"
_SOURCES = ("MPI", "SYNTHIA", "Middlebury")
_NO_ESTIMATOR = "no estimator here: the project has none of that paper"

TABLE_3_1 = Table(
    "Table 3.1: what SYNDOF is rendered from",
    (
        _collection("MPI", _SOURCES[:1], 1064, 4346),
        _collection("SYNTHIA", _SOURCES[1:2], 896, 3680),
        _collection("Middlebury", _SOURCES[2:], 46, 205),
        _collection("Total", _SOURCES, 2006, 8231),
    ),
    "printed: the dissertation's numbers; which frames it kept as dissimilar is not published",
)
TABLE_3_2 = Table(
    "Table 3.2: errors of defocus maps with and without sharpness calibration",
    (
        _row("SYNDOF, DMENet_BDC", "syndof", "dmenet", _errors(0.015, 0.093), "bdc"),
        _row("SYNDOF, DMENet_BDCS", "syndof", "dmenet", _errors(0.011, 0.072)),
        _row("RTF, DMENet_BDC", "rtf", "dmenet", _errors(0.019, 0.159), "bdc"),
        _row("RTF, DMENet_BDCS", "rtf", "dmenet", _errors(0.012, 0.088)),
    ),
    "printed: the dissertation's numbers, whose convention it does not name. SYNDOF's test split is not published: all "
    "of the built syndof is measured, which must not be what the network was trained on",
)
TABLE_3_3 = Table(
    "Table 3.3: errors of defocus maps on RTF",
    (
        _row("[42] zhuo", "rtf", "zhuo", _errors(0.037, 0.143)),
        _row("[23] jnb", "rtf", "jnb", _errors(0.082, 0.241)),
        Row("[24] D'Andrès et al.", _errors(0.033, 0.106), functools.partial(not_ours, why=_NO_ESTIMATOR)),
        Row("[25] Park et al.", _errors(0.024, 0.129), functools.partial(not_ours, why=_NO_ESTIMATOR)),
        _row("[27] ebdb", "rtf", "ebdb", _errors(0.064, 0.199)),
        _row("DMENet_BDCS", "rtf", "dmenet", _errors(0.012, 0.088)),
    ),
)
FIGURES_3_5_AND_3_6 = Table(
    "Figures 3.5 and 3.6: accuracy, precision and recall on 200 photographs of CUHK",
    (
        _row("[42] zhuo", CUHK, "zhuo"),
        _row("[23] jnb", CUHK, "jnb"),
        Row("[25] Park et al.", {}, functools.partial(not_ours, why=_NO_ESTIMATOR)),
        _row("[27] ebdb", CUHK, "ebdb"),
        _row("DMENet_BDCS", CUHK, "dmenet", {"accuracy": 0.8783, "mAP": 0.987}),
    ),
    "printed: of the released checkpoint (the figures give no numbers); which 200 photographs is not published",
)
TABLES = {"3.1": TABLE_3_1, "3.2": TABLE_3_2, "3.3": TABLE_3_3}
TABLES |= dict.fromkeys(("fig3.5", "fig3.6"), FIGURES_3_5_AND_3_6)
