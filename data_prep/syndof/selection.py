"""Keeps only dissimilar frames of a sequence, by PSNR and SSIM (dissertation section 3.2.1)."""

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from data_prep.syndof.tree import Pair, read_image

# Frames are similar if they exceed both. The dissertation names the measures; the thresholds are ours.
MAX_PSNR, MAX_SSIM = 30.0, 0.9  # dB, and SSIM of luminance
WIDTH = 256  # pixels that frames are reduced to before they are compared


def dissimilar(
    pairs: Iterable[Pair], read: Callable[[str], bytes], max_psnr: float = MAX_PSNR, max_ssim: float = MAX_SSIM
) -> list[Pair]:
    """Return, in order, the pairs that differ from the frame of their sequence that was kept last."""
    kept: list[Pair] = []
    last: tuple[str, np.ndarray] | None = None
    for pair in pairs:
        frame = reduced(read_image(read(pair.image)))
        if last is None or last[0] != pair.sequence or not similar(last[1], frame, max_psnr, max_ssim):
            kept.append(pair)
            last = pair.sequence, frame
    return kept


def reduced(image: np.ndarray) -> np.ndarray:
    """Reduce an image to luminance, float32 in [0, 1], at most WIDTH pixels wide."""
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    height, width = luminance.shape
    if width <= WIDTH:
        return luminance
    return cv2.resize(luminance, (WIDTH, max(7, round(height * WIDTH / width))), interpolation=cv2.INTER_AREA)


def similar(first: np.ndarray, second: np.ndarray, max_psnr: float = MAX_PSNR, max_ssim: float = MAX_SSIM) -> bool:
    """Say whether two frames of `reduced` exceed both thresholds; frames of different sizes never do."""
    if first.shape != second.shape:
        return False
    error = float(np.mean(np.square(first - second)))
    if error > 10 ** (-max_psnr / 10):
        return False
    return float(structural_similarity(first, second, data_range=1.0)) > max_ssim
