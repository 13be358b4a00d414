"""SRCNN, super-resolution by 4 of single pictures with three convolutions. Other networks' configs build on this one.

    python -m restore_jax.train --config=configs/srcnn.py --workdir=runs/srcnn

Variants, `configs/srcnn.py:WORD,WORD`:
    (none)  on RealMCVSR's ultra-wide frames (`restore-jax data build realmcvsr TREE`). The dissertation compares with
            SRCNN without printing its numbers; bicubic interpolation has 26.65 dB, SSIM .800 (Table 5.5).
    photos  on photographs, which are reduced on the device: add --data PHOTOS
    virtual on frames that a virtual triple camera films of photographs
    tiny    20 steps on drawn pictures, under a minute on 2 cores, to see that everything runs; it can follow other
    words
"""

import ml_collections

from configs import ifan, refvsr


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = published()
    config.loss.norm = "mse"
    return with_words(config, variant, {"photos": photos, "virtual": virtual, "tiny": tiny})


def with_words(config, variant: str, words) -> ml_collections.ConfigDict:
    """Change `config` by each of the words, which commas separate; words: {word: function of a config}."""
    for word in filter(None, variant.split(",")):
        if word not in words:
            raise ValueError(f"no variant {word!r}: {', '.join(words)}")
        words[word](config)
    return config


def published(name: str = "srcnn", **options) -> ml_collections.ConfigDict:
    """Return the config of a network on RealMCVSR's single frames, by the mean absolute error, for RefVSR's steps."""
    config = refvsr.published()
    del config.spynet
    config.task, config.vgg, config.generator = "super_resolution", "", ""
    config.remat = False
    config.model = ml_collections.ConfigDict({"name": name, "options": options})
    config.loss = ml_collections.ConfigDict({"pixel": 1.0, "norm": "l1", "layer": "relu5_4", "critic": "gan"})
    for term in ("perceptual", "texture", "low", "contextual", "fidelity", "adversarial"):
        config.loss[term] = 0.0
    config.loss.supervision = "refs_hr"
    config.optim.groups = ()
    config.optim.update({"name": "adam", "rate": 1e-4, "final_rate": 1e-6, "b2": 0.999, "clip": 0.0})
    config.data.update({"views": ("lrs", "hr"), "size": 48, "batch_size": 16, "num_frames": 1})
    config.evaluation.data.update({"views": ("lrs", "hr"), "num_frames": 1})
    return config


def photos(config) -> None:
    """Train on photographs, which the task reduces; data.size is then the output's side."""
    config.data.update({"source": "photos", "folders": (), "views": ("sharp",), "size": 4 * config.data.size})
    config.data.update({"scale_probability": 0.5, "min_scale": 0.5, "workers": 0, "cache_mb": 2048})
    config.evaluation.data.update({"source": "photos", "folders": (), "views": ("sharp",), "size": 256})
    config.evaluation.data.batch_size = 4


def virtual(config) -> None:
    """Train on clips that a virtual triple camera films."""
    refvsr.virtual(config)


def tiny(config) -> None:
    """Train for a few steps on drawn pictures."""
    clips = "lrs" in config.data.views
    ifan.drawn_pictures(config)
    config.data.update({"size": 16 if clips else 64, "shift": 2.0, "margin": 0})
    config.evaluation.data.update({"size": 16 if clips else 64, "shift": 2.0})
