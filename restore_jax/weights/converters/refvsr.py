"""Names and layouts of the published RefVSR checkpoints."""

import re

from restore_jax.weights.converters import edvr, spynet
from restore_jax.weights.converters.renaming import LEAVES, by_rules, to_our_layout

__all__ = ["OPTIONAL", "our_name", "to_our_layout"]

# Ours (a path in the parameter tree, without kernel/bias) <- published, by regular expression.
_RULES = (
    (r"feature_match\.feature_extract\.0", "matcher/vgg/conv1_1"),
    (r"feature_match\.feature_extract\.2", "matcher/vgg/conv1_2"),
    (r"feature_match\.feature_extract\.5", "matcher/vgg/conv2_1"),
    (r"feature_match\.feature_extract\.map(?:64|128)\.0", "matcher/projection"),
    (r"feature_match\.sub_mean", "matcher/normalisation"),
    (r"ref_encoder1\.(\d)\.0", "encoder/full_in/conv_{0}"),
    (r"ref_encoder2\.(\d)\.0", "encoder/half_in/conv_{0}"),
    (r"conf_fusion\.(\d)\.0", "fuse/guided/confidence/conv_{0}"),
    (r"feat_fusion\.(\d)\.0", "fuse/guided/content/conv_{0}"),
    (r"conf_fusion2\.(\d)\.0", "fuse/guided_2x/confidence/conv_{0}"),
    (r"feat_fusion2\.(\d)\.0", "fuse/guided_2x/content/conv_{0}"),
    (r"feat_fusion2_1\.0\.0", "fuse/merge"),
    (r"upsample1\.upsample_conv", "fuse/up"),
    (r"conf_fusion_BWFW\.(\d)\.0", "upsampler/guided/confidence/conv_{0}"),
    (r"feat_fusion_BWFW\.(\d)\.0", "upsampler/guided/content/conv_{0}"),
    (r"fusion_UP", "upsampler/merge"),
    (r"upsample2\.upsample_conv", "upsampler/up"),
    (r"conv_hr", "upsampler/conv_hr"),
    (r"conv_last", "upsampler/conv_out"),
    (r"(forward|backward)_resblocks\.main\.0", "{0}_trunk/conv_in"),
    (r"(forward|backward)_fusion", "{0}_refill"),
)
_CHAINS = {
    "res1": "encoder/full_blocks",
    "res2": "encoder/half_blocks",
    "feat_decoder": "fuse/blocks",
    "feat_decoder2": "fuse/blocks_2x",
    "feat_decoder_BWFW": "upsampler/blocks",
}
_AFFINES = {"aa1": "affine", "aa2": "affine_2x"}
_AFFINE_LAYERS = {
    "conv1.0": "encoder_in",
    "conv1.2.conv1": "encoder_block/conv_0_0",
    "conv1.2.conv2": "encoder_block/conv_0_1",
    "p_conv.0": "conv_in",
    "p_conv.2.conv1": "block/conv_0_0",
    "p_conv.2.conv2": "block/conv_0_1",
    "p_conv.4": "conv_out",
}

# Published parameters that a network without the part they belong to leaves out.
OPTIONAL = ()


def our_name(name: str) -> str | None:
    """Translate 'res1.RBs.0.conv1.weight' -> 'encoder/full_blocks/conv_0_0/kernel'; None for an unknown name."""
    if name.startswith("FlowNet."):
        path = spynet.our_name(name)
        return path and f"flow_network/{path}"
    stem, _, kind = name.rpartition(".")
    leaf, path = LEAVES.get(kind), _layer(stem)
    return f"{path}/{leaf}" if leaf and path else None


def _layer(stem: str) -> str | None:
    if stem.startswith("edvr."):
        return edvr.extractor_layer(stem.removeprefix("edvr."))
    if match := re.fullmatch(r"(\w+)\.(?:RBs\.(\d+)\.conv([12])|conv_tail)", stem):
        chain = _CHAINS.get(match[1])
        return chain and f"{chain}/{f'conv_{match[2]}_{int(match[3]) - 1}' if match[2] else 'tail'}"
    if match := re.fullmatch(r"(forward|backward)_resblocks\.main\.2\.(\d+)\.conv([12])", stem):
        return f"{match[1]}_trunk/blocks/conv_{match[2]}_{int(match[3]) - 1}"
    if match := re.fullmatch(r"(aa[12])\.align\.(.*)", stem):
        layer = _AFFINE_LAYERS.get(match[2])
        return layer and f"{_AFFINES[match[1]]}/{layer}"
    return by_rules(_RULES, stem)
