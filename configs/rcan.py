"""RCAN, super-resolution by 4 of single pictures with channel attention.

    python -m restore_jax.train --config=configs/rcan.py --workdir=runs/rcan

Variants, `configs/rcan.py:WORD,WORD`:
    (none)  RCAN-l1 on RealMCVSR (`restore-jax data build realmcvsr TREE`). The dissertation, Table 5.5: 31.07 dB,
            SSIM .915
    photos, virtual     as in configs/srcnn.py
    small   32 channels, 4 groups of 4 blocks, reduction 8
    tiny    20 steps of a smaller one on drawn pictures, under a minute on 2 cores; it can follow other words
"""

from configs import srcnn


def get_config(variant: str = ""):
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = srcnn.published("rcan", num_feat=64, num_groups=10, num_blocks=20, reduction=16)
    words = {"photos": srcnn.photos, "virtual": srcnn.virtual, "small": small, "tiny": tiny}
    return srcnn.with_words(config, variant, words)


def small(config) -> None:
    """Use a network that 2 CPU cores can train."""
    config.model.options.update({"num_feat": 32, "num_groups": 4, "num_blocks": 4, "reduction": 8})
    config.data.update({"size": config.data.size // 2, "batch_size": 4})


def tiny(config) -> None:
    """Train for a few steps on drawn pictures."""
    config.model.options.update({"num_feat": 8, "num_groups": 2, "num_blocks": 2, "reduction": 4})
    srcnn.tiny(config)
