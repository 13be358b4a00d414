"""OpenCV as a decoder of 16-bit files: silent, and in RGB order."""

import numpy as np


def decode(data: bytes) -> np.ndarray | None:
    """Return (h, w, c) pixels as stored: bit depth, alpha and orientation untouched. None if they cannot be decoded."""
    import cv2
    from cv2.utils import logging

    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # what is wrong with a file is ours to say, in one line
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        logging.setLogLevel(level)
    if array is None or array.ndim == 2:
        return None if array is None else array[..., None]
    return array[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[-1]]]
