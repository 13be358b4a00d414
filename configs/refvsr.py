"""RefVSR, reference-based video super-resolution by 4 (chapter V).

    python -m restore_jax.train --config=configs/refvsr.py --workdir=runs/refvsr

Variants, `configs/refvsr.py:WORD,WORD`:
    (none)  pre-training as printed (Eq. 5.10) on RealMCVSR (`restore-jax data build realmcvsr TREE`). Needs VGG19's
            weights in config.vgg and SPyNet's in config.spynet. The dissertation, Table 5.5: 31.68 dB, SSIM .914.
    l1      trained by the mean absolute error alone, windows of 13 frames: 34.74 dB, .958; small,l1 33.88, ir,l1 34.86
    small   24 channels, 24 blocks: 31.63 dB, .912
    ir      with refill: 31.73 dB, .916
    adapt   the second stage (Eq. 5.11): real HD input, the telephoto as supervision; config.init_weights: the first's
    tele, tele_supervision, dual                    other references (Table 5.1): 29.81, 30.41, 30.39 dB
    single_fidelity, current_fusion, forward        without the window in L_Mfid, without PTF, one direction (5.2, 5.3)
    flow_reference, match_frames                    the other alignments (Table 5.4)
    virtual any of them on clips that the virtual triple camera films: add --data PHOTOS
    shipped the network that ships as `refvsr-small`: small,virtual with short windows and the pixel loss alone. 550 and
            600 steps with windows of 7 frames and far references followed, because states drift in clips that are
            longer than the windows trained on
    tiny    20 steps on drawn pictures, to see that everything runs; it can follow other words
"""

import ml_collections

from configs import ifan


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = published()
    for word in filter(None, variant.split(",")):
        if word not in WORDS:
            raise ValueError(f"no variant {word!r}: {', '.join(WORDS)}")
        WORDS[word](config)
    return config


def published() -> ml_collections.ConfigDict:
    """Return the config of pre-training as the dissertation prints it."""
    config = ifan.published()
    config.task = "ref_vsr"
    del config.render, config.augment  # the cameras add blur and noise
    config.total_steps, config.vgg, config.spynet = 300_000, "", ""
    config.remat = True
    config.model.name = "refvsr"
    config.model.options = ml_collections.ConfigDict({"mid_channels": 48, "num_blocks": 30})
    config.loss = ml_collections.ConfigDict({"pixel": 0.0, "low": 1.0, "contextual": 0.01, "fidelity": 0.05})
    config.loss.update({"layer": "relu3_4", "supervision": "refs_hr", "fidelity_window": 7})
    config.optim.update({"rate": 2e-4, "final_rate": 1e-6, "schedule": "cosine", "weight_decay": 0.0})
    config.optim.groups = (("flow_network", 0.0), ("matcher/normalisation", 0.0))
    views = ("lrs", "refs", "hr", "refs_hr")
    config.data.update({"source": "realmcvsr", "name": "realmcvsr", "views": views, "turn": True, "margin": 0})
    config.data.update({"size": 64, "batch_size": 8, "num_frames": 7, "reduction": 4, "shift": 15.0})
    config.data.camera = ml_collections.ConfigDict()
    config.evaluation.data.update({**config.data, "views": ("lrs", "refs", "hr"), "split": "valid"})
    return config


def l1(config) -> None:
    """Train by the mean absolute error alone, on longer windows."""
    config.loss.update({"pixel": 1.0, "low": 0.0, "contextual": 0.0, "fidelity": 0.0})
    config.data.views = ("lrs", "refs", "hr")
    config.data.num_frames = config.evaluation.data.num_frames = 13


def small(config) -> None:
    """Use the small network, "Ours-small" in the dissertation."""
    config.model.options.update({"mid_channels": 24, "num_blocks": 24})


def ir(config) -> None:
    """Use the network with refill, "Ours-IR" in the dissertation."""
    config.model.options.update({"mid_channels": 36, "num_blocks": 30, "refill": True})


