"""Evaluation of defocus deblurring: pairs of photographs, methods, and metrics (dissertation 4.3).

Pairs are those of a dataset that `restore-jax data build` made, "dpdd/png8", "dpdd/png16" or "realdof", or of a folder
that holds blurred/ and sharp/ and, for networks that see dual-pixel views, left/ and right/.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from restore_jax import metrics, models, restore
from restore_jax.cache import enable_compilation_cache
from restore_jax.data.built import built, records
from restore_jax.data.sources import FEATURES, by_stem, is_pairs, view_folder
from restore_jax.defocus import estimate_defocus
from restore_jax.errors import InputError
from restore_jax.evaluation.costs import parameters
from restore_jax.evaluation.measuring import Item, compared, means, open_weights, scores_of
from restore_jax.evaluation.rows import Filled, Options, Outcome, digest
from restore_jax.io.photos import read_photo, to_float, write_photo
from restore_jax.ops.deconv import DATASET_WEIGHTS, deconvolve
from restore_jax.weights.files import read_safetensors
from restore_jax.weights.registry import sha256

DATASETS = ("dpdd", "realdof")
VIEWS = ("blurred", "sharp", "left", "right")
DECONVOLVED = ("jnb", "ebdb", "zhuo", "dmenet")  # estimators whose maps photographs are deconvolved by
NETWORKS = models.serving("deblur")
METHODS = ("input", *NETWORKS, *DECONVOLVED)
CONVENTION = "ifan"


@dataclass(frozen=True)
class Pairs:
    """A data set of `count` pairs; load(number): (name, {view: (h, w, 3) float32})."""

    name: str
    count: int
    load: Callable[[int], tuple[str, Mapping[str, np.ndarray]]]


# ---------------------------------------------------------------------------------------------------------------- data
def open_pairs(name: str) -> Pairs:
    """Open the pairs of a dataset's test split, or of a folder. Raises InputError if they are not there."""
    if str(name).partition("/")[0] in DATASETS:
        return open_dataset(str(name))
    folder = pathlib.Path(name)
    if not folder.is_dir():
        raise InputError(f"{name}: no such folder, and not one of {', '.join(DATASETS)}")
    if not is_pairs(folder):
        raise InputError(f"{name}: holds no pairs, in blurred/ and sharp/")
    paths = {view: by_stem(place) for view in VIEWS if (place := view_folder(folder, view))}
    stems = list(paths["blurred"])

    def load(number):
        views = {}
        for view, found in paths.items():
            if stems[number] not in found:
                raise InputError(f"{paths['blurred'][stems[number]]}: has no {view} picture beside it in {folder}")
            views[view] = read_photo(found[stems[number]]).pixels
        return stems[number], checked(views, stems[number])

    return Pairs(str(name), len(stems), load)


def open_dataset(name: str) -> Pairs:
    """Open the test split of DPDD or RealDOF as built. Raises InputError."""
    builder = built(name, "test")
    features = {
        view: feature for view in VIEWS for feature in reversed(FEATURES[view]) if feature in builder.info.features
    }
    found = records(builder, "test", (*features.values(), "scene"))

    def load(number):
        record = found[number]
        scene = record["scene"].decode() if "scene" in record else f"{number:04}"
        views = {view: to_float(np.asarray(record[feature])) for view, feature in features.items()}
        return scene.replace("/", "_"), checked(views, scene)

    return Pairs(name, len(found), load)


def checked(views: Mapping[str, np.ndarray], name: str) -> Mapping[str, np.ndarray]:
    """Return the views; raises InputError unless they have one size."""
    sizes = {view: f"{picture.shape[1]}x{picture.shape[0]}" for view, picture in views.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"{name}: its views differ in size: {', '.join(map(' '.join, sizes.items()))}")
    return views


