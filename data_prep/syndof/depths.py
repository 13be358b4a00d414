"""Depth files of MPI Sintel, SYNTHIA and Middlebury 2014: bytes in, millimetres out.

Every reader gives (h, w) float32, finite and positive. Sky, which is infinitely far, gets the farthest other depth of
its frame: a lens blurs it about the same, and the focus is drawn between the extremes.
"""

import re

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

DPT_TAG = b"PIEH"  # 202021.25 as a little-endian float
MM_PER_UNIT = {"MPI": 1000.0, "SYNTHIA": 10.0, "Middlebury": 10.0}  # metres, centimetres, centimetres
_MPI_SKY, _PNG_SKY = 1e5, 65535


def read_dpt(data: bytes) -> np.ndarray:
    """Read MPI Sintel's format: tag, width, height, then float32 metres; sky is about 1e11. Raises ValueError."""
    width, height = dpt_size(data)
    if min(width, height) < 1 or len(data) != 12 + 4 * width * height:
        raise ValueError(f"damaged: {len(data)} bytes for {width}x{height} depths")
    depth = np.frombuffer(data, "<f4", offset=12).reshape(height, width).astype(np.float32)
    return MM_PER_UNIT["MPI"] * _finite(depth, depth > _MPI_SKY)


def dpt_size(head: bytes) -> tuple[int, int]:
    """Return the (width, height) that the first 12 bytes of a .dpt file state. Raises ValueError."""
    if head[:4] != DPT_TAG or len(head) < 12:
        raise ValueError("not an MPI Sintel depth file (.dpt)")
    width, height = np.frombuffer(head, "<i4", 2, 4)
    return int(width), int(height)


def read_png(data: bytes) -> np.ndarray:
    """Read SYNTHIA's format, and Middlebury's in SYNDOF: a 16-bit PNG of centimetres, all channels equal.

    65535 is sky. Raises ValueError.
    """
    depth = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if depth is None or depth.dtype != np.uint16:
        raise ValueError("not a 16-bit PNG of depths")
    return of_codes(depth)


def of_codes(depth: np.ndarray) -> np.ndarray:
    """Convert the uint16 samples of such a PNG to mm. Raises ValueError."""
    if depth.ndim == 3:
        if (depth[..., :1] != depth).any():
            raise ValueError("its channels differ: not a depth map")
        depth = depth[..., 0]
    return MM_PER_UNIT["SYNTHIA"] * _finite(depth.astype(np.float32), depth == _PNG_SKY)


def read_pfm(data: bytes, calibration: str) -> np.ndarray:
    """Read Middlebury 2014's format: .pfm disparities, and calib.txt with baseline (mm), doffs and cam0's focal length.

    Unknown disparities (infinite) take the depth of the nearest known pixel. Raises ValueError.
    """
    header = re.match(rb"Pf\s+(\d+)\s+(\d+)\s+(-?[\d.]+)\s", data)
    focal = re.search(r"cam0\s*=\s*\[\s*([\d.]+)", calibration)
    more = {name: re.search(rf"{name}\s*=\s*([\d.]+)", calibration) for name in ("baseline", "doffs")}
    if header is None:
        raise ValueError("not a grey .pfm file")
    if focal is None or None in more.values():
        raise ValueError("calib.txt lacks cam0, doffs or baseline")
    width, height, scale = int(header[1]), int(header[2]), float(header[3])
    if len(data) - header.end() != 4 * width * height:
        raise ValueError(f"damaged: {len(data)} bytes for {width}x{height} disparities")
    disparity = np.frombuffer(data, "<f4" if scale < 0 else ">f4", offset=header.end()).reshape(height, width)[::-1]
    known = np.isfinite(disparity)
    if not known.any():
        raise ValueError("no disparity is known")
    baseline, doffs = (float(found[1]) for found in more.values())
    depth = np.full(disparity.shape, np.nan, np.float32)
    depth[known] = baseline * float(focal[1]) / (disparity[known] + doffs)
    return _finite(fill_holes(depth), np.zeros_like(known))


def fill_holes(values: np.ndarray) -> np.ndarray:
    """Replace what is not finite in (h, w) by the nearest finite value, of which there must be one."""
    unknown = ~np.isfinite(values)
    if not unknown.any():
        return values
    return values[tuple(distance_transform_edt(unknown, return_distances=False, return_indices=True))]


def _finite(depth, sky):
    """Put the sky at the farthest other depth. Raises ValueError for values that no depth can have."""
    if sky.all():
        raise ValueError("holds nothing but sky")
    depth = np.where(sky, depth[~sky].max(), depth)
    if not (np.isfinite(depth) & (depth > 0)).all():
        raise ValueError("holds depths that are not positive or not finite")
    return depth
