"""Evaluation of defocus deblurring: pairs of photographs, methods, the tables of chapter IV (dissertation 4.3).

Pairs are those of a dataset that `restore-jax data build` made, "dpdd/png8", "dpdd/png16" or "realdof", or of a folder
that holds blurred/ and sharp/ and, for networks that see dual-pixel views, left/ and right/.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from restore_jax import metrics
from restore_jax.cache import enable_compilation_cache
from restore_jax.errors import InputError
from restore_jax.evaluation.costs import parameters
from restore_jax.evaluation.published import required
from restore_jax.evaluation.rows import Filled, Options, Outcome, Row, Table, digest, mean
from restore_jax.io.photos import read_photo, to_float, write_photo
from restore_jax.version import __version__
from restore_jax.weights.registry import TAKEN

DATASETS = ("dpdd", "realdof")
VIEWS = ("blurred", "sharp", "left", "right")
DECONVOLVED = ("jnb", "ebdb", "zhuo", "dmenet")  # estimators of maps, by which photographs are deconvolved
NETWORKS = TAKEN["deblur"]
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
    """The pairs of a dataset's test split, or of a folder. Raises InputError if they are not there."""
    if str(name).partition("/")[0] in DATASETS:
        return open_dataset(str(name))
    folder = pathlib.Path(name)
    if not folder.is_dir():
        raise InputError(f"{name}: no such folder, and not one of {', '.join(DATASETS)}")
    from restore_jax.data.sources import by_stem, is_pairs, view_folder

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
    """The test split of DPDD or RealDOF as built. Raises InputError."""
    from restore_jax.data.built import built, records
    from restore_jax.data.sources import FEATURES

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
    """The views. Raises InputError unless they are of one size."""
    sizes = {view: f"{picture.shape[1]}x{picture.shape[0]}" for view, picture in views.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"{name}: its views differ in size: {', '.join(map(' '.join, sizes.items()))}")
    return views


# ----------------------------------------------------------------------------------------------------------- restoring
def deblurring(method: str, weights=None, data: str = "") -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """A function from views to the restored photograph (h, w, 3) float32 in [0, 1].

    method: of METHODS. weights: what `restore_jax.load` gives, of a network or of dmenet. data: the data set's name;
    the weight of deconvolution's data term depends on it.
    """
    if method == "input":
        return lambda views: views["blurred"]
    if method in DECONVOLVED:
        return functools.partial(_deconvolved, method=method, weights=weights, weight=data_weight(data))
    from restore_jax import restore

    dual = restore.needs_views(weights.model)

    def restored(views):
        if dual and not {"left", "right"} <= views.keys():
            raise InputError(f"weights {weights.name}: need dual-pixel views, in left/ and right/ beside blurred/")
        sides = {name: views[name] for name in ("left", "right")} if dual else {}
        return restore.restore(weights.model, weights.params, views["blurred"], views=sides)

    enable_compilation_cache()
    return restored


def data_weight(data: str) -> float:
    """Of deconvolution's data term, by data set; for a folder that of `restore-jax deblur --method deconv`."""
    from restore_jax.ops.deconv import DATASET_WEIGHTS

    return DATASET_WEIGHTS.get(data.partition("/")[0], DATASET_WEIGHTS["cuhk"])


def _deconvolved(views, method, weights, weight):
    from restore_jax.defocus import estimate_defocus
    from restore_jax.ops.deconv import deconvolve

    sigma = estimate_defocus(views["blurred"], method=method, **({"weights": weights} if weights else {}))
    return np.clip(np.asarray(deconvolve(views["blurred"], sigma, weight=weight)), 0, 1)


# ----------------------------------------------------------------------------------------------------------- measuring
def score(result: np.ndarray, truth: np.ndarray, conventions: Sequence[str], lpips=None) -> dict[str, float]:
    """{column: value} of a photograph; equal ones have no PSNR."""
    found = {
        f"{name.upper()} [{convention}]": float(getattr(metrics, name)(result, truth, convention))
        for convention in conventions
        for name in ("psnr", "ssim", "mae")
    }
    if lpips is not None:
        found["LPIPS [alex]"] = float(metrics.lpips(result, truth, lpips))
    return {column: value if np.isfinite(value) else None for column, value in found.items()}


