"""The networks of the dissertation's tables: the network and options of each row, and the config that trains it.

A row is named on the command line by its role, as in --weights ours_l1=FILE. Configs are files of `configs/`. Options
are their `config.model.options`, without those that only training needs (TRAINING), whose parameters no table counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from restore_jax import models
from restore_jax.errors import InputError

TRAINING = ("reblur", "critic", "critics", "dropout", "train_flow")
MEMORY = {"keys": 128, "basis": 512, "size": 1024}


@dataclass(frozen=True)
class Network:
    """A row's network.

    config: FILE.py[:VARIANT] in configs/. name, options: the arguments of `models.create`. frames: a RefVSR's window.
    """

    config: str
    name: str
    options: Mapping = field(default_factory=dict)
    frames: int = 7

    def create(self, **more):
        """Return the network; more: options besides its own."""
        return models.create(self.name, **self.options, **more)


def _ifan(config, **options):
    return Network(config, "ifan", {"width": 32, "num_filters": 17, **options})


def _dpdnet(words, view):
    return Network(f"dpdnet.py{words}", "dpdnet", {"input": view, "width": 64})


def _refvsr(words="", frames=7, **options):
    return Network(f"refvsr.py{words}", "refvsr", {"mid_channels": 48, "num_blocks": 30, **options}, frames)


def _edvr(words, width, frames, blocks, **options):
    sizes = {"num_feat": width, "num_frames": frames, "num_extract_blocks": 5, "num_reconstruct_blocks": blocks}
    return Network(f"vsr.py:{words}", "edvr", {**sizes, **options})


def _vsr(words="", name="basicvsr", **options):
    return Network(f"vsr.py{words}", name, {"num_feat": 64, "num_blocks": 30, **options})


_DMENET = {"width_divisor": 1, "auxiliary": True, "calibration_size": 1}
_SMALL, _IR = {"mid_channels": 24, "num_blocks": 24}, {"mid_channels": 36, "num_blocks": 30, "refill": True}
_TTSR = {"num_feat": 64, "num_blocks": (16, 16, 8, 4)}
_DCSR = {"num_feat": 64, "scale": 4, "num_blocks": (8, 8, 4)}

DEFOCUS = {
    "bdc": Network("dmenet.py:bdc", "dmenet", _DMENET),
    "bdcs": Network("dmenet.py:bdcs", "dmenet", _DMENET),
}
DEBLUR = {
    "ifan": _ifan("ifan.py"),
    "ifan_baseline": _ifan("ifan_ablation.py:baseline", filtering="none", disparity=False),
    "ifan_d": _ifan("ifan_ablation.py:d", filtering="none", disparity=True),
    "ifan_f": _ifan("ifan_ablation.py:f", disparity=False),
    "ifan_fd": _ifan("ifan_ablation.py:fd", disparity=True),
    "ifan_fr": _ifan("ifan_ablation.py:fr", disparity=False),
    "ifan_16bit": _ifan("ifan_16bit.py"),
    "ifan_dual": _ifan("ifan_dual.py", input="dual"),
    **{f"ifan_n{n}": _ifan(f"ifan_num_filters.py:{n}", num_filters=n) for n in (8, 26, 35, 44)},
    "ifan_fac": _ifan("ifan_fac.py", filtering="fac", filter_size=11),
    "ifan_noise14": _ifan("ifan_noise.py:0.14"),
    "ifan_noise21": _ifan("ifan_noise.py:0.21"),
    "dpdnet_s": _dpdnet("", "single"),
    "dpdnet_d": _dpdnet(":dual", "dual"),
    "dpdnet_s16": _dpdnet(":png16", "single"),
    "dpdnet_d16": _dpdnet(":dual,png16", "dual"),
}
VIDEO = {
    "ours": _refvsr(),
    "ours_l1": _refvsr(":l1", 13),
    "small": _refvsr(":small", **_SMALL),
    "small_l1": _refvsr(":small,l1", 13, **_SMALL),
    "ir": _refvsr(":ir", **_IR),
    "ir_l1": _refvsr(":ir,l1", 13, **_IR),
    "tele": _refvsr(":tele", references="tele"),
    "tele_supervision": _refvsr(":tele_supervision"),
    "wide32": _refvsr(" --config.data.size=32"),
    "dual": _refvsr(":dual", references="dual"),
    "baseline": _refvsr(":single_fidelity,current_fusion", fusion="current"),
    "current_fusion": _refvsr(":current_fusion", fusion="current"),
    "forward": _refvsr(":forward", bidirectional=False),
    "forward_baseline": _refvsr(":forward,single_fidelity,current_fusion", bidirectional=False, fusion="current"),
    "match_frames_flow_reference": _refvsr(
        ":match_frames,flow_reference", frame_alignment="match", reference_alignment="flow"
    ),
    "match_frames": _refvsr(":match_frames", frame_alignment="match"),
    "flow_reference": _refvsr(":flow_reference", reference_alignment="flow"),
    "srgan": Network("srgan.py", "srresnet", {"num_feat": 64, "num_blocks": 5}),
    "rcan": Network("rcan.py", "rcan", {"num_feat": 64, "num_groups": 10, "num_blocks": 20, "reduction": 16}),
    "ttsr": Network("ttsr.py", "ttsr", _TTSR),
    "ttsr_l1": Network("ttsr.py:l1", "ttsr", _TTSR),
    "dcsr": Network("dcsr.py", "dcsr", _DCSR),
    "dcsr_l1": Network("dcsr.py:l1", "dcsr", _DCSR),
    "edvr_m": _edvr("edvr_m", 64, 7, 10),
    "edvr": _edvr("edvr", 128, 5, 40),
    "basicvsr": _vsr(),
    "iconvsr": _vsr(":iconvsr", "iconvsr", keyframe_stride=5),
}
REMEMBERING = {
    "basicvsr_memory": _vsr(":memory", memory=MEMORY),
    "edvr_memory": _edvr("edvr,memory", 128, 5, 40, memory=MEMORY),
}
SIZES = (  # k, b, m of Table 6.5
    *((64, 128, 128), (128, 128, 128), (256, 128, 128), (128, 256, 128), (128, 512, 128), (128, 1024, 128)),
    *((128, 512, 256), (128, 512, 512), (128, 512, 1024), (128, 512, 2048)),
)
MEMORISING = {
    f"k{k},b{b},m{m}": _vsr(f":memorise,k{k},b{b},m{m}", memory={"keys": k, "basis": b, "size": m}) for k, b, m in SIZES
}
NETWORKS = {**DEFOCUS, **DEBLUR, **VIDEO, **REMEMBERING, **MEMORISING}


def network(role: str) -> Network | None:
    """Return the network of a role, which may end in how weights are adapted (ROLE+adapted); None for methods."""
    return NETWORKS.get(role.partition("+")[0])


def required(options, role: str) -> str:
    """Return the name or file of a role's weights. Raises InputError that says how to come by them.

    options: `evaluation.rows.Options`.
    """
    if role not in options.weights:
        more = " --config.backbone=FILE" if role in REMEMBERING else ""
        raise InputError(
            f"no weights; train by: restore-jax train --config=configs/{NETWORKS[role].config}{more} "
            f"--workdir=runs/{role}, then add --weights {role}=runs/{role}/final.safetensors"
        )
    return options.weights[role]
