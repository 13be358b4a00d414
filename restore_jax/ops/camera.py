"""A camera to train with: sharp photographs as a defocused camera would have written them, and their truth.

    views = photograph(key, sharp, settings, size=128)          # {"blurred", "sharp", "coc"}
    views = photograph(key, sharp, settings, 128, dual=True)    # and {"left", "right"}, from a dual-pixel sensor

Scene and lens -> sensor -> processing -> file. Every part is drawn anew for each photograph:
    scene       linear light, highlights above 1, random depth, a cut-out before it that hides known background
    lens        `ops.lens`: polygons, cat's eyes, rims, colours, shake; one photograph in eight is wholly in focus
    sensor      `ops.sensor.noise`, smoothed as cameras do
    processing  tone curve, sharpening, reduction as far as the margin allows
    file        8 bits; `ops.jpeg.compress`, sometimes twice, on a grid of any phase
The truth goes through tone curve, sharpening and reduction too, and has neither blur, noise nor compression.
Source: dissertation sections 3.2 and 4.3 name blur and noise; the rest is what phones and cameras write.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from restore_jax.ops import jpeg, sensor
from restore_jax.ops.lens import random_lens, transfer
from restore_jax.ops.render import composite
from restore_jax.ops.scene import cut_out, random_coc

BRIGHTEST = 8.0  # linear light that a clipped highlight may have had
GAMMAS = (1.8, 2.6)  # of tone curves
REDUCTION = 0.75  # the smallest scale that a photograph is reduced to after the exposure
ROOM = 8  # pixels that blur may reach in from, at least, around what is left of a reduced photograph


def photograph(
    key: Key[Array, ""], sharp: Float[Array, "s s 3"], settings, size: int, dual: bool = False
) -> dict[str, Float[Array, "h w 3"]]:
    """Take one sharp photograph: views (size, size, 3) in [0, 1], and "coc" (size, size, 1), |COC| in pixels.

    Args:
      sharp: [0, 1], with a margin around the `size` pixels that are returned; blur reaches in from it. A COC is never
        larger than the margin allows.
      settings: config.camera: probabilities and ranges, see configs/ifan.py.
      dual: also the left and right view of a dual-pixel sensor, without compression; "blurred" is made from both.
    """
    keys = dict(zip(("scene", "lens", "light", "sensor", "processing", "file"), jax.random.split(key, 6), strict=True))
    side = sharp.shape[0]
    processing = random_processing(keys["processing"], settings, max(REDUCTION, size / (side - 2 * ROOM)))
    room = (side - size / processing["scale"]) / 2
    lens = random_lens(keys["lens"], settings.lens)
    largest = jnp.minimum(float(settings.max_coc), 2 * (room - 1.5) / (1 + jnp.abs(lens.colour)))
    scene, coc, hidden = random_scene(keys["scene"], sharp, largest, settings)
    gamma, (scene, behind) = random_light(keys["light"], (scene, hidden[0]), settings)

    reach = min(math.ceil(settings.max_coc / 2 * (1 + settings.lens.colour)) + 1, (side - 1) // 2)
    sides = ("left", "right") if dual else (None,)

    def kernel_maker(half):
        def kernels(coc, size):  # the mask is blurred as green is
            colours = transfer(lens, coc, size, reach, half)
            return jnp.concatenate([colours, colours[..., 1:2]], -1)

        return kernels

    exposures = composite(scene, coc, settings.num_layers, [kernel_maker(s) for s in sides], hidden=(behind, hidden[1]))
    exposures = noisy(keys["sensor"], exposures, settings)
    blurred = sum(exposures) / len(exposures)
    views = {"blurred": blurred, "sharp": scene}
    if dual:
        views |= dict(zip(("left", "right"), exposures, strict=True))
    views = {name: developed(view, gamma, processing, size) for name, view in views.items()}
    truth = views.pop("sharp")
    views = {name: jnp.round(255 * view) / 255 for name, view in views.items()}
    views["blurred"] = written(keys["file"], views["blurred"], settings)
    coc = processing["scale"] * reduced(jnp.abs(coc)[..., None], processing, size, "linear")
    return {**views, "sharp": truth, "coc": coc}


def random_scene(key, sharp, largest, settings):
    """Draw a scene made of one photograph: (image, COC map, (hidden image, hidden COC)).

    The COC's largest absolute value is log-uniform between settings.min_coc and `largest` pixels, and 0 with
    probability settings.sharp. With probability settings.cut_out a part of the photograph, turned upside down, stands
    before it.
    """
    keys = jax.random.split(key, 6)
    low = jnp.minimum(settings.min_coc, largest)
    extent = low * (largest / low) ** jax.random.uniform(keys[0])
    extent = jnp.where(jax.random.uniform(keys[1]) < settings.sharp, 0.0, extent)
    coc = random_coc(keys[2], sharp.shape[:2], 1.0, 1.0)
    mask, nearer = cut_out(keys[3], sharp.shape[:2])
    mask &= jax.random.uniform(keys[4]) < settings.cut_out
    front = jnp.maximum(jnp.min(jnp.where(mask, coc, jnp.inf)) - nearer, -1.0)
    front = jnp.where(jnp.isfinite(front), front, 0.0)
    image = jnp.where(mask[..., None], sharp[::-1, ::-1], sharp)
    hidden_coc = jnp.where(mask, coc, jnp.nan)
    return image, extent * jnp.where(mask, front, coc), (sharp, extent * hidden_coc)


def random_light(key, images, settings):
    """Take images to linear light: (gamma, images); gamma is 1 where light is taken as encoded, as editors blur.

    With probability settings.highlights what is nearly clipped is made up to BRIGHTEST times as bright.
    """
    keys = jax.random.split(key, 4)
    gamma = jax.random.uniform(keys[0], minval=GAMMAS[0], maxval=GAMMAS[1])
    gamma = jnp.where(jax.random.uniform(keys[1]) < settings.linear_light, gamma, 1.0)
    strength = jax.random.uniform(keys[2], minval=0.0, maxval=BRIGHTEST - 1)
    strength = jnp.where(jax.random.uniform(keys[3]) < settings.highlights, strength, 0.0)

    def linear(image):
        nearly = jnp.clip((image.min(-1, keepdims=True) - 0.9) / 0.1, 0, 1)
        return image**gamma * (1 + strength * nearly**2)

    return gamma, tuple(linear(image) for image in images)


def noisy(key, exposures, settings):
    """Add noise to exposures, to each its own; `shot` and `read` are log-uniform, 0 with probability 1 - noise."""
    keys = jax.random.split(key, 4 + len(exposures))

    def log_uniform(key, bounds):
        low, high = map(math.log, bounds)
        return jnp.exp(jax.random.uniform(key, minval=low, maxval=high))

    on = jax.random.uniform(keys[0]) < settings.noise
    count = len(exposures)  # each photodiode of a dual pixel gets its share of the light
    shot = jnp.where(on, count * log_uniform(keys[1], settings.shot), 0.0)
    read = jnp.where(on, math.sqrt(count) * log_uniform(keys[2], settings.read), 0.0)
    smoothing = jnp.maximum(jax.random.uniform(keys[3], minval=-1.0, maxval=float(settings.smoothing)), 0.0)
    return [
        exposure + sensor.noise(key, exposure, shot, read, smoothing)
        for key, exposure in zip(keys[4:], exposures, strict=True)
    ]


def random_processing(key, settings, smallest: float) -> dict:
    """Draw the scale (from `smallest`) and sharpening of a camera's processing, for truth and photograph alike."""
    keys = jax.random.split(key, 5)
    scale = jax.random.uniform(keys[0], minval=min(smallest, 1.0), maxval=1.0)
    amount = jax.random.uniform(keys[2], maxval=0.8)
    return {
        "scale": jnp.where(jax.random.uniform(keys[1]) < settings.reduce, scale, 1.0),
        "amount": jnp.where(jax.random.uniform(keys[3]) < settings.sharpen, amount, 0.0),
        "sigma": jax.random.uniform(keys[4], minval=0.5, maxval=1.5),
    }


