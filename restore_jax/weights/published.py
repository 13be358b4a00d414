"""Published weights by name: where a release keeps its checkpoints, what they hold, and under which licence.

Every address is a release's or a model zoo's own. Names of files that end in eight hex digits carry the first digits of
the file's sha256. Where nothing is published to check a file by, `weights.kept` pins what the first download had.
"""

import difflib
import functools
from dataclasses import dataclass, field

from restore_jax.errors import InputError

SUFFIX = "-published"  # what every name ends in


@dataclass(frozen=True)
class Published:
    """One checkpoint of a release.

    name: under which it is known once it is fetched.
    model, options: of the network it belongs to, as `models.create` takes them.
    url: of the file, or of the archive that holds it; "torchvision:NAME" for the address that torchvision knows.
    file: name of the checkpoint, inside the archive if there is one.
    licence: of the release. restricted: whether it must be accepted before the file is fetched.
    sha256: of the checkpoint, or its first digits; "" if none is published. size: in bytes, None if not published.
    card: what restoring goes by besides, such as the frames of a window.
    """

    name: str
    model: str
    options: dict
    url: str
    file: str
    licence: str
    restricted: bool = False
    sha256: str = ""
    size: int | None = None
    card: dict = field(default_factory=dict)


def names() -> list[str]:
    """List the names of all published weights."""
    return [row.name for row in ROWS]


def row(name: str) -> Published:
    """Find published weights by name, with or without "-published". Raises InputError, which suggests near names."""
    for entry in ROWS:
        if name in (entry.name, entry.name.removesuffix(SUFFIX)):
            return entry
    short = [entry.name.removesuffix(SUFFIX) for entry in ROWS]
    near = [f"{found}{SUFFIX}" for found in difflib.get_close_matches(name.removesuffix(SUFFIX), short, 3)]
    raise InputError(f"{name}: no published weights of that name; {_meant(near)}see restore-jax weights fetch --list")


def _meant(near: list[str]) -> str:
    return f"near it are {', '.join(near)}; " if near else ""


_AGPL = {"licence": "AGPL-3.0, for research", "restricted": True}
_APACHE = {"licence": "Apache-2.0"}
_DROPBOX = "https://www.dropbox.com"
_ZOO = "https://download.openmmlab.com/mmediting/restorers"

_ifan = functools.partial(Published, model="ifan", url=f"{_DROPBOX}/s/qohhmr9p81u0syi/checkpoints.zip?dl=1", **_AGPL)
_refvsr = functools.partial(
    Published, model="refvsr", url=f"{_DROPBOX}/sh/pyirbf2jp0uxoq8/AAA6MEuSJYLcwQLVdx3s12Lea?dl=1", **_AGPL
)


def _zoo(name: str, model: str, folder: str, file: str, **options) -> Published:
    sha256 = file.removesuffix(".pth").rpartition("-")[2]
    return Published(name, model, options, f"{_ZOO}/{folder}/{file}", file, sha256=sha256, **_APACHE)


def _ifan_options(filters: int = 17, **options) -> dict:
    return {"variant": "released", "num_filters": filters, **options}


_SMALL = {"variant": "released", "mid_channels": 24, "num_blocks": 24}
_BASE = {"variant": "released", "mid_channels": 48, "num_blocks": 30}
_REFILL = {"variant": "released", "mid_channels": 36, "num_blocks": 30, "refill": True}
_SHORT, _LONG = {"window": 7}, {"window": 13}  # frames that the network was trained with
_EDVR_M = {"num_feat": 64, "num_frames": 5, "num_extract_blocks": 5, "num_reconstruct_blocks": 10}

