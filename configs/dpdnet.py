"""DPDNet, a U-Net that deblurs defocus (dissertation, Tables 4.2 and 4.4).

    restore-jax data build dpdd/png8 TREE
    python -m restore_jax.train --config=configs/dpdnet.py --workdir=runs/dpdnet

Variants, `configs/dpdnet.py:WORD,WORD`:
    (none)  DPDNet-S, from the single image, on DPDD, 8-bit. Table 4.2: 24.03 dB, SSIM .735, LPIPS .279
    dual    DPDNet-D, from the two dual-pixel views: 25.23 dB, .787, .224
    png16   on 16-bit images (`restore-jax data build dpdd/png16 TREE`). Table 4.4: S 24.41 dB, .751, .278; dual
            25.13, .786, .224
    rendered            on sharp photographs, defocus rendered on the device: add --data PHOTOS
    tiny    20 steps of a small one on drawn pictures, under a minute on 2 cores; it can follow other words

Patches are taken at random; the authors left out the least sharp 30 % of patches cut beforehand.
"""

import ml_collections

from configs import ifan, srcnn


def get_config(variant: str = ""):
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = ifan.published()
    config.model = ml_collections.ConfigDict({"name": "dpdnet"})
    config.model.options = ml_collections.ConfigDict({"input": "single", "width": 64, "dropout": 0.4})
    config.loss.update({"disparity": 0.0, "reblur": 0.0})
    config.total_steps = 200_000
    config.optim.update({"name": "adam", "rate": 2e-5, "b2": 0.999, "weight_decay": 0.0, "clip": 0.0})
    config.optim.boundaries = (60_000, 120_000, 180_000)
    config.augment.update({"grey": 0.0, "noise": 0.0})
    config.data.update({"size": 512, "batch_size": 5, "scale_probability": 0.0, "views": ("blurred", "sharp")})
    config.evaluation.data.views = config.data.views
    words = {"dual": dual, "png16": png16, "rendered": ifan.rendered, "tiny": tiny}
    return srcnn.with_words(config, variant, words)


def dual(config) -> None:
    """Take both dual-pixel views."""
    config.model.options.input = "dual"
    config.data.views = config.evaluation.data.views = ("blurred", "sharp", "left", "right")


def png16(config) -> None:
    """Train on 16-bit images."""
    config.data.name = config.evaluation.data.name = "dpdd/png16"


def tiny(config) -> None:
    """Train for a few steps on drawn pictures."""
    config.model.options.width = 4
    ifan.drawn_pictures(config)
