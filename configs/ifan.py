"""IFAN on defocus rendered from sharp photographs (dissertation, chapter IV).

    python -m restore_jax.train --config=configs/ifan.py --workdir=runs/ifan --config.data.folders='["PHOTOS"]'

Variants, `configs/ifan.py:NAME`:
    paper  (default) the published network and schedule: N = 17, width 32, all three losses, 600k steps of 8 x 256x256.
           On dual-pixel DPDD the dissertation reports 25.37 dB. Days on one GPU.
    small  what ships as `ifan-small`: N = 8, width 16, deblurring loss alone; about 0.6 s a step on 2 CPU cores.
    tiny   20 steps in under a minute on 2 cores, to see that everything runs.
"""

import ml_collections


def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
    """The config of a variant; ValueError for an unknown one."""
    config = ml_collections.ConfigDict()
    config.task = "deblur"
    config.seed = 0
    config.total_steps = 600_000
    config.ema_decay = 0.999
    config.init = "xavier"
    config.init_weights = ""
    config.log_every = 100
    config.checkpoint_every = 5_000
    config.keep_checkpoints = 3

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
            "clip": 0.5,
            "schedule": "step",
            "boundaries": (500_000, 550_000),
            "warmup_steps": 0,
            "skip_nonfinite": 0,
            "total_steps": config.get_ref("total_steps"),
        }
    )
    # Crops are rendered with a margin that the blur reaches into, then cut to size - 2 margin.
    config.data = ml_collections.ConfigDict(
        {
            "folders": ("../shared/data/photos/train", "../shared/data/photos_hires"),
            "size": 288,
            "batch_size": 8,
            "min_scale": 0.7,
        }
    )
    config.render = ml_collections.ConfigDict(
        {"min_coc": 2.0, "max_coc": 28, "num_layers": 40, "margin": 16, "linear_light": 0.5}
    )
    config.augment = ml_collections.ConfigDict({"grey": 0.3, "noise": 0.05, "noise_min": 0.001, "noise_max": 0.07})

    if variant in ("small", "tiny"):
        config.model.options = ml_collections.ConfigDict({"width": 16, "num_filters": 8})
        config.model.options.output_leak = None
        config.init = "identity_filters"
        config.loss.update({"pixel": "charbonnier", "disparity": 0.0, "reblur": 0.0})
        config.total_steps = 5_000
        config.checkpoint_every = 250
        config.optim.update({"name": "muon", "rate": 0.01, "final_rate": 1e-4, "weight_decay": 0.0, "clip": 1.0})
        config.optim.update({"schedule": "cosine", "warmup_steps": 50, "skip_nonfinite": 20})
        config.data.update({"size": 144, "batch_size": 4, "min_scale": 0.5})
        config.render.update({"min_coc": 4.0, "max_coc": 14, "num_layers": 20, "margin": 8, "linear_light": 0.25})
        config.augment.update({"grey": 0.1, "noise_max": 0.02})
    if variant == "tiny":
        config.model.options.update({"width": 8, "num_filters": 4, "reblur": True})
        config.loss.update({"pixel": "mse", "disparity": 1.0, "reblur": 1.0})
        config.init = "xavier"
        config.optim.name = "radam"
        config.total_steps = 20
        config.log_every = 5
        config.checkpoint_every = 10
        config.optim.warmup_steps = 2
        config.data.update({"size": 80, "batch_size": 2})
    elif variant not in ("", "paper", "small"):
        raise ValueError(f"configs/ifan.py has no variant {variant!r}: paper, small, tiny")
    return config
