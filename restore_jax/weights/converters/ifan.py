"""Names and layouts of the published IFAN checkpoints."""

import re

from restore_jax.weights.converters.renaming import LEAVES

# Ours (a path in the parameter tree, without kernel/bias) <- published, by regular expression.
_RULES = (
    (r"conv_res\.0\.0", "reconstructor/conv_in"),
    (r"conv_res\.1\.stem\.(\d)\.([02])", "reconstructor/blocks/conv_{0}_{1}"),
    (r"conv_res\.2\.0", "reconstructor/conv_mid"),
    (r"upconv(\d)_u\.0", "reconstructor/up{0}"),
    (r"upconv(\d)_(\d)\.stem\.(\d)\.([02])", "reconstructor/up{0}_block_{1}/conv_{2}_{3}"),
    (r"out_res\.0", "reconstructor/conv_out"),
    (r"conv_DME\.0", "disparity_features"),
    (r"conv4_4\.0\.0", "filter_features/conv_in"),
    (r"conv4_4\.([12])\.stem\.(\d)\.([02])", "filter_features/block_{0}/conv_{1}_{2}"),
    (r"conv4_4\.3\.0", "filter_features/conv_out"),
    (r"kconv(\d_\d)\.0", "filter_encoder/conv{0}"),
    (r"conv(\d_\d)\.0", "feature_encoder/conv{0}"),
)
_PREDICTORS = {
    "Network.DME": "disparity_estimator",
    "Network.F": "filter_predictor",
    "reblurNet.RBF": "reblur_predictor",
}


# Published parameters that a network without the part they belong to leaves out.
OPTIONAL = ("reblur_predictor/",)


def our_name(name: str) -> str | None:
    """Translate 'Network.conv1_1.0.weight' -> 'feature_encoder/conv1_1/kernel'; None for a name IFAN does not have."""
    stem, _, kind = name.rpartition(".")
    leaf = LEAVES.get(kind)
    if leaf is None:
        return None
    for published, ours in _PREDICTORS.items():
        for pattern, path in (
            (r"\.0\.0", "conv_in"),
            (r"\.([12])\.stem\.(\d)\.([02])", "block_{0}/conv_{1}_{2}"),
            (r"\.3", "conv_out"),
        ):
            if match := re.fullmatch(re.escape(published) + pattern, stem):
                return f"{ours}/{_fill(path, match)}/{leaf}"
    for pattern, path in _RULES:
        if match := re.fullmatch(r"Network\." + pattern, stem):
            return f"{_fill(path, match)}/{leaf}"
    return None


def _fill(path: str, match: re.Match) -> str:
    # Inside a residual block the published layers are numbered 0 and 2 (1 is the activation).
    groups = list(match.groups())
    if "conv_{" in path and groups[-1] == "2":
        groups[-1] = "1"
    return path.format(*groups)


def to_our_layout(name: str, array):
    """Turn OIHW, and IOHW of transposed convolutions, into HWIO."""
    if array.ndim != 4:
        return array
    return array.transpose(2, 3, 0, 1) if re.search(r"upconv\d_u", name) else array.transpose(2, 3, 1, 0)
