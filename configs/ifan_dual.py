"""IFAN that sees both dual-pixel views (dissertation, Table 4.5).

    restore-jax data build dpdd/png8 TREE
    python -m restore_jax.train --config=configs/ifan_dual.py --workdir=runs/ifan_dual

Days on one GPU. The dissertation: 25.99 dB, SSIM .804, LPIPS .207. `:rendered` trains on the dual-pixel views that are
rendered from sharp photographs; `:tiny` runs in under a minute, without data.
"""

from configs import ifan


def get_config(variant: str = ""):
    """Return the config; the variant's words are rendered and tiny."""
    config = ifan.with_words(ifan.published(), variant, ("rendered", "tiny"))
    config.model.options.input = "dual"
    return config
