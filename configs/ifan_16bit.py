"""IFAN on 16-bit images (dissertation, Table 4.4).

    restore-jax data build dpdd/png16 TREE
    python -m restore_jax.train --config=configs/ifan_16bit.py --workdir=runs/ifan_16bit

Days on one GPU. The dissertation: 25.38 dB, SSIM .791, LPIPS .213. `:tiny` runs in under a minute, without data.
"""

from configs import ifan


def get_config(variant: str = ""):
    """Return the config; the variant's words are rendered and tiny."""
    config = ifan.with_words(ifan.published(), variant, ("rendered", "tiny"))
    config.data.name = config.evaluation.data.name = "dpdd/png16"
    return config
