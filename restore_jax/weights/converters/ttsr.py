"""Names and layouts of the published TTSR checkpoint.

No manifest or file was at hand to check the names against; an unknown, missing or misshapen one is refused by name.
"""

import re

from restore_jax.weights.converters.renaming import LEAVES, by_rules, to_our_layout

__all__ = ["OPTIONAL", "our_name", "to_our_layout"]

# Ours (a path in the parameter tree, without kernel/bias) <- published, by regular expression.
_RULES = (
    (r"SFE\.conv_head", "main/conv_in"),
    (r"SFE\.RBs\.(\d+)\.conv1", "main/shallow/conv_{0}_0"),
    (r"SFE\.RBs\.(\d+)\.conv2", "main/shallow/conv_{0}_1"),
    (r"SFE\.conv_tail", "main/shallow/tail"),
    (r"conv11_head", "main/transfer3"),
    (r"RB11\.(\d+)\.conv1", "main/blocks1/conv_{0}_0"),
    (r"RB11\.(\d+)\.conv2", "main/blocks1/conv_{0}_1"),
    (r"conv11_tail", "main/blocks1/tail"),
    (r"conv12", "main/up2"),
    (r"conv22_head", "main/transfer2"),
    (r"conv23", "main/up3"),
    (r"conv33_head", "main/transfer1"),
    (r"RB([23])([123])\.(\d+)\.conv1", "main/blocks{0}_{1}/conv_{2}_0"),
    (r"RB([23])([123])\.(\d+)\.conv2", "main/blocks{0}_{1}/conv_{2}_1"),
    (r"conv([23])([123])_tail", "main/tail{0}_{1}"),
    (r"ex12\.conv12", "main/exchange2/from1_to2"),
    (r"ex12\.conv21", "main/exchange2/from2_to1_0"),
    (r"ex12\.conv_merge([12])", "main/exchange2/merge{0}"),
    (r"ex123\.conv(12|13|23)", "main/exchange3/from{0[0]}_to{0[1]}"),
    (r"ex123\.conv(21|32)", "main/exchange3/from{0[0]}_to{0[1]}_0"),
    (r"ex123\.conv31_1", "main/exchange3/from3_to1_0"),
    (r"ex123\.conv31_2", "main/exchange3/from3_to1_1"),
    (r"ex123\.conv_merge([123])", "main/exchange3/merge{0}"),
    (r"merge_tail\.conv13", "main/bring1"),
    (r"merge_tail\.conv23", "main/bring2"),
    (r"merge_tail\.conv_merge", "main/merge"),
    (r"merge_tail\.conv_tail1", "main/conv_mid"),
    (r"merge_tail\.conv_tail2", "main/conv_out"),
)
_VGG = {"0": "conv1_1", "2": "conv1_2", "5": "conv2_1", "7": "conv2_2", "10": "conv3_1"}

# Published parameters that a network without the part they belong to leaves out: the copy of the extractor that the
# transferal perceptual loss was computed with.
OPTIONAL = ("extractor_copy/",)


def our_name(name: str) -> str | None:
    """Translate 'MainNet.SFE.conv_head.weight' -> 'main/conv_in/kernel'; None for a name TTSR does not have."""
    part, _, rest = name.partition(".")
    stem, _, kind = rest.rpartition(".")
    leaf = LEAVES.get(kind)
    if leaf is None:
        return None
    if part == "LTE_copy":
        return f"extractor_copy/{stem}/{leaf}"
    if part == "LTE":
        if stem == "sub_mean":
            return f"normalisation/{leaf}"
        match = re.fullmatch(r"slice[123]\.(\d+)", stem)
        return f"extractor/{_VGG[match[1]]}/{leaf}" if match and match[1] in _VGG else None
    path = by_rules(_RULES, stem) if part == "MainNet" else None
    return path and f"{path}/{leaf}"
