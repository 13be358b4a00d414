"""The programs that `restore-jax bench` measures, and the memory of a network in a process of its own."""

import functools
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from restore_jax import models
from restore_jax.bench import timing
from restore_jax.bench.macs import macs, restoring_inputs
from restore_jax.models.interface import result
from restore_jax.ops.deform_conv import deform_conv
from restore_jax.ops.filtering import iac, predict_and_iac
from restore_jax.ops.matching import BLOCK, match_patches
from restore_jax.ops.warp import gather_bilinear, taps

PATCH = (8, 32)  # IAC's gradient step: batch, and side of the features, that of 256x256 pixels
PLAIN = "3x3 convolution"
TORCH = ", PyTorch"
MATCHING, PRODUCT = "matching", "matrix product and maxima"
DEFORM, TAP_LOOP = "deformable convolution", ", loop over taps"


class Settings(NamedTuple):
    """Settings of a measurement: pixels of the image, channels at full size, N, and the computation's dtype."""

    height: int
    width: int
    channels: int
    filters: int
    dtype: str


class Program(NamedTuple):
    """A program to time. macs: None if unknown, or if the work is elementwise, which macs.py does not count."""

    name: str
    size: str
    run: Callable[[], object]
    macs: int | None = None
    compile_seconds: float | None = None
    temp_bytes: int | None = None


# ------------------------------------------------------------------------------------------------------------ programs
def compiled(name: str, size: str, function, *arguments, counted: bool = True) -> Program:
    """Compile `function` for `arguments`; running it waits for the result. counted: whether to count its MACs."""
    start = time.perf_counter()
    executable = jax.jit(function).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - start
    memory = executable.memory_analysis()
    return Program(
        name=name,
        size=size,
        run=lambda: jax.block_until_ready(executable(*arguments)),
        macs=(macs(function, *arguments) or None) if counted else None,
        compile_seconds=compile_seconds,
        temp_bytes=memory.temp_size_in_bytes + memory.output_size_in_bytes if memory else None,
    )


def random(seed: int, dtype: str, *shape: int, scale: float = 1.0):
    """Draw uniform random numbers in [-scale, scale) on the device."""
    numbers = np.random.default_rng(seed).random(shape, np.float32)
    return jnp.asarray(2 * scale * numbers - scale, jnp.dtype(dtype))


