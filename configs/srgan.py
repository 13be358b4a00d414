"""SRGAN, super-resolution by 4 of single pictures with a perceptual and an adversarial loss.

    python -m restore_jax.train --config=configs/srgan.py:pretrain --workdir=runs/srresnet
    python -m restore_jax.train --config=configs/srgan.py --workdir=runs/srgan --config.vgg=VGG19

with --config.generator=runs/srresnet/final.safetensors in the second. Variants, `configs/srgan.py:WORD,WORD`:
    (none)  generator and discriminator in turn on RealMCVSR (`restore-jax data build realmcvsr TREE`). Needs VGG19's
            weights. The dissertation, Table 5.5: 29.38 dB, SSIM .877
    pretrain            SRResNet: the generator alone, by the mean squared error
    photos, virtual     as in configs/srcnn.py
    tiny    20 steps of a small one on drawn pictures, without the perceptual loss, for which VGG19's weights would be
            needed; about a minute on 2 cores; it can follow other words
"""

from configs import srcnn


def get_config(variant: str = ""):
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = srcnn.published("srresnet", num_feat=64, num_blocks=5, critic=True)
    # The squared error of pictures, with weight 1, keeps the colours; those of features are a hundred times as large.
    config.loss.update({"norm": "mse", "perceptual": 6e-3, "adversarial": 1e-3})
    config.total_steps = 200_000
    config.optim.update({"schedule": "step", "boundaries": (100_000,), "decay": 0.1})
    config.data.size = 24
    words = {"pretrain": pretrain, "photos": srcnn.photos, "virtual": srcnn.virtual, "tiny": tiny}
    return srcnn.with_words(config, variant, words)


def pretrain(config) -> None:
    """Train SRResNet, the generator alone."""
    config.model.options.critic = False
    config.loss.update({"perceptual": 0.0, "adversarial": 0.0})
    config.total_steps = 1_000_000
    config.optim.schedule = "constant"


def tiny(config) -> None:
    """Train for a few steps on drawn pictures."""
    config.model.options.update({"num_feat": 8, "num_blocks": 2})
    config.loss.perceptual = 0.0
    srcnn.tiny(config)