def measure(data: Pairs, method: str, weights: str | None, options: Options, label: str) -> Outcome:
    """Metrics of a method with weights (a name or file) over pairs; options.limit is of photographs.

    LPIPS is measured with options.weights["lpips"]. Scores of photographs found in the journal are not computed again,
    unless their picture is lacking. InputError for weights that cannot be read and photographs that cannot.
    """
    from restore_jax import weights as registry

    if method not in METHODS:
        raise InputError(f"--method {method}: is not one of {', '.join(METHODS)}")
    if not data.count:
        raise InputError(f"{data.name}: holds no pairs")
    verb = "deblur" if method in NETWORKS else "defocus"
    sha, loaded = (registry.verify(weights), registry.load(weights, verb)) if weights else ("", None)
    restored = deblurring(method, loaded, data.name)
    lpips, judged_by = _lpips(options.weights.get("lpips"))
    conventions = list(metrics.CONVENTIONS) if options.all_conventions else [CONVENTION]
    count, scores = min(data.count, options.limit or data.count), []
    for number in range(count):
        name, views = data.load(number)
        sharp = views["sharp"]
        identity = digest(*(views[view] for view in sorted(views)))
        key = (data.name, name, identity, method, sha, __version__, judged_by, *conventions)
        picture = options.pictures and options.pictures / f"{name}_{label}.png"
        if (found := options.journal.get(key)) is None or (picture and not picture.exists()):
            options.say(f"{data.name}: {label} {number + 1}/{count} {name}")
            result = restored(views)
            if picture:
                write_photo(picture, result)
                write_photo(options.pictures / f"{name}_truth.png", sharp)
            found = score(result, sharp, conventions, lpips)
            options.journal.add(key, found)
        scores.append(found)
    values = {column: mean(found[column] for found in scores) for column in scores[0]}
    if sha and method in NETWORKS:
        values["params (M)"] = parameters(loaded.params["params"]) / 1e6
    details = {"data": data.name, "method": method, "weights_sha256": sha}
    return Outcome(values, count, registry.card(weights)["name"] if weights else "-", details)


def _lpips(weights):
    """(parameters, sha256) of LPIPS weights, or (None, "")."""
    from restore_jax import weights as registry
    from restore_jax.weights.files import read_safetensors

    if weights is None:
        return None, ""
    params, header = read_safetensors(weights)
    if header["model"] != "lpips":
        raise InputError(f"{weights}: weights of {header['model']}, not of lpips")
    return params, registry.sha256(weights)


def compare(data: str, methods: Sequence[str], options: Options) -> list[Filled]:
    """A row for each method on a data set, nothing printed beside it. Raises InputError."""
    pairs = open_pairs(data)
    return [
        Filled(method, {}, measure(pairs, method, _weights(method, options, method), options, method))
        for method in methods
    ]


def _weights(method, options, role):
    """What a method takes: weights by role, else, of the networks that ship, their name; None for a method without."""
    if method in (*NETWORKS, "dmenet"):
        return options.weights.get(role, method)
    return None


# -------------------------------------------------------------------------------------------------------------- tables
def table(number: str, data: str = "") -> Table:
    """A table of chapter IV, on its own data set or another. Raises KeyError for a number that is not of TABLES."""
    title, own, rows = TABLES[number]
    filled = []
    for label, role, *printed in rows:
        compute = functools.partial(_measured, data=data or own, role=role)
        numbers = {name: value for name, value in zip(COLUMNS, printed, strict=False) if value is not None}
        filled.append(Row(label, numbers, compute, METHOD_ROLES.get(role, role)))
    return Table(title if data in ("", own) else f"{title}, measured on {data}", tuple(filled), NOTE)


def _measured(options: Options, *, data: str, role: str) -> Outcome:
    """A row that is a method, or some weights, on a data set."""
    method = role if role in METHODS and role != "ifan" else role.partition("_")[0]
    takes = METHOD_ROLES.get(role, role)
    weights = required(options, role) if method in NETWORKS else _weights(method, options, takes)
    return measure(open_pairs(data), method, weights, options, role)


