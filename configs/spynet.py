"""SPyNet, the optical flow that RefVSR and the VSR backbones align frames with.

    python -m restore_jax.train --config=configs/spynet.py --workdir=runs/spynet

It trains on pairs that are made from photographs (`--data PHOTOS`), for those who do not have the published weights
(`restore-jax weights convert spynet`). Variants: tiny, 20 steps on drawn pictures.
"""

import ml_collections

from configs import ifan


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = ifan.published()
    ifan.rendered(config)
    config.task = "optical_flow"
    config.model.name, config.model.options = "spynet", ml_collections.ConfigDict()
    config.loss = ml_collections.ConfigDict()
    config.flow = ml_collections.ConfigDict({"largest": 12.0})
    config.total_steps, config.checkpoint_every = 4_000, 500
    config.optim.update({"name": "muon", "rate": 4e-3, "final_rate": 4e-5, "weight_decay": 0.01, "clip": 1.0})
    config.optim.update({"schedule": "cosine", "warmup_steps": 50, "skip_nonfinite": 20})
    # Twice the size that the network sees: the task halves the pictures.
    config.data.update({"views": ("sharp",), "size": 128, "margin": 24, "batch_size": 8, "scale_probability": 1.0})
    config.data.min_scale = 0.4
    config.evaluation.data.update({"views": ("sharp",), "size": 192, "batch_size": 4})
    config.evaluation.every = 0
    config.augment = ml_collections.ConfigDict({"gain": 0.03, "noise_max": 0.02})
    for word in filter(None, variant.split(",")):
        if word != "tiny":
            raise ValueError(f"no variant {word!r}: tiny")
        render = config.render
        ifan.drawn_pictures(config)
        config.render = render
        config.flow.largest = 4.0
    return config