def adapt(config) -> None:
    """Train the second stage, on real frames, which are their own truth at low frequencies."""
    config.model.options.mode = "hd"
    config.total_steps = 50_000
    config.loss.update({"contextual": 0.0, "fidelity": 0.1, "layer": "relu4_4", "supervision": "teles"})
    config.data.update({"views": ("lrs", "refs", "teles"), "size": 128, "reduction": 1})
    config.evaluation.every = 0


def tele(config) -> None:
    """Use the telephoto as reference and as supervision."""
    config.model.options.references = "tele"
    tele_supervision(config)
    config.data.views = ("lrs", "teles", "hr", "teles_hr")
    config.evaluation.data.views = ("lrs", "teles", "hr")


def tele_supervision(config) -> None:
    """Use the telephoto as supervision of details."""
    config.loss.supervision = "teles_hr"
    config.data.update({"views": ("lrs", "refs", "hr", "teles_hr"), "size": 32})


def dual(config) -> None:
    """Use both references, and both as supervision."""
    config.model.options.references = "dual"
    config.loss.supervision = "refs_hr,teles_hr"
    config.data.update({"views": ("lrs", "refs", "teles", "hr", "refs_hr", "teles_hr"), "size": 32})
    config.evaluation.data.views = ("lrs", "refs", "teles", "hr")


def single_fidelity(config) -> None:
    """Compare with the centre frame's reference alone in the fidelity loss."""
    config.loss.fidelity_window = 1


def current_fusion(config) -> None:
    """Fuse by the current frame's matching confidence alone."""
    config.model.options.fusion = "current"


def forward(config) -> None:
    """Leave out the backward direction."""
    config.model.options.bidirectional = False


def flow_reference(config) -> None:
    """Align references by optical flow, whose network is trained too."""
    config.model.options.reference_alignment = "flow"


def match_frames(config) -> None:
    """Align frames by patch matching."""
    config.model.options.frame_alignment = "match"
    config.optim.groups = tuple(group for group in config.optim.groups if group[0] != "flow_network")


def virtual(config) -> None:
    """Train on clips that a virtual triple camera films."""
    config.data.update({"source": "triple_camera", "folders": (), "workers": 2, "cache_mb": 2048})
    config.evaluation.data.update({"source": "triple_camera", "folders": (), "size": 32, "batch_size": 4})


def shipped(config) -> None:
    """Train the network that ships as refvsr-small."""
    for word in (small, virtual, l1):
        word(config)
    config.total_steps, config.checkpoint_every = 5_000, 250
    config.optim.update({"name": "muon", "rate": 4e-3, "final_rate": 4e-5, "weight_decay": 0.01, "clip": 1.0})
    config.optim.update({"warmup_steps": 50, "skip_nonfinite": 20})
    config.data.update({"size": 32, "batch_size": 2, "num_frames": 3, "shift": 4.0})
    config.evaluation.every = 0
    config.remat = False


def tiny(config) -> None:
    """Train a small network for a few steps on drawn pictures."""
    config.model.options.update({"mid_channels": 8, "num_blocks": 2})
    config.loss.update({"contextual": 0.0, "fidelity": 0.0})  # they need VGG19's weights
    drawn_clips(config)


def drawn_clips(config) -> None:
    """Train for twenty steps on drawn pictures that a virtual camera films."""
    virtual(config)
    ifan.drawn_pictures(config)
    few = {"size": 16, "num_frames": 3, "shift": 2.0, "margin": 0}
    config.data.update(few)
    config.evaluation.data.update({name: few[name] for name in ("size", "num_frames", "shift")})


WORDS = {
    word.__name__: word
    for word in (l1, small, ir, adapt, tele, tele_supervision, dual, single_fidelity, current_fusion, forward)
}
WORDS |= {word.__name__: word for word in (flow_reference, match_frames, virtual, shipped, tiny)}