METHOD_ROLES = {"dmenet": "bdcs"}  # whose weights a method's row takes: as in chapter III
COLUMNS = ("PSNR", "SSIM", "MAE", "LPIPS", "params (M)", "MACs (G)", "s")
NOTE = (
    "printed: the dissertation's numbers; MAE, which it prints times ten, is per [0, 1]; its seconds are of a GeForce "
    "RTX 3090. jnb, ebdb and dmenet: deconvolution by their maps"
)
_OURS = (25.37, 0.789, 0.0394, 0.217)
TABLES = {  # number: title, data set, (label, role, PSNR, SSIM, MAE, LPIPS, M parameters, G MACs, seconds) of each row
    "4.1": (
        "Table 4.1: filter predictor and IAC (F), disparity map estimator (D), reblurring network (R)",
        "dpdd/png8",
        (
            ("baseline", "ifan_baseline", 24.88, 0.753, 0.0416, 0.289, 10.58, 364.3),
            ("D", "ifan_d", 24.97, 0.761, 0.0412, 0.280, 10.58, 364.3),
            ("F", "ifan_f", 25.07, 0.765, 0.0406, 0.271, 10.48, 362.9),
            ("FD", "ifan_fd", 25.18, 0.780, 0.0403, 0.233, 10.48, 362.9),
            ("FR", "ifan_fr", 25.28, 0.780, 0.0400, 0.245, 10.48, 362.9),
            ("FDR", "ifan", *_OURS, 10.48, 362.9),
        ),
    ),
    "4.2": (
        "Table 4.2: comparison on DPDD",
        "dpdd/png8",
        (
            ("Input", "input", 23.89, 0.725, 0.0471, 0.349),
            ("JNB", "jnb", 23.69, 0.707, 0.0480, 0.442, None, None, 105.8),
            ("EBDB", "ebdb", 23.94, 0.723, 0.0468, 0.402, None, None, 96.58),
            ("DMENet", "dmenet", 23.90, 0.720, 0.0470, 0.410, 26.94, 1172.5, 77.70),
            ("DPDNet-S", "dpdnet_s", 24.03, 0.735, 0.0461, 0.279, 35.25, 989.8, 0.462),
            ("DPDNet-D", "dpdnet_d", 25.23, 0.787, 0.0401, 0.224, 35.25, 991.4, 0.474),
            ("Ours", "ifan", *_OURS, 10.48, 362.9, 0.014),
        ),
    ),
    "4.3": (
        "Table 4.3: comparison on RealDOF",
        "realdof",
        (
            ("Input", "input", 22.33, 0.633, 0.0513, 0.524),
            ("JNB", "jnb", 22.36, 0.635, 0.0511, 0.601),
            ("EBDB", "ebdb", 22.38, 0.638, 0.0509, 0.594),
            ("DMENet", "dmenet", 22.41, 0.639, 0.0508, 0.597),
            ("DPDNet-S", "dpdnet_s", 22.67, 0.666, 0.0506, 0.420),
            ("Ours", "ifan", 24.71, 0.748, 0.0407, 0.306),
        ),
    ),
    "4.4": (
        "Table 4.4: 16-bit images",
        "dpdd/png16",
        (
            ("DPDNet-D-16", "dpdnet_d16", 25.13, 0.786, 0.0406, 0.224),
            ("DPDNet-S-16", "dpdnet_s16", 24.41, 0.751, 0.0434, 0.278),
            ("Ours-16", "ifan_16bit", 25.38, 0.791, 0.0394, 0.213),
        ),
    ),
    "4.5": (
        "Table 4.5: dual-pixel views",
        "dpdd/png8",
        (
            ("DPDNet-D", "dpdnet_d", 25.23, 0.787, 0.0401, 0.224),
            ("Ours-D", "ifan_dual", 25.99, 0.804, 0.0373, 0.207),
        ),
    ),
    "4.6": (
        "Table 4.6: number of filters N, and their receptive field",
        "dpdd/png8",
        (
            ("8 (17)", "ifan_n8", 25.19, 0.777, 0.0404, 0.246, 9.44, 347.9),
            ("17 (35)", "ifan", *_OURS, 10.48, 362.9),
            ("26 (53)", "ifan_n26", 25.39, 0.788, 0.0393, 0.215, 11.52, 377.9),
            ("35 (71)", "ifan_n35", 25.42, 0.789, 0.0391, 0.213, 12.56, 392.8),
            ("44 (89)", "ifan_n44", 25.45, 0.792, 0.0389, 0.206, 13.60, 407.8),
        ),
    ),
    "4.7": (
        "Table 4.7: one dense filter (FAC) and iterated separable ones (IAC)",
        "dpdd/png8",
        (
            ("FAC", "ifan_fac", 25.18, 0.778, 0.0406, 0.249, 10.51, 363.4),
            ("IAC", "ifan", *_OURS, 10.48, 362.9),
        ),
    ),
    "4.8": (
        "Table 4.8: largest sigma of the noise in training",
        "dpdd/png8",
        (
            ("0.07", "ifan", *_OURS),
            ("0.14", "ifan_noise14", 25.38, 0.789, 0.0395, 0.221),
            ("0.21", "ifan_noise21", 25.39, 0.787, 0.0394, 0.224),
        ),
    ),
}
