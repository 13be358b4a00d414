"""Names and layouts of the published EDVR checkpoints: BasicSR's and mmagic's."""

import re

from restore_jax.weights.converters.basicvsr import published_name, upsampling_layer
from restore_jax.weights.converters.renaming import to_our_layout

__all__ = ["OPTIONAL", "extractor_layer", "our_name", "to_our_layout"]

# A published constant: how long the network was trained.
OPTIONAL = ("step_counter",)

# Ours below the extractor <- BasicSR's. Where an activation follows, mmagic's end in .conv.
_LAYERS = (
    {"conv_first": "pyramid/conv_in", "fusion": "fusion"}
    | {f"conv_l{level}_{n + 1}": f"pyramid/l{level}_{n}" for level in (2, 3) for n in (0, 1)}
    | {f"pcd_align.offset_conv{n + 1}.l{level}": f"align/l{level}_offset_{n}" for level in (1, 2, 3) for n in (0, 1, 2)}
    | {f"pcd_align.feat_conv.l{level}": f"align/l{level}_merge" for level in (1, 2)}
    | {f"pcd_align.dcn_pack.l{level}": f"align/l{level}_dcn" for level in (1, 2, 3)}
    | {f"pcd_align.dcn_pack.l{level}.conv_offset": f"align/l{level}_dcn/offset" for level in (1, 2, 3)}
    | {f"pcd_align.cas_offset_conv{n + 1}": f"align/cascade_offset_{n}" for n in (0, 1)}
    | {"pcd_align.cas_dcnpack": "align/cascade_dcn", "pcd_align.cas_dcnpack.conv_offset": "align/cascade_dcn/offset"}
    | {"fusion.temporal_attn1": "fusion/temporal_centre", "fusion.temporal_attn2": "fusion/temporal_frames"}
    | {"fusion.feat_fusion": "fusion/fusion"}
    | {f"fusion.spatial_attn{n + 1}": f"fusion/spatial_{n}" for n in range(5)}
    | {f"fusion.spatial_attn_l{n + 1}": f"fusion/level_{n}" for n in range(3)}
    | {f"fusion.spatial_attn_add{n + 1}": f"fusion/added_{n}" for n in range(2)}
)


def our_name(name: str) -> str | None:
    """Translate a published name, 'pcd_align.dcn_pack.l3.weight' -> 'extractor/align/l3_dcn/kernel'.

    Returns None for a name that EDVR does not have.
    """
    return published_name(name, _layer)


def _layer(stem: str) -> str | None:
    if match := re.fullmatch(r"reconstruction\.(\d+)\.conv([12])", stem):
        return f"blocks/conv_{match[1]}_{int(match[2]) - 1}"
    return extractor_layer(stem) or upsampling_layer(stem)


def extractor_layer(stem: str) -> str | None:
    """'conv_l2_1' or 'feat_l2_conv1.conv' -> 'extractor/pyramid/l2_0': what IconVSR and RefVSR-IR have of EDVR."""
    if match := re.fullmatch(r"feature_extraction\.(\d+)\.conv([12])", stem):
        return f"extractor/pyramid/blocks/conv_{match[1]}_{int(match[2]) - 1}"
    stem = re.sub(r"^pcd_alignment\.", "pcd_align.", stem.removesuffix(".conv"))
    layer = _LAYERS.get(re.sub(r"^feat_l([23])_conv", r"conv_l\1_", stem))
    return layer and f"extractor/{layer}"
