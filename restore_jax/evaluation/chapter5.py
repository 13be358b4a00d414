"""The tables of chapter V, video super-resolution: their rows, and the numbers that the dissertation prints."""

import functools
from collections.abc import Iterable

from restore_jax.evaluation.published import required
from restore_jax.evaluation.rows import Options, Outcome, Row, Table
from restore_jax.evaluation.vsr import OURS, REALMCVSR, by_fov, measure, whole
from restore_jax.metrics.fields_of_view import RANGES


def table(number: str, data: str = "") -> Table:
    """Return a table, its rows computed on `data` or on RealMCVSR. Raises KeyError for an unknown number."""
    data = data or REALMCVSR[0]
    title, rows, fields = TABLES[number]
    columns = by_fov if fields else whole
    filled = []
    for label, role, *printed in rows:
        compute = functools.partial(_measured, data=data, role=role, columns=columns)
        filled.append(Row(label, _by_fov(printed) if fields else _printed(*printed), compute, role, data))
    note = "printed: the dissertation's numbers, on RealMCVSR's test clips"
    if fields:
        note += "; [refvsr]: borders as the release rounds them, [paper]: to the nearest pixel"
    return Table(title if data in REALMCVSR else f"{title}, measured on {data}", tuple(filled), note)


def own_data(number: str) -> tuple[str, ...]:
    """Return the data sets that a table is of."""
    return REALMCVSR[:1]


def _measured(options: Options, *, data: str, role: str, columns) -> Outcome:
    """Measure some weights on a data set."""
    return measure(data, role if role == "bicubic" else required(options, role), options, role, columns)


def _printed(psnr, ssim, params=None, macs=None):
    found = {"PSNR": psnr, "SSIM": ssim, "params (M)": params, "MACs (G)": macs}
    return {name: value for name, value in found.items() if value is not None}


def _by_fov(numbers: Iterable[float]) -> dict[str, float]:
    """Name (PSNR, SSIM) of each range of fields of view, in order, and the parameters if they follow."""
    numbers = list(numbers)
    pairs = zip(RANGES, numbers[0:12:2], numbers[1:12:2], strict=True)
    found = {}
    for part, psnr, ssim in pairs:
        found |= {f"PSNR {part}": psnr, f"SSIM {part}": ssim}
    return found if len(numbers) == 12 else {**found, "params (M)": numbers[12]}


# Number: title, (label, role, PSNR, SSIM, M parameters, G MACs) of each row, whether by field of view.
TABLES = {
    "5.1": (
        "Table 5.1: references, and the views that supervise details",
        (
            ("tele, tele, 32x32", "tele", 29.81, 0.893, 4.277),
            ("wide, tele, 32x32", "tele_supervision", 30.41, 0.895, 4.277),
            ("wide, wide, 32x32", "wide32", 30.36, 0.897, 4.277, 58_100),
            ("dual, dual, 32x32", "dual", 30.39, 0.888, 5.076, 71_500),
            ("wide, wide, 64x64", OURS, 31.68, 0.914, 4.277),
        ),
        False,
    ),
    "5.2": (
        "Table 5.2: multi-reference fidelity and propagative temporal fusion",
        (
            ("neither", "baseline", 30.71, 0.894, 4.2768),
            ("L_Mfid", "current_fusion", 31.31, 0.913, 4.2768),
            ("L_Mfid, PTF", OURS, 31.68, 0.914, 4.2772),
        ),
        False,
    ),
    "5.3": (
        "Table 5.3: one direction and two",
        (
            ("forward", "forward_baseline", 30.07, 0.890, 4.2653),
            ("forward, L_Mfid, PTF", "forward", 31.02, 0.906, 4.2656),
            ("both", "baseline", 30.71, 0.894, 4.2768),
            ("both, L_Mfid, PTF", OURS, 31.68, 0.914, 4.2772),
        ),
        False,
    ),
    "5.4": (
        "Table 5.4: alignment of frames and of references",
        (
            ("frames matched, flow to references", "match_frames_flow_reference", 29.33, 0.872, 4.408, 8_303),
            ("frames matched, references matched", "match_frames", 31.68, 0.920, 3.059, 9_364),
            ("flow to frames and references", "flow_reference", 29.35, 0.878, 5.627, 1_975),
            ("flow to frames, references matched", OURS, 31.68, 0.914, 4.277, 2_737),
        ),
        False,
    ),
    "5.5": (
        "Table 5.5: comparison",
        (
            ("Bicubic", "bicubic", 26.65, 0.800),
            ("SRGAN", "srgan", 29.38, 0.877, 0.734),
            ("RCAN-l1", "rcan", 31.07, 0.915, 15.89),
            ("TTSR", "ttsr", 30.31, 0.905, 6.730),
            ("TTSR-l1", "ttsr_l1", 30.83, 0.911, 6.730),
            ("DCSR", "dcsr", 30.63, 0.895, 5.419),
            ("DCSR-l1", "dcsr_l1", 32.43, 0.933, 5.419),
            ("EDVR-M-ch", "edvr_m", 33.26, 0.946, 3.317),
            ("EDVR-ch", "edvr", 33.47, 0.948, 20.63),
            ("BasicVSR-ch", "basicvsr", 33.66, 0.951, 4.851),
            ("IconVSR-ch", "iconvsr", 33.80, 0.951, 7.255),
            ("Ours-small", "small", 31.63, 0.912, 1.052),
            ("Ours-small-l1", "small_l1", 33.88, 0.951, 1.052),
            ("Ours", OURS, 31.68, 0.914, 4.277),
            ("Ours-l1", "ours_l1", 34.74, 0.958, 4.277),
            ("Ours-IR", "ir", 31.73, 0.916, 4.774),
            ("Ours-IR-l1", "ir_l1", 34.86, 0.959, 4.774),
        ),
        False,
    ),
    "5.6": (
        "Table 5.6: by field of view",
        (
            ("Bicubic", "bicubic", 25.38, 0.757, 26.30, 0.785, 26.42, 0.789, 26.71, 0.798, 26.99, 0.801, 27.29, 0.815),
            (
                *("RCAN-l1", "rcan", 29.77, 0.895, 30.69, 0.908, 30.86, 0.910, 31.17, 0.914, 31.50, 0.918),
                *(31.80, 0.921, 15.89),
            ),
            (
                *("DCSR-l1", "dcsr_l1", 34.90, 0.963, 31.96, 0.927, 31.61, 0.921, 31.58, 0.919, 31.81, 0.921),
                *(31.93, 0.923, 5.419),
            ),
            (
                *("IconVSR-ch", "iconvsr", 32.79, 0.946, 33.43, 0.949, 33.60, 0.950, 33.89, 0.951, 34.19, 0.953),
                *(34.40, 0.953, 7.255),
            ),
            (
                *("Ours-l1", "ours_l1", 36.02, 0.971, 34.59, 0.958, 34.31, 0.956, 34.23, 0.954, 34.40, 0.955),
                *(34.50, 0.954, 4.277),
            ),
            (
                *("Ours-IR-l1", "ir_l1", 36.14, 0.971, 34.66, 0.959, 34.40, 0.956, 34.34, 0.955, 34.52, 0.955),
                *(34.63, 0.955, 4.774),
            ),
        ),
        True,
    ),
}
