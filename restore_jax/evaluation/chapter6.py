"""The tables of chapter VI, reference memory: their rows, and the numbers that the dissertation prints."""

import functools

from restore_jax.evaluation import chapter5
from restore_jax.evaluation.memory import adapted, measure_reconstruction
from restore_jax.evaluation.published import SIZES, required
from restore_jax.evaluation.rows import Outcome, Row, Table
from restore_jax.evaluation.vsr import REALMCVSR, inside_and_outside, measure, whole

SAMPLED = 20  # frames of a reference video, uniformly taken (Table 6.4)
ADAPTED = "+adapted"  # after a row's role: test-time optimisation on all frames of each clip's reference


def table(number: str, data: str = "") -> Table:
    """Return a table, its rows computed on `data` or on RealMCVSR. Raises KeyError for an unknown number."""
    data = data or REALMCVSR[0]
    title, kind, rows = TABLES[number]
    compute = {"plain": _restored, "fov": _balanced, "both": _both, "memory": _remembered}[kind]
    columns = COLUMNS[kind]
    filled = tuple(
        Row(
            label,
            dict(zip(columns, printed, strict=False)),
            functools.partial(compute, data=data, role=role),
            role,
            data,
        )
        for label, role, *printed in rows
    )
    note = "printed: the dissertation's numbers, on RealMCVSR's test clips; adapted: for each clip, to its reference"
    return Table(title if data in REALMCVSR else f"{title}, measured on {data}", filled, note)


def own_data(number: str) -> tuple[str, ...]:
    """Return the data sets that a table is of."""
    return REALMCVSR[:1]


def _weights_of(role, options):
    """Return (name or file, learn) of a row's role, as `vsr.measure` takes them."""
    plain, plus, how = role.partition("+")
    learn = functools.partial(adapted, count=SAMPLED if how == "sampled" else None) if plus else None
    return plain if plain == "bicubic" else required(options, plain), learn


def _restored(options, *, data, role, columns=whole):
    name, learn = _weights_of(role, options)
    return measure(data, name, options, role.replace("+", "_"), columns, learn)


def _balanced(options, *, data, role):
    """Measure inside and outside the overlapped field of view, and how far the two lie apart (Table 6.3)."""
    outcome = _restored(options, data=data, role=role, columns=inside_and_outside)
    values = {name: value for name, value in outcome.values.items() if not whole(name)}
    for metric in ("PSNR", "SSIM"):
        inside, outside = (values[f"{metric} {part} [refvsr]"] for part in ("0-50", "50-100"))
        values[f"{metric} gap % [refvsr]"] = 100 * abs(inside - outside) / max(inside, outside)
    return Outcome(values, outcome.count, outcome.weights, outcome.details)


def _remembered(options, *, data, role):
    name, learn = _weights_of(role, options)
    return measure_reconstruction(data, name, options, learn)


def _both(options, *, data, role):
    remembered = _remembered(options, data=data, role=role)
    outcome = _restored(options, data=data, role=role)
    return Outcome({**remembered.values, **outcome.values}, outcome.count, outcome.weights, outcome.details)


_MEMORY = ("reconstruction PSNR", "reconstruction SSIM")
COLUMNS = {
    "plain": ("PSNR", "SSIM", "params (M)"),
    "fov": ("PSNR 0-50", "SSIM 0-50", "PSNR 50-100", "SSIM 50-100", "PSNR gap %", "SSIM gap %", "params (M)"),
    "both": (*_MEMORY, "PSNR", "SSIM"),
    "memory": _MEMORY,
}
_REMEMBERED = (  # what Table 6.5 prints for each of SIZES
    *((31.42, 0.918), (32.82, 0.932), (32.82, 0.932), (33.00, 0.931), (33.19, 0.935), (33.20, 0.935)),
    *((33.21, 0.940), (33.67, 0.942), (34.35, 0.965), (34.39, 0.964)),
)
_OLD_ROWS = ("bicubic", "rcan", "ttsr_l1", "dcsr_l1", "edvr_m", "edvr", "basicvsr", "iconvsr")  # as in Table 5.5
TABLES = {  # number: title, kind of its columns, (label, role, printed numbers) of each row
    "6.1": (
        "Table 6.1: backbones, with reference memory and test-time optimisation",
        "plain",
        (
            ("EDVR", "edvr", 33.47, 0.946, 20.63),
            ("EDVR, memory", "edvr_memory", 33.84, 0.951, 30.51),
            ("BasicVSR", "basicvsr", 33.66, 0.951, 4.851),
            ("BasicVSR, memory", "basicvsr_memory", 34.04, 0.954, 4.849),
            ("BasicVSR, memory adapted", f"basicvsr_memory{ADAPTED}", 34.24, 0.955, 4.849),
        ),
    ),
    "6.2": (
        "Table 6.2: comparison",
        "plain",
        (
            *(row for row in chapter5.TABLES["5.5"][1] if row[1] in _OLD_ROWS),
            ("MCVSR-IR-l1", "ir_l1", 34.74, 0.959, 4.774),
            ("BasicVSR, memory adapted", f"basicvsr_memory{ADAPTED}", 34.24, 0.955, 4.849),
        ),
    ),
    "6.3": (
        "Table 6.3: inside and outside the reference's field of view",
        "fov",
        (
            ("Bicubic", "bicubic", 25.38, 0.757, 27.29, 0.815, 7.0, 7.1),
            ("RCAN", "rcan", 29.77, 0.895, 31.80, 0.921, 6.4, 2.8, 15.89),
            ("DCSR", "dcsr_l1", 34.90, 0.963, 31.93, 0.923, 8.5, 4.2, 5.419),
            ("BasicVSR", "basicvsr", 32.64, 0.945, 34.27, 0.953, 4.8, 0.8, 4.851),
            ("IconVSR", "iconvsr", 32.79, 0.946, 34.40, 0.953, 4.7, 0.7, 7.255),
            ("MCVSR-IR", "ir_l1", 36.14, 0.971, 34.63, 0.955, 4.2, 1.6, 4.774),
            ("BasicVSR, memory", "basicvsr_memory", 34.20, 0.951, 34.64, 0.961, 1.3, 1.0, 4.849),
            ("BasicVSR, memory adapted", f"basicvsr_memory{ADAPTED}", 34.31, 0.959, 34.70, 0.964, 1.1, 0.6, 4.849),
        ),
    ),
    "6.4": (
        "Table 6.4: the frames that the memory was trained on",
        "both",
        (
            ("training videos", "basicvsr_memory", 33.91, 0.947, 34.04, 0.954),
            (f"and {SAMPLED} frames of the reference", "basicvsr_memory+sampled", 34.17, 0.961, 34.12, 0.955),
            ("and all frames of the reference", f"basicvsr_memory{ADAPTED}", 34.35, 0.964, 34.24, 0.955),
        ),
    ),
    "6.5": (
        "Table 6.5: size of the memory",
        "memory",
        tuple(
            (f"k {k}, b {b}, m {m}", f"k{k},b{b},m{m}", *printed)
            for (k, b, m), printed in zip(SIZES, _REMEMBERED, strict=True)
        ),
    ),
}
