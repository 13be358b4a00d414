"""DMENet, the defocus map estimation network of chapter III.

    python -m restore_jax.train --config=configs/dmenet.py --workdir=runs/dmenet

Variants, `configs/dmenet.py:WORD,WORD`:
    (none)  the published network and schedule, all four subnetworks: rendered defocus (`--data PHOTOS`), CUHK's
            504 with binary maps (`restore-jax data build cuhk_blur/train504 TREE`), and real photographs in
            config.streams.real.folders. Needs VGG19's weights in config.vgg. The dissertation: CUHK accuracy .8783,
            SYNDOF MSE .013 and MAE .084.
    b, bd, bdc, bdcs
            with these subnetworks only (Fig. 3.3); b needs neither CUHK nor VGG.
    no_auxiliary, large_s
            without the auxiliary loss; 3x3 kernels in S.
    small   the network that ships as `dmenet-small`, trained in two runs (see its card): B alone, a quarter of the
    width,
            on rendered defocus; .3 s a step on 2 CPU cores.
    tiny    20 steps on drawn pictures, about a minute on 2 cores, to see that everything runs; it can follow other
    words.
"""

import ml_collections

from configs import ifan

EPOCH = 2050  # steps: batches of 4 out of SYNDOF's 8,231 images


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = published()
    for word in filter(None, variant.split(",")):
        if word not in WORDS:
            raise ValueError(f"no variant {word!r}: {', '.join(WORDS)}")
        WORDS[word](config)
    return config


def published() -> ml_collections.ConfigDict:
    """Return the config of B, D, C and S on rendered defocus, CUHK and real photographs."""
    config = ifan.published()
    config.task = "defocus_map"
    config.total_steps = 60 * EPOCH
    config.vgg = ""
    config.model.name = "dmenet"
    config.model.options = ml_collections.ConfigDict({"width_divisor": 1, "critics": True})
    config.loss = ml_collections.ConfigDict(
        {"pixel": "mse", "auxiliary": 1.0, "content": 1e-4, "calibration": 2e-2, "adversarial": 1e-3}
    )
    config.optim.update({"name": "adam", "rate": 1e-4, "b2": 0.999, "weight_decay": 0.0, "clip": 0.0})
    config.optim.update({"boundaries": (20 * EPOCH, 40 * EPOCH), "decay": 0.8})
    ifan.rendered(config)
    config.data.update({"views": ("sharp",), "size": 240, "margin": 16, "batch_size": 4, "min_scale": 0.7})
    config.evaluation.data.update({"views": ("sharp",), "size": 240})
    config.streams = ml_collections.ConfigDict({"binary": {**config.data}, "real": {**config.data}})
    cuhk = {"source": "tfds", "name": "cuhk_blur/train504", "views": ("binary", "binary_map")}
    config.streams.binary.update({**cuhk, "margin": 0, "scale_probability": 0.0})
    config.streams.real.update({"views": ("real",), "folders": ("real",), "margin": 0, "scale_probability": 0.0})
    config.render.update({"min_coc": 4.0, "psf": "gaussian", "linear_light": 0.0})
    config.augment.update({"grey": 0.1, "noise_max": 0.01})
    return config


def subnetworks(letters: str):
    """Return a variant with the subnetworks of `letters` beside B."""

    def change(config):
        config.loss.update({"content": 1e-4 * ("c" in letters), "adversarial": 1e-3 * ("d" in letters)})
        config.loss.calibration = 2e-2 * ("s" in letters)
        for stream, letter in (("binary", "s"), ("real", "d")):
            if letter not in letters:
                del config.streams[stream]
        config.model.options.critics = "d" in letters or "s" in letters

    return change


def no_auxiliary(config) -> None:
    """Leave out the scale-wise auxiliary loss and its heads."""
    config.loss.auxiliary = 0.0
    config.model.options.auxiliary = False


def large_s(config) -> None:
    """Give S 3x3 kernels, which smear the map."""
    config.model.options.calibration_size = 3


def small(config) -> None:
    """Train the network that ships as dmenet-small.

    It has no auxiliary loss: the auxiliary maps, normalised before the sigmoid, cannot fit.
    """
    subnetworks("b")(config)
    no_auxiliary(config)
    config.model.options.width_divisor = 4
    config.loss.pixel = "charbonnier"
    config.total_steps, config.checkpoint_every = 8_000, 500
    config.optim.update({"name": "muon", "rate": 4e-3, "final_rate": 4e-5, "weight_decay": 0.01, "clip": 1.0})
    config.optim.update({"schedule": "cosine", "warmup_steps": 50, "skip_nonfinite": 20})
    config.data.update({"size": 128, "batch_size": 4, "scale_probability": 1.0, "min_scale": 0.5, "margin": 8})
    config.evaluation.data.update({"size": 128})
    config.evaluation.every = 0
    config.render.update({"max_coc": 14, "psf": "disc", "num_layers": 20})


def tiny(config) -> None:
    """Train a small network for a few steps on drawn pictures."""
    ifan.drawn_pictures(config)
    config.model.options.width_divisor = 16
    config.loss.content = 0.0  # needs VGG19's weights
    config.render.min_coc = 4.0
    for stream in config.get("streams", {}).values():
        stream.update({"source": "dead_leaves", "size": 64, "batch_size": 2, "workers": 0})


WORDS = {name: subnetworks(name) for name in ("b", "bd", "bdc", "bdcs")}
WORDS |= {"no_auxiliary": no_auxiliary, "large_s": large_s, "small": small, "tiny": tiny}