# ----------------------------------------------------------------------------------------------------------- restoring
def deblurring(method: str, weights=None, data: str = "") -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Return a function from views to the restored photograph (h, w, 3) float32 in [0, 1].

    method: one of METHODS. weights: a network's, or dmenet's, from `restore_jax.load`. data: the data set's name, on
    which the weight of deconvolution's data term depends.
    """
    if method == "input":
        return lambda views: views["blurred"]
    if method in DECONVOLVED:
        return functools.partial(_deconvolved, method=method, weights=weights, weight=data_weight(data))
    dual = restore.needs_views(weights.model)

    def restored(views):
        if dual and not {"left", "right"} <= views.keys():
            raise InputError(f"weights {weights.name}: need dual-pixel views, in left/ and right/ beside blurred/")
        sides = {name: views[name] for name in ("left", "right")} if dual else {}
        return restore.restore(weights.model, weights.params, views["blurred"], views=sides)

    enable_compilation_cache()
    return restored


def data_weight(data: str) -> float:
    """Return the weight of deconvolution's data term for a data set; a folder has that of `restore-jax deblur`."""
    return DATASET_WEIGHTS.get(data.partition("/")[0], DATASET_WEIGHTS["cuhk"])


def _deconvolved(views, method, weights, weight):
    sigma = estimate_defocus(views["blurred"], method=method, **({"weights": weights} if weights else {}))
    return np.clip(np.asarray(deconvolve(views["blurred"], sigma, weight=weight)), 0, 1)


# ----------------------------------------------------------------------------------------------------------- measuring
def score(result: np.ndarray, truth: np.ndarray, conventions: Sequence[str], lpips=None) -> dict[str, float]:
    """Measure a photograph: {column: value}; equal pictures have no PSNR."""
    found = {
        f"{name.upper()} [{convention}]": float(getattr(metrics, name)(result, truth, convention))
        for convention in conventions
        for name in ("psnr", "ssim", "mae")
    }
    if lpips is not None:
        found["LPIPS [alex]"] = float(metrics.lpips(result, truth, lpips))
    return {column: value if np.isfinite(value) else None for column, value in found.items()}


def measure(data: Pairs, method: str, weights: str | None, options: Options, label: str) -> Outcome:
    """Measures a method on pairs, with weights (a name or file) if it takes any.

    options.limit takes the first photographs only. LPIPS is measured with options.weights["lpips"]. label: the name of
    pictures. Raises InputError for weights and photographs that cannot be read.
    """
    if not data.count:
        raise InputError(f"{data.name}: holds no pairs")
    restorer, sha, name = open_weights(weights, "deblur" if method in NETWORKS else "defocus")
    restored = deblurring(method, restorer, data.name)
    lpips, judged_by = _lpips(options.weights.get("lpips"))
    conventions = list(metrics.CONVENTIONS) if options.all_conventions else [CONVENTION]
    count = min(data.count, options.limit or data.count)

    def items():
        for number in range(count):
            stem, views = data.load(number)
            identity = digest(*(views[view] for view in sorted(views)))
            picture = options.pictures and options.pictures / f"{stem}_{label}.png"

            def compute(stem=stem, views=views, picture=picture):
                result = restored(views)
                if picture:
                    write_photo(picture, result)
                    write_photo(picture.with_name(f"{stem}_truth.png"), views["sharp"])
                return score(result, views["sharp"], conventions, lpips)

            key = (data.name, stem, identity, method, sha, judged_by, *conventions)
            yield Item(key, f"{data.name}: {label} {number + 1}/{count} {stem}", compute, picture)

    values = means(scores_of(items(), options))
    if sha and method in NETWORKS:
        values["params (M)"] = parameters(restorer.params["params"]) / 1e6
    return Outcome(values, count, name, {"data": data.name, "method": method, "weights_sha256": sha})


def _lpips(weights):
    """Return (parameters, sha256) of LPIPS weights, or (None, "")."""
    if weights is None:
        return None, ""
    params, header = read_safetensors(weights)
    if header["model"] != "lpips":
        raise InputError(f"{weights}: weights of {header['model']}, not of lpips")
    return params, sha256(weights)


def compare(data: str, methods: Sequence[str], options: Options) -> list[Filled]:
    """Measure each method on a data set, a row each, nothing printed beside it. Raises InputError."""
    pairs = open_pairs(data)
    return compared(
        methods, METHODS, lambda method: measure(pairs, method, weights_of(method, options, method), options, method)
    )


def weights_of(method: str, options: Options, role: str) -> str | None:
    """Returns a method's weights: those given for `role`, else those of its own name; None for no network."""
    if method in (*NETWORKS, "dmenet"):
        return options.weights.get(role, method)
    return None
