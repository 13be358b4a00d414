"""The demo: a real photograph of measured depth is defocused, restored, and compared with the truth.

The photograph is the left view of the motorcycle scene (Middlebury 2014) that ships in scikit-image; its disparity was
measured with structured light. Focus lies between the motorcycle and the garage, so that both are blurred.
"""

import pathlib
import time

import imageio.v3 as iio
import jax.numpy as jnp
import numpy as np
from scipy import ndimage
from skimage import data

from restore_jax import weights as registry
from restore_jax.cache import enable_compilation_cache
from restore_jax.deblurring import deblur
from restore_jax.errors import InputError
from restore_jax.metrics.images import psnr, ssim
from restore_jax.ops.render import coc_from_disparity, render_coc
from restore_jax.plots.panels import labelled

MAX_COC = 12  # pixels: diameter of the circle of confusion where the blur is largest
SIZE = (496, 736)  # pixels cut from the scene's 500 x 741
DETAIL = (slice(150, 274), slice(370, 554))  # the part shown enlarged: headlamp and tank
DETAIL_ZOOM = 4
AMPLIFIED = 4  # factor on differences, to be seen


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Return the sharp photograph, uint8 `(h, w, 3)`, and its disparity in pixels, float32 `(h, w)`, without holes.

    Where no disparity was measured, it is that of the nearest measured pixel. A median over 5 x 5 pixels takes out
    strays at outlines: with a depth between the two sides, they would be sharp specks in the middle of blur.
    """
    sharp, _, disparity = data.stereo_motorcycle()
    nearest = ndimage.distance_transform_edt(~np.isfinite(disparity), return_distances=False, return_indices=True)
    filled = ndimage.median_filter(disparity[tuple(nearest)].astype(np.float32), size=5)
    height, width = SIZE
    return sharp[:height, :width], filled[:height, :width]


def lens(disparity: np.ndarray, largest: float = MAX_COC) -> tuple[float, float]:
    """Return focus and scale for `coc_from_disparity` that blur both ends of the disparities by `largest` pixels."""
    near, far = float(disparity.max()), float(disparity.min())
    return (near + far) / 2, largest / ((near - far) / 2)


def colour_map(coc: np.ndarray, largest: float = MAX_COC) -> np.ndarray:
    """Colour signed blur, uint8 `(h, w, 3)`: orange before the plane of focus, white on it, blue behind it."""
    amount = np.clip(coc / largest, -1, 1)[..., None]
    behind, before = np.array([30, 90, 200], np.float32), np.array([235, 120, 20], np.float32)
    end = np.where(amount > 0, behind, before)
    return np.rint(255 + np.abs(amount) * (end - 255)).astype(np.uint8)


def difference(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the absolute difference of two uint8 images, amplified; uint8."""
    return np.clip(AMPLIFIED * np.abs(image.astype(np.int16) - truth), 0, 255).astype(np.uint8)


def detail(image: np.ndarray) -> np.ndarray:
    """Enlarge a part of the picture to the picture's size, `SIZE`, by repeating pixels."""
    part = image[DETAIL].repeat(DETAIL_ZOOM, 0).repeat(DETAIL_ZOOM, 1)
    return part[: SIZE[0], : SIZE[1]]


def run(out, weights: str = "ifan") -> dict[str, float]:
    """Runs the demo, writes its pictures into the folder `out` and prints what they show; returns the four scores.

    Raises InputError if the folder cannot be written or the weights cannot be loaded.
    """
    out = pathlib.Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot make this folder: {error.strerror}") from None
    enable_compilation_cache()
    loaded = registry.load(weights, "deblur")

    print(
        f"A photograph of measured depth, defocused with circles of confusion up to {MAX_COC} pixels ...",
        flush=True,
    )
    truth, disparity = scene()
    coc = coc_from_disparity(jnp.asarray(disparity), *lens(disparity))
    blurred = render_coc(jnp.asarray(truth, jnp.float32) / 255, coc, MAX_COC)
    blurred = np.rint(np.clip(np.asarray(blurred), 0, 1) * 255).astype(np.uint8)

    print(f"... and restored with {loaded.name} (the first run also compiles) ...", flush=True)
    began = time.monotonic()
    result = deblur(blurred, weights=loaded)
    seconds = time.monotonic() - began

    def scores(image):
        pair = (jnp.asarray(image, jnp.float32) / 255, jnp.asarray(truth, jnp.float32) / 255)
        return float(psnr(*pair, convention="ifan")), float(ssim(*pair, convention="ifan"))

    (psnr_in, ssim_in), (psnr_out, ssim_out) = scores(blurred), scores(result)
    pictures = {
        "input": blurred,
        "result": result,
        "truth": truth,
        "difference": difference(result, truth),
        "defocus_map": colour_map(np.asarray(coc)),
    }
    quality = {"input": f"{psnr_in:.2f} dB", "result": f"{psnr_out:.2f} dB", "truth": "ground truth"}
    rows = [
        [(f"{name}: {quality[name]}" if name != "truth" else name, pictures[name]) for name in quality],
        [(f"{name}, detail", detail(pictures[name])) for name in quality],
        [
            (f"|input - truth| x {AMPLIFIED}", difference(blurred, truth)),
            (f"|result - truth| x {AMPLIFIED}", pictures["difference"]),
            ("defocus: orange before, blue behind focus", pictures["defocus_map"]),
        ],
    ]
    pictures["comparison"] = labelled(rows)
    for name, picture in pictures.items():
        try:
            iio.imwrite(out / f"{name}.png", picture)
        except OSError as error:
            raise InputError(f"{out / name}.png: cannot write: {error.strerror or error}") from None

    print(f"    {seconds:.1f} s\n")
    print("             PSNR      SSIM     (against the truth; convention ifan)")
    print(f"    input    {psnr_in:5.2f} dB  {ssim_in:.4f}")
    print(f"    result   {psnr_out:5.2f} dB  {ssim_out:.4f}   ({psnr_out - psnr_in:+.2f} dB)\n")
    print(f"Look at {out / 'comparison.png'}; each picture is in {out}/ by itself too.")
    print("Your own photo:   restore-jax deblur PHOTO.jpg --compare")
    return {"psnr_input": psnr_in, "psnr_result": psnr_out, "ssim_input": ssim_in, "ssim_result": ssim_out}
