"""The folder that is kept from run to run, and JAX's compiled programs in it."""

import hashlib
import os
import pathlib
import platform


def enable_compilation_cache() -> pathlib.Path | None:
    """Let JAX keep compiled programs from run to run in `cache_folder`, unless the user has set a folder of their own.

    Returns the folder in use, or None.
    """
    import jax  # only where programs are compiled

    configured = jax.config.jax_compilation_cache_dir
    if configured is not None:
        return pathlib.Path(configured)
    folder = cache_folder(f"xla-{_machine()}")
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def cache_folder(name: str) -> pathlib.Path | None:
    """Make the folder `name` of what is kept from run to run, and return it; None if there can be none.

    It lies in `$RESTORE_JAX_CACHE`, or in `restore_jax` in `$XDG_CACHE_HOME` or `~/.cache`; an empty
    `RESTORE_JAX_CACHE` means no cache.
    """
    root = os.environ.get("RESTORE_JAX_CACHE")
    if root == "":
        return None
    try:
        root = root or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "restore_jax"
        folder = pathlib.Path(root) / name
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _machine() -> str:
    """Name this kind of CPU: programs compiled for one must not run on another that shares the home folder."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    except OSError:
        flags = platform.processor()
    return hashlib.sha256(f"{platform.system()} {platform.machine()} {flags}".encode()).hexdigest()[:12]