ROWS = (
    _ifan("ifan-published", options=_ifan_options(), file="IFAN.pytorch"),
    _ifan("ifan-8-published", options=_ifan_options(8), file="IFAN_8.pytorch"),
    _ifan("ifan-26-published", options=_ifan_options(26), file="IFAN_26.pytorch"),
    _ifan("ifan-35-published", options=_ifan_options(35), file="IFAN_35.pytorch"),
    _ifan("ifan-44-published", options=_ifan_options(44), file="IFAN_44.pytorch"),
    _ifan("ifan-16bit-published", options=_ifan_options(), file="IFAN_16bit.pytorch"),
    _ifan("ifan-dual-published", options=_ifan_options(input="dual"), file="IFAN_dual.pytorch"),
    Published(
        "dmenet-published",
        "dmenet",
        {},
        f"{_DROPBOX}/s/04lg03ogsto1fmw/DMENet_BDCS.zip?dl=1",
        "DMENet_BDCS.npz",
        licence="AGPL-3.0",
        restricted=True,
    ),
    _refvsr("refvsr-small-l1-published", options=_SMALL, file="RefVSR_small_L1.pytorch", card=_LONG),
    _refvsr("refvsr-small-published", options=_SMALL, file="RefVSR_small_MFID.pytorch", card=_SHORT),
    _refvsr(
        "refvsr-small-8k-published",
        options={**_SMALL, "mode": "hd"},
        file="RefVSR_small_MFID_8K.pytorch",
        card=_SHORT,
    ),
    _refvsr("refvsr-l1-published", options=_BASE, file="RefVSR_L1.pytorch", card=_LONG),
    _refvsr("refvsr-published", options=_BASE, file="RefVSR_MFID.pytorch", card=_SHORT),
    _refvsr("refvsr-8k-published", options={**_BASE, "mode": "hd"}, file="RefVSR_MFID_8K.pytorch.pytorch", card=_SHORT),
    _refvsr("refvsr-ir-published", options=_REFILL, file="RefVSR_IR_MFID.pytorch", card=_LONG),
    _refvsr("refvsr-ir-l1-published", options=_REFILL, file="RefVSR_IR_L1.pytorch", card=_LONG),
    _refvsr("spynet-refvsr-published", model="spynet", options={}, file="SPyNet.pytorch"),
    _refvsr("edvr-refvsr-published", model="edvr", options=_EDVR_M, file="edvr.pytorch"),
    _zoo("spynet-published", "spynet", "basicvsr", "spynet_20210409-c6c1bd09.pth"),
    _zoo("basicvsr-published", "basicvsr", "basicvsr", "basicvsr_reds4_20120409-0e599677.pth"),
    _zoo("basicvsr-vimeo-bi-published", "basicvsr", "basicvsr", "basicvsr_vimeo90k_bi_20210409-d2d8f760.pth"),
    _zoo("basicvsr-vimeo-bd-published", "basicvsr", "basicvsr", "basicvsr_vimeo90k_bd_20210409-0154dd64.pth"),
    _zoo("iconvsr-published", "iconvsr", "iconvsr", "iconvsr_reds4_20210413-9e09d621.pth"),
    _zoo(
        "iconvsr-vimeo-bi-published",
        "iconvsr",
        "iconvsr",
        "iconvsr_vimeo90k_bi_20210413-7c7418dc.pth",
        extractor_frames=7,
    ),
    _zoo(
        "iconvsr-vimeo-bd-published",
        "iconvsr",
        "iconvsr",
        "iconvsr_vimeo90k_bd_20210414-5f38cb34.pth",
        extractor_frames=7,
    ),
    _zoo("edvr-m-published", "edvr", "edvr", "edvrm_x4_8x4_600k_reds_20210625-e29b71b5.pth", **_EDVR_M),
    _zoo(
        "edvr-m-wotsa-published",
        "edvr",
        "edvr",
        "edvrm_wotsa_x4_8x4_600k_reds_20200522-0570e567.pth",
        with_tsa=False,
        **_EDVR_M,
    ),
    Published(
        "edvr-published",
        "edvr",
        {},
        "https://drive.google.com/uc?export=download&id=127KXEjlCwfoPC1aXyDkluNwr9elwyHNb",
        "EDVR_L_x4_SR_REDS_official-9f5f5039.pth",
        sha256="9f5f5039",
        **_APACHE,
    ),
    _zoo(
        "srcnn-published", "srcnn", "srcnn", "srcnn_x4k915_1x16_1000k_div2k_20200608-4186f232.pth", upsampling="pytorch"
    ),
    Published(
        "vgg19-published",
        "vgg19",
        {},
        "torchvision:VGG19_Weights.IMAGENET1K_V1",
        "vgg19-dcbb9e9d.pth",
        "BSD-3-Clause",
        sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        size=574_673_361,
    ),
    Published(
        "vgg19-caffe-published",
        "vgg19",
        {},
        f"{_DROPBOX}/s/7ah1jwrmggog4q9/vgg19.zip?dl=1",
        "vgg19.npy",
        "that of its authors, which the file does not state",
        restricted=True,
    ),
)
