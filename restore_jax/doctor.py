"""Reports what this machine has, for finding out what went wrong: `restore-jax doctor`."""

import importlib.metadata
import os
import pathlib
import platform
import sys
from collections.abc import Callable

import jax

from restore_jax import weights
from restore_jax.cache import cache_folder
from restore_jax.errors import InputError
from restore_jax.version import __version__

PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "safetensors", "flatbuffers"),
    *("pillow", "tifffile", "opencv-python-headless", "scikit-image", "av"),
)
OPTIONAL = ("tensorflow-datasets", "array_record", "grain", "tensorboardX", "orbax-checkpoint", "torch", "h5py")


def examine(say: Callable[[str], None] = print) -> bool:
    """Print platform, devices, versions, cache and weights, a line each; returns whether all is sound."""
    say(f"restore-jax  {__version__} in {pathlib.Path(__file__).parent}")
    say(f"python       {platform.python_version()} in {sys.prefix}")
    say(f"platform     {platform.platform()}, {os.cpu_count()} CPU cores")
    devices = _say_devices(say)
    say(f"packages     {', '.join(map(_version, PACKAGES))}")
    say(f"optional     {', '.join(map(_version, OPTIONAL))}")
    _say_cache(say)
    return _say_weights(say) and devices


def _say_devices(say) -> bool:
    try:
        devices = jax.devices()
    except RuntimeError as error:  # a platform that JAX_PLATFORMS asks for and that is not there
        say(f"devices      none: {' '.join(str(error).split())}")
        return False
    for device in devices:
        memory = (device.memory_stats() or {}).get("bytes_limit")
        limit = f", {memory / 2**30:.1f} GiB" if memory else ""
        say(f"device       {device.platform}:{device.id} {device.device_kind}{limit}")
    return True


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} -"


def _say_cache(say) -> None:
    folder = cache_folder("")
    if folder is None:
        say("cache        none: RESTORE_JAX_CACHE is empty, or its folder cannot be written")
        return
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    say(f"cache        {folder}, {len(sizes)} files, {sum(sizes) / 2**20:.0f} MiB")


def _say_weights(say) -> bool:
    sound, names = True, weights.shipped_names()
    if not names:
        say("weights      none ship with this installation")
    for name in names:
        try:
            say(f"weights      {name} ok, sha256 {weights.verify(name)}")
        except (InputError, OSError, ValueError) as error:
            sound = False
            say(f"weights      {name} DAMAGED: {error}")
    return sound and bool(names)
