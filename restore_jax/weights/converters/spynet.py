"""Names and layouts of the published SPyNet checkpoints: RefVSR's, BasicSR's and mmagic's."""

import re

# Published constants: the colour statistics of ImageNet.
OPTIONAL = ("mean", "std")


def our_name(name: str) -> str | None:
    """Translate a published name of RefVSR, mmagic or BasicSR to 'level0/conv1/kernel'.

    Such as 'FlowNet.basic_module.0.basic_module.1.conv.weight', with 'spynet.' in place of 'FlowNet.' in mmagic's, and
    BasicSR's '[spynet.]basic_module.0.basic_module.2.weight'. Returns None for a name that SPyNet does not have.
    """
    if match := re.fullmatch(r"(?:spynet\.)?(mean|std)", name):
        return match[1]
    module = r"basic_module\.([0-5])\.basic_module"
    if match := re.fullmatch(rf"(?:(?:FlowNet|spynet)\.)?{module}\.([0-4])\.conv\.(weight|bias)", name):
        layer = int(match[2])
    elif match := re.fullmatch(rf"(?:spynet\.)?{module}\.([02468])\.(weight|bias)", name):
        layer = int(match[2]) // 2  # the odd numbers are activations
    else:
        return None
    return f"level{match[1]}/conv{layer}/{'kernel' if match[3] == 'weight' else 'bias'}"


def to_our_layout(name: str, array):
    """Turn OIHW into HWIO."""
    return array.transpose(2, 3, 1, 0) if name.endswith("weight") else array
