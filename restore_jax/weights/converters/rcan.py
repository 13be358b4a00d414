"""Names and layouts of the published RCAN checkpoints (BasicSR's)."""

from restore_jax.weights.converters.renaming import LEAVES, by_rules, to_our_layout

__all__ = ["OPTIONAL", "our_name", "to_our_layout"]

# Ours (a path in the parameter tree, without kernel/bias) <- published, by regular expression.
_BLOCK = r"body\.(\d+)\.residual_group\.(\d+)\.rcab\."
_RULES = (
    (r"conv_first", "conv_in"),
    (_BLOCK + r"0", "group_{0}/conv_{1}_0"),
    (_BLOCK + r"2", "group_{0}/conv_{1}_1"),
    (_BLOCK + r"3\.attention\.1", "group_{0}/attention_{1}/squeeze"),
    (_BLOCK + r"3\.attention\.3", "group_{0}/attention_{1}/excite"),
    (r"body\.(\d+)\.conv", "group_{0}/conv_out"),
    (r"conv_after_body", "conv_mid"),
    (r"upsample\.0", "up_0"),
    (r"upsample\.2", "up_1"),
    (r"conv_last", "conv_out"),
)

# Published parameters that a network without the part they belong to leaves out.
OPTIONAL = ()


def our_name(name: str) -> str | None:
    """Translate 'body.0.conv.weight' -> 'group_0/conv_out/kernel'; None for a name RCAN does not have."""
    stem, _, kind = name.rpartition(".")
    leaf, path = LEAVES.get(kind), by_rules(_RULES, stem)
    return f"{path}/{leaf}" if leaf and path else None
