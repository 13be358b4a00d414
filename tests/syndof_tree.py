"""A small tree of SYNDOF's three sources, written in their formats."""

import cv2
import numpy as np

SIZE = (48, 64)
RNG = np.random.default_rng(1)
IMAGES = {name: RNG.integers(0, 256, (*SIZE, 3), np.uint8) for name in ("mpi", "synthia", "middlebury")}
RAMP = np.broadcast_to(np.linspace(2, 9, 64, dtype=np.float32), SIZE)  # metres


def png(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)


def dpt(path, metres):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = np.float32(202021.25).tobytes() + np.int32([metres.shape[1], metres.shape[0]]).tobytes()
    path.write_bytes(head + metres.astype("<f4").tobytes())


def centimetres(metres):
    return np.repeat(np.round(100 * metres).astype(np.uint16)[..., None], 3, -1)


def write(root):
    """MPI: a scene of a frame, nearly the same again, and another one; one sample each of the other sources."""
    metres = RAMP.copy()
    metres[:4] = 1e11
    again = np.clip(IMAGES["mpi"].astype(int) + 1, 0, 255).astype(np.uint8)
    for number, image in enumerate((IMAGES["mpi"], again, IMAGES["mpi"][::-1]), 1):
        png(root / f"image/MPI/alley/frame_{number:04}.png", image)
        dpt(root / f"depth/MPI/alley/frame_{number:04}.dpt", metres)
    depth = centimetres(RAMP)
    depth[:4] = 65535
    png(root / "image/SYNTHIA/SEQ/Omni_F/000000.png", IMAGES["synthia"])
    png(root / "depth/SYNTHIA/SEQ/Omni_F/000000.png", depth)
    png(root / "image/middleburry/2014/Chair-perfect/im0.png", IMAGES["middlebury"])
    png(root / "depth/middleburry/2014/Chair-perfect/disp0.png", centimetres(RAMP[:, ::-1]))
    return root
