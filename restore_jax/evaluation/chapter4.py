"""The tables of chapter IV, defocus deblurring: their rows, and the numbers that the dissertation prints."""

import functools

from restore_jax.evaluation.deblur import METHODS, NETWORKS, measure, open_pairs, weights_of
from restore_jax.evaluation.published import required
from restore_jax.evaluation.rows import Options, Outcome, Row, Table


def table(number: str, data: str = "") -> Table:
    """Return a table, its rows computed on `data` or on the table's own. Raises KeyError for an unknown number."""
    title, own, rows = TABLES[number]
    filled = []
    for label, role, *printed in rows:
        compute = functools.partial(_measured, data=data or own, role=role)
        numbers = {name: value for name, value in zip(COLUMNS, printed, strict=False) if value is not None}
        filled.append(Row(label, numbers, compute, METHOD_ROLES.get(role, role), data or own, role))
    return Table(title if data in ("", own) else f"{title}, measured on {data}", tuple(filled), NOTE)


def own_data(number: str) -> tuple[str, ...]:
    """Return the data sets that a table is of."""
    return (TABLES[number][1],)


def _measured(options: Options, *, data: str, role: str) -> Outcome:
    """Measure a method, or some weights, on a data set."""
    method = role if role in METHODS and role != "ifan" else role.partition("_")[0]
    takes = METHOD_ROLES.get(role, role)
    weights = required(options, role) if method in NETWORKS else weights_of(method, options, takes)
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