def plain_convolutions(s: Settings) -> list[Program]:
    """Compile 3x3 convolutions like the network's: all channels at 1/8 of the size, and the fewest at full size."""

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    programs = []
    for height, width, c in ((s.height // 8, s.width // 8, 4 * s.channels), (s.height, s.width, s.channels)):
        x, kernel = random(0, s.dtype, 1, height, width, c), random(1, s.dtype, 3, 3, c, c)
        programs.append(compiled(PLAIN, f"{width}x{height}x{c}", convolve, x, kernel))
    return programs


def iac_arguments(s: Settings, batch: int, height: int, width: int):
    """Draw (features, filters, biases) of `iac` and (features, code, kernel, bias) of `predict_and_iac`."""
    n, c = s.filters, 4 * s.channels
    plane = (batch, height, width, c)
    features = random(0, s.dtype, *plane)
    given = (features, random(1, s.dtype, n, 2, 3, *plane, scale=0.5), random(2, s.dtype, n, *plane))
    kernel, bias = random(3, s.dtype, n, 7, c, c, scale=0.5 * c**-0.5), random(4, s.dtype, n, 7, c)
    return given, (features, random(5, s.dtype, *plane), kernel, bias)


def iac_programs(s: Settings) -> list[Program]:
    """Compile IAC on one image, and its gradient step on a batch of patches beside the forward pass alone."""

    def gradient(function):
        return lambda seed, *arguments: jax.vjp(function, *arguments)[1](seed)

    height, width, c = s.height // 8, s.width // 8, 4 * s.channels
    given, predicted = iac_arguments(s, 1, height, width)
    size = f"{width}x{height}x{c} N={s.filters}"
    programs = [compiled("IAC", size, iac, *given), compiled("predict and IAC", size, predict_and_iac, *predicted)]
    batch, side = PATCH[0], min(PATCH[1], height, width)
    size = f"{batch}x{side}x{side}x{c} N={s.filters}"
    given, predicted = iac_arguments(s, batch, side, side)
    for name, function, arguments in (("IAC", iac, given), ("predict and IAC", predict_and_iac, predicted)):
        programs.append(compiled(f"{name}, forward", size, function, *arguments))
        programs.append(compiled(f"{name}, gradient step", size, gradient(function), arguments[0], *arguments))
    return programs


def matching_programs() -> list[Program]:
    """Compile RefVSR's search of 270x480 features in 135x240, and its matrix product alone with blockwise maxima."""
    (rows, columns), depth = BLOCK, 9 * 16

    def product(query, reference):
        def block_of_query(q):
            return jax.lax.scan(lambda m, r: (jnp.maximum(m, (q @ r.T).max(1)), None), jnp.zeros(rows), reference)[0]

        return jax.lax.map(block_of_query, query)

    query, reference = -(-270 * 480 // rows), -(-135 * 240 // columns)
    patches = random(2, "float32", query, rows, depth), random(3, "float32", reference, columns, depth)
    maps = random(0, "float32", 1, 270, 480, 16), random(1, "float32", 1, 135, 240, 16)
    size = "480x270x16 in 240x135"
    return [compiled(MATCHING, size, match_patches, *maps), compiled(PRODUCT, size, product, *patches)]


def deform_programs() -> list[Program]:
    """Compile EDVR-M's deformable convolution at 160x90, and one that gathers tap by tap, with gradient steps."""
    height, width, c, groups = 90, 160, 64, 8

    def by_tap(x, offsets, masks, kernel):
        features = x.reshape(1, height, width, groups, -1)
        rows, columns = jnp.arange(height)[None, :, None], jnp.arange(width)[None, None]
        total = 0.0
        for tap in range(9):
            samples = []
            for g in range(groups):
                y = taps(rows + (tap // 3 - 1) + offsets[..., g, tap, 0], height)
                x = taps(columns + (tap % 3 - 1) + offsets[..., g, tap, 1], width)
                samples.append(gather_bilinear(features[..., g, :], y, x) * masks[..., g, tap, None])
            total = total + jnp.concatenate(samples, -1) @ kernel[tap // 3, tap % 3]
        return total

    def gradient(function):
        return lambda *arguments: jax.grad(lambda *a: jnp.sum(function(*a) ** 2), (0, 1, 2, 3))(*arguments)

    plane = (1, height, width)
    arguments = (
        random(0, "float32", *plane, c),
        random(1, "float32", *plane, groups, 9, 2, scale=5.0),
        abs(random(2, "float32", *plane, groups, 9)),
        random(3, "float32", 3, 3, c, c, scale=xavier((3, 3, c, c))),
    )
    size = f"{width}x{height}x{c} G={groups}"
    return [
        compiled(f"{DEFORM}{step}{how}", size, change(function), *arguments)
        for step, change in ((", forward", lambda f: f), (", gradient step", gradient))
        for how, function in (("", deform_conv), (TAP_LOOP, by_tap))
    ]


def ifan_program(s: Settings) -> Program:
    """The network with random weights on a random image."""
    options = {"width": s.channels, "num_filters": s.filters}
    model = models.create("ifan", dtype=jnp.dtype(s.dtype), **options)
    image = jax.random.uniform(jax.random.key(0), (1, s.height, s.width, 3))
    params = jax.device_put(timing.drawn_variables(model))

    def restore(params, image):
        return model.apply(params, image)["image"]

    return compiled(ifan_name(s), f"{s.width}x{s.height}", restore, params, image)


def network_program(name: str, height: int, width: int) -> Program:
    """Return a program of any network as `models.create(name)` makes it, with random weights, on random inputs."""
    model = models.create(name)
    shapes = restoring_inputs(model, height, width)
    inputs = jax.tree.map(lambda shape: jax.random.uniform(jax.random.key(0), shape.shape), shapes)
    variables = jax.device_put(timing.drawn_variables(model))
    return compiled(model.interface.network, f"{width}x{height}", functools.partial(result, model), variables, inputs)


def xavier(shape: tuple[int, ...]) -> float:
    """Return the bound of uniform weights that keeps activations bounded; biases are small."""
    return math.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.1


def ifan_name(s: Settings) -> str:
    """Return the name of IFAN's rows at these settings."""
    return f"IFAN N={s.filters} width {s.channels}"


# ------------------------------------------------------------------------------------------------------------- PyTorch
def why_no_torch() -> str | None:
    """Return the reason why there is no comparison with PyTorch, or None."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed (pip install torch)"
    return None if torch_file().is_file() else f"{torch_file()} is missing: the comparison needs a source checkout"


def torch_file() -> pathlib.Path:
    """Return the file of the network in PyTorch, which is no part of the package."""
    return pathlib.Path(__file__).parents[2] / "tools" / "torch_ifan.py"


def torch_network():
    """Import tools/torch_ifan.py as a module."""
    spec = importlib.util.spec_from_file_location("torch_ifan", torch_file())
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torch_program(s: Settings, what: str) -> Program:
    """ "ifan" or "iac" in PyTorch, on the CPU."""
    if what == "ifan":
        return Program(ifan_name(s) + TORCH, f"{s.width}x{s.height}", torch_network().ifan_run(*s))
    inner = s._replace(height=s.height // 8, width=s.width // 8, channels=4 * s.channels)
    size = f"{inner.width}x{inner.height}x{inner.channels} N={s.filters}"
    return Program("IAC" + TORCH, size, torch_network().iac_run(*inner))


# -------------------------------------------------------------------------------------------------------------- memory
def fresh_memory(s: Settings, torch: bool) -> dict[str, int]:
    """Measure the peak memory of IFAN in a process of its own: bytes "process", "run", and "device" if there is one."""
    folder = str(pathlib.Path(__file__).parents[2])
    environment = {"JAX_TRACEBACK_FILTERING": "off", **os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    code = f"from restore_jax.bench import programs; programs.print_memory({tuple(s)!r}, {torch!r})"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the process that measures memory failed: {(done.stderr.strip() or '?').splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def print_memory(settings: tuple, torch: bool) -> None:
    """Print the memory of IFAN, in the process that `fresh_memory` starts."""
    s = Settings(*settings)
    memory = timing.memory_of((torch_program(s, "ifan") if torch else ifan_program(s)).run)
    if not torch:
        device = jax.devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in device:
            memory["device"] = device["peak_bytes_in_use"]
    print(json.dumps(memory))
