"""Video super-resolution by 4 without explicit references, and with the reference memory (chapter VI).

    python -m restore_jax.train --config=configs/vsr.py:memory --workdir=runs/memory --config.backbone=FILE

Variants, `configs/vsr.py:WORD,WORD`; without the first group's words the network is BasicVSR:
    edvr, edvr_m, iconvsr   other backbones
    (none)  the backbone alone on RealMCVSR, Charbonnier loss, 200k steps. The dissertation, Table 5.5: BasicVSR
            33.66 dB, SSIM .951; EDVR 33.47, .948; edvr_m 33.26, .946; iconvsr 33.80, .951
    memory  with the reference memory, from config.backbone's weights. Table 6.1: BasicVSR 34.04, .954; edvr 33.84,
            .951. With test-time optimisation (`restore-jax vsr --memory adapt`): 34.24, .955
    memorise
            the memory alone, on reference videos (Table 6.4: 33.91, .947); with kK, bB, mM, such as
            memorise,k64,b128,m256, the rows of Table 6.5
    virtual any of them on clips that the virtual triple camera films: add --data PHOTOS
    small   32 channels, 6 blocks, a memory of 64, 128, 256
    short   steps for 2 CPU cores; small,virtual,short ships as `basicvsr-small` (its card has the commands)
    memory_small
            memory,small,virtual,short: ships as `basicvsr-memory-small`, trained for 500 steps from `basicvsr-small`
            and from 4,000 steps of memorise,small,virtual,short (config.memorised)
    tiny    20 steps on drawn pictures, to see that everything runs; it can follow other words
"""

import re

import ml_collections

from configs import refvsr


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Return the config of a variant. Raises ValueError for an unknown word."""
    config = published()
    for word in filter(None, variant.split(",")):
        if match := re.fullmatch(r"([kbm])([1-9]\d*)", word):
            config.model.options.memory[{"k": "keys", "b": "basis", "m": "size"}[match[1]]] = int(match[2])
        elif word in WORDS:
            WORDS[word](config)
        else:
            raise ValueError(f"no variant {word!r}: kK, bB, mM after memory, {', '.join(WORDS)}")
    return config


def published() -> ml_collections.ConfigDict:
    """Return the config of BasicVSR on RealMCVSR."""
    config = refvsr.published()
    config.task, config.backbone = "vsr", ""
    config.total_steps = 200_000
    config.model = ml_collections.ConfigDict({"name": "basicvsr"})
    config.model.options = ml_collections.ConfigDict({"num_feat": 64, "num_blocks": 30})
    config.loss = ml_collections.ConfigDict({"pixel": 1.0, "norm": "charbonnier", "memory": 0.0})
    config.optim.groups = (("flow_network", 0.0),)
    config.data.update({"views": ("lrs", "hrs"), "size": 64, "num_frames": 7})
    config.evaluation.data.update({"views": ("lrs", "hrs"), "num_frames": 7})
    return config


def edvr(config) -> None:
    """Use EDVR: 128 channels, 5 frames, 40 blocks."""
    config.model.name = "edvr"
    options = {"num_feat": 128, "num_frames": 5, "num_extract_blocks": 5, "num_reconstruct_blocks": 40}
    config.model.options = ml_collections.ConfigDict(options)
    config.data.update({"views": ("lrs", "hr"), "num_frames": 5})
    config.evaluation.data.update({"views": ("lrs", "hr"), "num_frames": 5})
    config.optim.groups = ()


def edvr_m(config) -> None:
    """Use EDVR-M: 64 channels, 7 frames, 10 blocks."""
    edvr(config)
    config.model.options.update({"num_feat": 64, "num_frames": 7, "num_reconstruct_blocks": 10})
    config.data.num_frames = config.evaluation.data.num_frames = 7


def iconvsr(config) -> None:
    """Use IconVSR: refill every fifth frame."""
    config.model.name = "iconvsr"
    config.model.options.keyframe_stride = 5


def memory(config) -> None:
    """Train the network with its memory by both losses (section 6.2.2)."""
    config.model.options.memory = ml_collections.ConfigDict({"keys": 128, "basis": 512, "size": 1024})
    config.loss.update({"norm": "l1", "memory": 1.0})
    config.memorised = ""
    config.data.update({"views": (*config.data.views, "refs"), "size": 128, "shift": 0.0})


def memorise(config) -> None:
    """Train the memory alone: the rest of the network is not computed."""
    memory(config)
    config.loss.pixel = 0.0
    config.data.views = ("lrs", "refs")
    config.optim.groups = ()
    config.evaluation.every = 0


def virtual(config) -> None:
    """Train on clips that a virtual triple camera films."""
    refvsr.virtual(config)


def small(config) -> None:
    """Use a network that 2 CPU cores can train."""
    config.model.options.update({"num_feat": 32, "num_blocks": 6})
    if "memory" in config.model.options:
        config.model.options.memory.update({"keys": 64, "basis": 128, "size": 256})


def short(config) -> None:
    """Take steps that 2 CPU cores make in an hour."""
    config.total_steps, config.checkpoint_every = 1_500, 250
    config.optim.update({"name": "muon", "rate": 4e-3, "final_rate": 4e-5, "weight_decay": 0.01, "clip": 1.0})
    config.optim.update({"warmup_steps": 50, "skip_nonfinite": 20})
    config.data.update({"size": 32, "batch_size": 1, "num_frames": 10, "shift": 0.0})  # 4 frames: states drift
    config.evaluation.every = 0
    config.remat = False
    if config.model.name != "edvr":
        config.model.options.train_flow = False


def memory_small(config) -> None:
    """Use a memory that 2 CPU cores can train."""
    for word in (memory, small, virtual, short):
        word(config)


def tiny(config) -> None:
    """Train a small network for a few steps on drawn pictures."""
    options = config.model.options
    options.update({name: min(value, options[name]) for name, value in TINY.items() if name in options})
    if "memory" in options:
        options.memory.update({"keys": 8, "basis": 16, "size": 32})
    refvsr.drawn_clips(config)
    frames = options.get("num_frames", 3)
    config.data.num_frames = config.evaluation.data.num_frames = frames
    config.backbone = ""


TINY = {"num_feat": 16, "num_blocks": 2, "num_extract_blocks": 1, "num_reconstruct_blocks": 1, "num_frames": 3}
WORDS = {
    word.__name__: word for word in (edvr, edvr_m, iconvsr, memory, memorise, virtual, small, short, memory_small, tiny)
}