def developed(linear, gamma, processing, size: int):
    """Encode linear light, sharpen, reduce and cut it to (size, size, 3) in [0, 1]."""
    image = sensor.sharpen(sensor.encode(linear, gamma), processing["amount"], processing["sigma"])
    return jnp.clip(reduced(image, processing, size, "lanczos3"), 0, 1)


def reduced(image, processing, size: int, method: str):
    """Reduce (s, s, c) by processing["scale"] and keep the middle (size, size, c)."""
    side, scale = image.shape[0], processing["scale"]
    translation = jnp.full(2, (size - side * scale) / 2)
    # Whole pixels of an unreduced photograph stay as they are: its translation is a whole number.
    translation = jnp.where(scale == 1.0, jnp.round(translation), translation)
    shape = (size, size, image.shape[2])
    return jax.image.scale_and_translate(image, shape, (0, 1), jnp.full(2, scale), translation, method, antialias=True)


def written(key, image, settings):
    """Write a photograph of 8 bits to a file and read it: JPEG with probability settings.jpeg, twice with .twice."""
    keys = jax.random.split(key, 4)

    def compressed(key, image):
        quality_key, chroma_key, phase_key = jax.random.split(key, 3)
        low, high = settings.quality
        quality = jax.random.randint(quality_key, (), low, high + 1)
        halved = jax.random.uniform(chroma_key) < settings.chroma_halved
        return jpeg.compress(image, quality, halved, jax.random.randint(phase_key, (2,), 0, 16))

    once = compressed(keys[0], image)
    twice = compressed(keys[1], once)
    once = jnp.where(jax.random.uniform(keys[2]) < settings.twice, twice, once)
    return jnp.where(jax.random.uniform(keys[3]) < settings.jpeg, once, image)
