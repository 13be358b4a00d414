"""TTSR, super-resolution by 4 with textures of a reference.

    python -m restore_jax.train --config=configs/ttsr.py:l1 --workdir=runs/ttsr_l1
    python -m restore_jax.train --config=configs/ttsr.py --workdir=runs/ttsr --config.vgg=VGG19

with --config.generator=runs/ttsr_l1/final.safetensors in the second. Variants, `configs/ttsr.py:WORD,WORD`:
    (none)  all losses on RealMCVSR (`restore-jax data build realmcvsr TREE`), the wide frames as references. Needs
            VGG19's weights in config.vgg. The dissertation, Table 5.5: 30.31 dB, SSIM .905
    l1      the mean absolute error alone: 30.83 dB, .911
    virtual either of them on frames that a virtual triple camera films of photographs
    tiny    20 steps of a small one on drawn pictures, without the perceptual loss, for which VGG19's weights would be
            needed; about two minutes on 2 cores; it can follow other words
"""

from configs import srcnn


def get_config(variant: str = ""):
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = srcnn.published("ttsr", num_feat=64, num_blocks=(16, 16, 8, 4), critic=True)
    config.loss.update({"perceptual": 1e-2, "texture": 1e-2, "adversarial": 1e-3, "critic": "wgan"})
    config.loss.layer = "relu5_1"
    with_references(config)
    return srcnn.with_words(config, variant, {"l1": l1, "virtual": srcnn.virtual, "tiny": tiny})


def with_references(config) -> None:
    """Take the wide camera's frames too."""
    config.data.update({"views": ("lrs", "refs", "hr"), "size": 40, "batch_size": 8})
    config.evaluation.data.views = ("lrs", "refs", "hr")


def l1(config) -> None:
    """Train by the mean absolute error alone."""
    config.model.options.critic = False
    config.loss.update({"perceptual": 0.0, "texture": 0.0, "adversarial": 0.0})


def tiny(config) -> None:
    """Train for a few steps on drawn pictures."""
    config.model.options.update({"num_feat": 8, "num_blocks": (1, 1, 1, 1), "vgg_divisor": 16})
    config.loss.perceptual = 0.0
    srcnn.tiny(config)
