"""Measures DMENet and deconvolution by a map, and the parts of their time: restore-jax bench defocus.

DMENet is compared with the faster of two plain 3x3 convolutions in the same run, deconvolution with its cosine
transforms alone and its shrinkage alone, as often as the map needs them.
"""

import jax
import jax.numpy as jnp
import numpy as np

from restore_jax import models
from restore_jax.bench import timing
from restore_jax.bench.programs import PLAIN, Program, Settings, compiled, plain_convolutions, random
from restore_jax.bench.report import row
from restore_jax.ops import deconv
from restore_jax.report import say

DISSERTATION = 77.7  # seconds that the dissertation states for an image of 1680x1120
TRANSFORMS = "deconvolution, transforms"
SHRINKAGE = "deconvolution, shrinkage"
DECONVOLUTION = "deconvolution"


def sigma_map(height: int, width: int) -> np.ndarray:
    """Return the blur of a ground that recedes, in focus at a quarter of the height: sigma to 3.9 pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.abs(5 * y / height - 1.2) + np.float32(0.3) * np.sin(x / 200) ** 2


def dmenet_program(height: int, width: int, width_divisor: int) -> Program:
    """Compile the network with random weights for a random image."""
    model = models.create("dmenet", width_divisor=width_divisor)
    image = jax.random.uniform(jax.random.key(0), (1, height, width, 3))
    variables = jax.device_put(timing.drawn_variables(model))
    name = "DMENet" if width_divisor == 1 else f"DMENet, width / {width_divisor}"

    def estimate(variables, image):
        return model.apply(variables, image)["defocus"]

    return compiled(name, f"{width}x{height}", estimate, variables, image)


def deconvolution_programs(height: int, width: int) -> list[Program]:
    """Compile the deconvolution of a random image, and two of its parts, repeated as often as it calls them."""
    image, sigma = random(0, "float32", height, width, 3), jnp.asarray(sigma_map(height, width))
    tile = random(1, "float32", deconv.TILE, 3, deconv.TILE)
    tiles, rounds = int(deconv.count_tiles(sigma)), len(deconv.BETAS)

    def repeated(step, rounds):
        return lambda x: jax.lax.fori_loop(0, tiles * rounds, lambda _, x: step(x), x)

    def both_axes(x):
        return deconv.shrink(deconv.shrink(x, 8.0), 8.0)

    def deconvolve(image, sigma):
        return deconv.deconvolve(image, sigma, weight=16.8)

    programs = [
        (DECONVOLUTION, deconvolve, (image, sigma)),
        (TRANSFORMS, repeated(lambda x: deconv.inverse_dct(deconv.dct(x)), rounds), (tile,)),
        (SHRINKAGE, repeated(both_axes, rounds - 1), (tile,)),  # in the first round all is shrunk to 0
    ]
    return [compiled(name, f"{width}x{height}", run, *given, counted=False) for name, run, given in programs]


def lines(rows: list[dict]) -> list[str]:
    """Describe the rows that `measure` gives, as lines of text."""
    by_name = {r["name"]: r for r in rows}
    plain = max(r["gflops"] for r in rows if r["name"] == PLAIN)
    network = next(r for r in rows if r["name"].startswith("DMENet"))
    whole = by_name[DECONVOLUTION]
    transforms, shrinkage = (by_name[name]["median"] / whole["median"] for name in (TRANSFORMS, SHRINKAGE))
    rate = f"{network['gflops']:.0f} GFLOP/s, {network['gflops'] / plain:.0%} of a plain convolution's {plain:.0f}"
    said = [f"{network['name']} {network['size']}: {network['median']:.2f} s, {rate}"]
    parts = f"cosine transforms {transforms:.0%} of it, shrinkage {shrinkage:.0%}"
    said.append(f"{DECONVOLUTION} {whole['size']}: {whole['median']:.2f} s, {parts}")
    if whole["size"] == "1680x1120":
        said[-1] += f"; {DISSERTATION / whole['median']:.0f} times as fast as the dissertation's {DISSERTATION} s"
    return said


def measure(size: tuple[int, int], deconvolved: tuple[int, int], width_divisor: int, repeats: int) -> list[dict]:
    """Measure plain convolutions, DMENet, deconvolution and its parts in turn; a row each, as `report.row` gives it."""
    say("compiling")
    programs = plain_convolutions(Settings(*size, 64 // width_divisor, 1, "float32"))
    programs += [dmenet_program(*size, width_divisor), *deconvolution_programs(*deconvolved)]
    say(f"timing {len(programs)} programs in turn, {repeats} rounds and one to warm up")
    times = timing.in_turn([program.run for program in programs], repeats)
    return [row(*pair, {}) for pair in zip(programs, times, strict=True)]
