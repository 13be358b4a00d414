"""IFAN, the defocus deblurring network of chapter IV.

    restore-jax data build dpdd/png8 TREE
    python -m restore_jax.train --config=configs/ifan.py --workdir=runs/ifan

Variants, `configs/ifan.py:WORD,WORD`:
    (none)    the published network and schedule on DPDD, 8-bit: N = 17, width 32, all three losses, 600k steps of
              8 x 256x256. The dissertation: 25.37 dB, SSIM .789, LPIPS .217 (Table 4.2).
    rendered  the same on sharp photographs, defocus rendered on the device: add --data PHOTOS.
    camera    on sharp photographs that a random camera defocuses and writes (`ops.camera`): add --data PHOTOS.
    small     what ships as `ifan-small`: N = 8, width 16, `camera`. A step takes 1 s on 2 CPU cores. The card of the
              weights says what they were trained on from.
    tiny      20 steps on drawn pictures, under a minute on 2 cores, to see that everything runs; it can follow other
    words.
"""

import ml_collections


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Return the config of a variant. Raises ValueError for an unknown word."""
    return with_words(published(), variant)


def with_words(config, words: str, known=("rendered", "camera", "small", "tiny")) -> ml_collections.ConfigDict:
    """Change `config` by each of the words, which commas separate; `small` is a network of its own."""
    for word in filter(None, words.split(",")):
        if word not in known:
            raise ValueError(f"no variant {word!r}: {', '.join(known)}")
        WORDS[word](config)
    return config


def chosen(variant: str, rows, default: str) -> tuple[str, str]:
    """Split "ROW,WORD,WORD", "WORD,WORD" or "" into (row, further words); the row is one of `rows`, or the default."""
    first, _, words = variant.partition(",")
    if first in rows:
        return first, words
    if first and first not in WORDS:
        raise ValueError(f"no variant {first!r}: {', '.join([*rows, *WORDS])}")
    return default, variant


def published() -> ml_collections.ConfigDict:
    """Return the published network and schedule on DPDD."""
    config = ml_collections.ConfigDict()
    config.task = "deblur"
    config.seed = 0
    config.total_steps = 600_000

    # A run whose workdir has no checkpoint starts from another run's workdir, from weights by name or file, or anew.
    config.resume = ""
    config.init_weights = ""
    config.init = "xavier"
    config.log_every = 100
    config.checkpoint_every = 5_000
    config.keep_checkpoints = 3
    config.keep_period = 0
    config.profile = (0, 0)

    config.dtype = "float32"  # the computation's; parameters are always float32
    config.remat = False
    config.ema_decay = 0.999
    config.accumulate = 1
    config.mesh = ml_collections.ConfigDict({"fsdp": 1})

    config.model = ml_collections.ConfigDict({"name": "ifan"})
    config.model.options = ml_collections.ConfigDict({"width": 32, "num_filters": 17, "reblur": True})
    config.loss = ml_collections.ConfigDict({"pixel": "mse", "deblur": 1.0, "disparity": 1.0, "reblur": 1.0})
    config.optim = ml_collections.ConfigDict(
        {
            "name": "radam",
            "rate": 1e-4,
            "final_rate": 1e-6,
            "b1": 0.9,
            "b2": 0.99,
            "weight_decay": 0.01,
            "decay_biases": True,
            "clip": 0.5,
            "schedule": "step",
            "boundaries": (500_000, 550_000),
            "decay": 0.5,
            "warmup_steps": 0,
            "skip_nonfinite": 0,
            "groups": (),
            "total_steps": config.get_ref("total_steps"),
        }
    )
    config.data = ml_collections.ConfigDict(
        {
            "source": "tfds",
            "name": "dpdd/png8",
            "split": "train",
            "directory": "",
            "folders": (),
            "views": ("blurred", "sharp", "left", "right"),
            "size": 256,
            "margin": 16,
            "batch_size": 8,
            "scale_probability": 0.5,
            "min_scale": 0.7,
            "turn": False,
            "workers": 4,
            "cache_mb": 0,
            "skip_bad": False,
        }
    )
    config.evaluation = ml_collections.ConfigDict({"every": 10_000, "panels": 4, "seed": 0})
    config.evaluation.data = ml_collections.ConfigDict(
        {
            **{name: config.data[name] for name in ("source", "name", "directory", "folders", "views", "cache_mb")},
            "split": "val",
            "size": 0,
            "margin": config.data.get_ref("margin"),
            "skip_bad": config.data.get_ref("skip_bad"),
            "batch_size": 2,
        }
    )
    config.render = ml_collections.ConfigDict({"min_coc": 2.0, "max_coc": 28, "num_layers": 40, "linear_light": 0.5})
    config.augment = ml_collections.ConfigDict({"grey": 0.3, "noise": 0.05, "noise_min": 0.001, "noise_max": 0.07})
    return config


def rendered(config) -> None:
    """Train on sharp photographs, which are defocused on the device."""
    config.data.update({"source": "photos", "folders": (), "turn": True, "workers": 0, "cache_mb": 2048})
    config.evaluation.data.update({"source": "photos", "folders": (), "size": 256, "batch_size": 8})


def camera(config) -> None:
    """Sharp photographs, defocused and written by a random camera; every number is a probability or a range."""
    rendered(config)
    del config.render
    config.data.update({"margin": 20, "scale_probability": 1.0, "min_scale": 0.5})
    config.augment.update({"grey": 0.1, "noise": 0.0})  # the sensor has noise of its own
    config.camera = ml_collections.ConfigDict(
        {
            # Scene: COC in pixels, log-uniform; the shares that are wholly sharp and that have a cut-out in front.
            **{"min_coc": 2.5, "max_coc": 36.0, "sharp": 0.125, "cut_out": 0.5, "num_layers": 12},
            "lens": {
                **{"polygon": 0.4, "cut": 0.3, "gaussian": (0.35, 0.3)},  # of these: pure apertures, pure Gaussians
                **{"rim": 0.6, "colour": 0.03, "motion": (0.2, 2.0)},
            },
            # Sensor and processing; noise in linear light, whose highest strength is that of about ISO 6400.
            **{"linear_light": 0.6, "highlights": 0.3, "noise": 0.6, "shot": (1e-5, 2e-3), "read": (1e-4, 2e-3)},
            **{"smoothing": 1.0, "sharpen": 0.3, "reduce": 0.4},
            # File.
            **{"jpeg": 0.8, "quality": (50, 98), "chroma_halved": 0.5, "twice": 0.15},
        }
    )


def small(config) -> None:
    """Train the network that ships as ifan-small."""
    camera(config)
    config.model.options = ml_collections.ConfigDict({"width": 16, "num_filters": 8, "blur": True})
    config.model.options.output_leak = None
    config.init = "identity_filters"
    # The COC that the camera knows keeps the filters alive at a tenth of the cost of disparity and reblurring.
    config.loss.update({"pixel": "charbonnier", "disparity": 0.0, "reblur": 0.0, "blur": 0.1})
    config.data.views = config.evaluation.data.views = ("blurred", "sharp")
    config.total_steps = 20_000
    config.checkpoint_every = 250
    config.optim.update({"name": "muon", "rate": 0.004, "final_rate": 2e-5, "weight_decay": 0.03, "clip": 1.0})
    config.optim.update({"schedule": "cosine", "warmup_steps": 50, "skip_nonfinite": 20})
    config.optim.decay_biases = False  # they hold the identity filters
    config.data.update({"size": 128, "batch_size": 4})
    config.evaluation.every = 0


def tiny(config) -> None:
    """Train a small network for a few steps on drawn pictures."""
    config.model.options.update({"width": 8, "num_filters": min(4, config.model.options.num_filters)})
    drawn_pictures(config)


def drawn_pictures(config) -> None:
    """Train for twenty steps on pictures that are drawn, so that no data is needed."""
    drawn = {"source": "dead_leaves", "folders": (), "cache_mb": 64}
    config.data.update({**drawn, "size": 64, "margin": 8, "batch_size": 2, "turn": True, "workers": 0})
    config.evaluation.update({"every": 10, "panels": 2})
    config.evaluation.data.update({**drawn, "size": 64, "batch_size": 2})
    if "render" in config:
        config.render.update({"max_coc": 8, "num_layers": 10})
    if "camera" in config:
        config.camera.update({"max_coc": 12.0, "num_layers": 4})
    config.total_steps = 20
    config.log_every = 5
    config.checkpoint_every = 10
    config.optim.warmup_steps = 2


WORDS = {"rendered": rendered, "camera": camera, "small": small, "tiny": tiny}
