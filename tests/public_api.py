"""The public API as its users type it; `make lint` has mypy check this file and what it says of the types.

Never run: only what is inferred counts.
"""

import pathlib
from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np

import restore_jax as rj
from restore_jax.weights.registry import Restorer

photo = np.zeros((8, 8, 3), np.uint8)

assert_type(rj.deblur(photo, weights="ifan", tile=512, dtype="bfloat16"), np.ndarray)
assert_type(rj.deblur(photo, left=photo, right=photo), np.ndarray)
assert_type(rj.estimate_defocus(photo, method="zhuo"), np.ndarray)
assert_type(rj.super_resolve([photo], [photo], scale=4, fov=2.0, gains=(1.0, 1.0, 1.0)), Iterator[np.ndarray])
assert_type(rj.super_resolve("wide.mp4", pathlib.Path("tele.mp4"), out="out.mp4", end=2.0), pathlib.Path)
assert_type(rj.load("ifan"), Restorer)
assert_type(rj.load("ifan").params, dict[Any, Any])
assert_type(rj.weights.convert("ifan", {"a": photo}, variant="released"), dict[Any, Any])
assert_type(rj.__version__, str)
rj.models.create("ifan", width=32)

# What must be refused; mypy reports an ignore that is not needed.
rj.deblur(photo, weight="ifan")  # type: ignore[call-arg]
rj.super_resolve([photo], gains=1.0)  # type: ignore[call-overload]
rj.deblurr(photo)  # type: ignore[attr-defined]
