"""Names of parameters in mmagic, whose networks BasicSR has under other names."""

import re


def basicvsr_in_mmagic(name):
    """Return the name that mmagic gives to a parameter of BasicSR's BasicVSR."""
    name = re.sub(r"(forward|backward)_trunk\.", r"\1_resblocks.", name)
    name = re.sub(r"upconv([12])\.", r"upsample\1.upsample_conv.", name)

    def layer(match):
        return f"{match[1]}.{int(match[2]) // 2}.conv.{match[3]}"

    return "generator." + re.sub(r"^(spynet\.basic_module\.\d\.basic_module)\.(\d)\.(\w+)$", layer, name)


def edvr_in_mmagic(name):
    """Return the name that mmagic gives to a parameter of BasicSR's EDVR."""
    for basicsr, mmagic in (
        *((f"conv_l{level}_{n}.", f"feat_l{level}_conv{n}.conv.") for level in (2, 3) for n in (1, 2)),
        ("pcd_align.", "pcd_alignment."),
        *((f"upconv{n}.", f"upsample{n}.upsample_conv.") for n in (1, 2)),
    ):
        name = name.replace(basicsr, mmagic)
    stem, _, kind = name.rpartition(".")
    activated = ("offset_conv1.", "offset_conv2.", "offset_conv3.", "feat_conv.", "cas_offset", "feat_fusion", "attn_l")
    attention = "spatial_attn" in stem and not stem.endswith(("attn5", "add2"))
    if attention or any(part in f"{stem}." for part in activated):
        stem += ".conv"
    return f"generator.{stem}.{kind}"
