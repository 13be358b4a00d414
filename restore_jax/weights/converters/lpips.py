"""LPIPS weights: not shipped; converted from the two published files."""

import numpy as np

from restore_jax.errors import InputError
from restore_jax.models.lpips import KERNELS, LPIPS

MISSING = (
    "LPIPS weights are not shipped: get torchvision's AlexNet checkpoint (alexnet-owt-7be5be79.pth) and the LPIPS v0.1 "
    "linear weights (alex.pth, in lpips/weights/v0.1 of the lpips package), then run "
    "`restore-jax weights convert lpips ALEXNET.pth ALEX.pth -o FILE`"
)

CONVOLUTIONS = (0, 3, 6, 8, 10)  # their places in torchvision's `features`
NAMES = frozenset(
    [f"features.{place}.{kind}" for place in CONVOLUTIONS for kind in ("weight", "bias")]
    + [f"lin{layer}.model.1.weight" for layer in range(len(CONVOLUTIONS))]
)


def our_name(name: str) -> str | None:
    """A published name itself, if it is one of LPIPS's; else None."""
    return name if name in NAMES else None


def convert_lpips(arrays: dict[str, np.ndarray], widths: tuple[int, ...] = LPIPS.widths) -> dict:
    """Parameters of `models.lpips.LPIPS` from the published names of both files together.

    arrays: `features.{0,3,6,8,10}.weight` (out, in, k, k) and `.bias` (torchvision's AlexNet; its `classifier.*` is not
    used) and `lin{0..4}.model.1.weight` (1, c, 1, 1). InputError names the first array that is missing, misshapen or
    not of these.
    """
    left = {name for name in arrays if not name.startswith("classifier.")}

    def take(name, shape):
        if name not in left:
            raise InputError(f"{name} is missing; both the AlexNet checkpoint and the LPIPS linear weights are needed")
        left.remove(name)
        array = np.asarray(arrays[name], np.float32)
        if array.shape != shape:
            raise InputError(f"{name} has shape {array.shape} where LPIPS v0.1 (AlexNet) has {shape}")
        return array

    alexnet, linear, channels = {}, {}, 3
    for i, (width, (size, _, _)) in enumerate(zip(widths, KERNELS, strict=True)):
        kernel = take(f"features.{CONVOLUTIONS[i]}.weight", (width, channels, size, size))
        bias = take(f"features.{CONVOLUTIONS[i]}.bias", (width,))
        alexnet[f"conv{i}"] = {"kernel": kernel.transpose(2, 3, 1, 0), "bias": bias}
        linear[f"lin{i}"] = take(f"lin{i}.model.1.weight", (1, width, 1, 1)).reshape(width)
        channels = width
    if left:
        raise InputError(f"{min(left)} is not a weight of LPIPS v0.1 (AlexNet)")
    return {"params": {"alexnet": alexnet, **linear}}
