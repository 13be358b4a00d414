"""DCSR, super-resolution of one camera's pictures by those of a camera with a longer focal length.

    python -m restore_jax.train --config=configs/dcsr.py --workdir=runs/dcsr --config.vgg=VGG19

Variants, `configs/dcsr.py:WORD,WORD`:
    (none)  by 4, all losses on RealMCVSR (`restore-jax data build realmcvsr TREE`). Needs VGG19's weights in
            config.vgg; the losses' weights are RefVSR's. The dissertation, Table 5.5: 30.63 dB, SSIM .895
    l1      the mean absolute error alone: 32.43 dB, .933
    x2      by 2, as published, on frames that are halved
    adapt   adapt x2 to real pictures, which have no truth: details are learned from the wide frame itself;
            set config.init_weights to the weights of x2
    virtual any of them on frames that a virtual triple camera films of photographs
    tiny    20 steps of a small one on drawn pictures, without the losses for which VGG19's weights would be needed;
            about two minutes on 2 cores; it can follow other words
"""

from configs import srcnn, ttsr


def get_config(variant: str = ""):
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = srcnn.published("dcsr", num_feat=64, scale=4, num_blocks=(8, 8, 4))
    config.loss.update({"pixel": 0.0, "low": 1.0, "contextual": 0.01, "fidelity": 0.05, "layer": "relu3_4"})
    ttsr.with_references(config)
    config.data.views = ("lrs", "refs", "hr", "refs_hr")
    words = {"l1": l1, "x2": x2, "adapt": adapt, "virtual": srcnn.virtual, "tiny": tiny}
    return srcnn.with_words(config, variant, words)


def l1(config) -> None:
    """Train by the mean absolute error alone."""
    config.loss.update({"pixel": 1.0, "low": 0.0, "contextual": 0.0, "fidelity": 0.0})
    config.data.views = ("lrs", "refs", "hr")


def x2(config) -> None:
    """Enlarge by 2."""
    config.model.options.scale = 2
    config.data.reduction = config.evaluation.data.reduction = 2


def adapt(config) -> None:
    """Train on real pictures: compare the reduced result with the input, and the result with the reference."""
    x2(config)
    config.model.options.mode = "hd"
    config.total_steps = 50_000
    config.loss.update({"contextual": 0.0, "fidelity": 0.1, "supervision": "refs"})
    config.data.update({"views": ("lrs", "refs"), "size": 128, "reduction": 1})
    config.evaluation.every = 0


def tiny(config) -> None:
    """Train for a few steps on drawn pictures."""
    config.model.options.update({"num_feat": 8, "num_blocks": (1, 1, 1)})
    config.loss.update({"contextual": 0.0, "fidelity": 0.0})
    every = config.evaluation.every
    srcnn.tiny(config)
    config.evaluation.every = every and config.evaluation.every
