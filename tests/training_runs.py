"""Training runs as a person starts them: `python -m restore_jax.train` in processes of its own."""

import json
import os
import subprocess
import sys

import numpy as np

import restore_jax as rj
from restore_jax.weights.tree import flatten

# Without disparity and reblurring, and narrow, it compiles in half the time.
SMALL = ("loss.disparity=0.0", "loss.reblur=0.0", "model.options.reblur=False", "model.options.width=4")


def start(workdir, *arguments, cache, devices=1, config="configs/ifan.py:tiny", limit=None):
    """The run as a subprocess whose output is read line by line. limit: bytes a file may have."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        # conftest's, too: most of the time is compiling
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "RESTORE_JAX_CACHE": str(cache),
    }
    command = [sys.executable, "-m", "restore_jax.train", f"--config={config}", f"--workdir={workdir}", *arguments]

    if limit:
        limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (int(sys.argv[1]),)); "
        command = [sys.executable, "-c", limited + "os.execv(sys.argv[2], sys.argv[2:])", str(limit), *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process, *beside):
    """(exit code, stdout, stderr) of a run, once it has ended. If it hangs, it and those beside it are killed."""
    try:
        out, err = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        for hanging in (process, *beside):
            hanging.kill()
            hanging.communicate()
        raise
    return process.returncode, out, err


def overrides(*values):
    """Arguments --config.KEY=VALUE."""
    return [f"--config.{value}" for value in values]


def lines(workdir):
    """Return the lines of metrics.jsonl."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def assert_same_weights(a, b, **tolerance):
    """final.safetensors of two runs: equal bit for bit, or within a tolerance of np.testing.assert_allclose."""
    a, b = (flatten(rj.load(path / "final.safetensors").params) for path in (a, b))
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_allclose(value, b[name], **{"rtol": 0.0, **tolerance}, err_msg=name)
