"""The tree SYNDOF is rendered from: pairs of image and depth of three sources; README.md shows it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from data_prep.headers import read_header
from data_prep.syndof import depths
from data_prep.trees import LITTER, OUTSIDE, Survey, leaves, matches

SOURCES = {"MPI": "MPI", "SYNTHIA": "SYNTHIA", "middleburry": "Middlebury", "Middlebury": "Middlebury"}  # by folder
_ENDINGS = {"MPI": (".dpt",), "SYNTHIA": (".png",), "Middlebury": (".png", ".pfm")}
_MIDDLEBURY = {"im0": "disp0", "im1": "disp1", "im1E": "disp1", "im1L": "disp1"}


class Pair(NamedTuple):
    """A sample: its name ("MPI/market_2/frame_0001"), its source, and its files relative to the tree's root."""

    name: str
    source: str
    image: str
    depth: str

    @property
    def sequence(self) -> str:
        """Return the name of the sequence, which frames that resemble one another share."""
        return self.name.rpartition("/")[0]


def survey(folder: Path) -> Survey:
    """Survey the tree: every pair, as the split "train", and what is wrong, a line each. Reads headers, no pixels."""
    result = Survey({"train": {}})
    if not (folder / "image").is_dir() or not (folder / "depth").is_dir():
        result.problems.append(f"{folder}: no folders image and depth")
        return result
    base = Path(os.path.realpath(folder))
    for path in sorted((folder / "image").iterdir()):
        if path.name not in SOURCES and not matches(path.name, LITTER):
            result.problems.append(f"{path}: unexpected: sources are {', '.join(SOURCES)}")
    for pair in pairs(folder):
        files = {"image": folder / pair.image, "depth": folder / pair.depth}
        read = (*files.values(), files["depth"].with_name("calib.txt"))
        outside = next((path for path in read if leaves(path, base)), None)
        problem = f"{outside}: {OUTSIDE}" if outside else _misfit(**files)
        if problem:
            result.problems.append(problem)
        else:
            result.scenes["train"][pair.name] = files
    if not (result.problems or result.scenes["train"]):
        result.problems.append(f"{folder}: holds no scenes")
    return result


def pairs(root: Path) -> list[Pair]:
    """List all images of the tree, sorted by name, with the place where their depth is or should be."""
    found = []
    for folder, source in SOURCES.items():
        for image in (root / "image" / folder).rglob("*.png"):
            if matches(image.name, LITTER) or (source == "Middlebury" and image.stem not in _MIDDLEBURY):
                continue
            inside = image.relative_to(root / "image")
            stem = _MIDDLEBURY[image.stem] if source == "Middlebury" else image.stem
            places = [Path("depth") / inside.with_name(stem + ending) for ending in _ENDINGS[source]]
            depth = next((place for place in places if (root / place).is_file()), places[0])
            name = inside.with_suffix("").as_posix()
            found.append(Pair(name, source, image.relative_to(root).as_posix(), depth.as_posix()))
    return sorted(found)


def _misfit(image: Path, depth: Path) -> str | None:
    """Return what is wrong with a pair according to its headers, or None."""
    if not depth.is_file():
        return f"{depth}: missing, the depth of {image}"
    if depth.suffix == ".pfm" and not depth.with_name("calib.txt").is_file():
        return f"{depth.with_name('calib.txt')}: missing, of {depth}"
    path = image
    try:
        header = read_header(image)
        if (header.bits, header.channels) != (8, 3):
            return f"{image}: {header.bits} bits, {header.channels} channels, expected 8 and 3"
        path = depth
        size = _depth_size(depth)
    except (ValueError, OSError) as error:
        return f"{path}: {error}"
    if size not in (None, header.size):
        return f"{depth}: {size[0]}x{size[1]}, but {image} is {header.size[0]}x{header.size[1]}"
    return None


def _depth_size(path: Path) -> tuple[int, int] | None:
    """Return (width, height) of a depth file, None for a .pfm, whose size only its reader knows.

    Raises ValueError and OSError.
    """
    if path.suffix == ".dpt":
        with open(path, "rb") as fp:
            return depths.dpt_size(fp.read(12))
    if path.suffix == ".pfm":
        return None
    header = read_header(path)
    if header.bits != 16:
        raise ValueError(f"{header.bits} bits a sample, expected 16")
    return header.size


def read_pair(pair: Pair, read: Callable[[str], bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Read a pair: (h, w, 3) uint8 and (h, w) float32 mm; `read` gives a file's bytes. Raises ValueError."""
    image = read_image(read(pair.image))
    suffix = Path(pair.depth).suffix
    try:
        if suffix == ".pfm":
            calibration = read(Path(pair.depth).with_name("calib.txt").as_posix()).decode()
            depth = depths.read_pfm(read(pair.depth), calibration)
        else:
            depth = {".dpt": depths.read_dpt, ".png": depths.read_png}[suffix](read(pair.depth))
    except ValueError as error:
        raise ValueError(f"{pair.depth}: {error}") from error
    if depth.shape != image.shape[:2]:
        raise ValueError(f"{pair.depth}: {depth.shape[1]}x{depth.shape[0]}, not the size of {pair.image}")
    return image, depth


def read_image(data: bytes) -> np.ndarray:
    """Decode a PNG to (h, w, 3) uint8 RGB. Raises ValueError."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not a readable image")
    return np.ascontiguousarray(image[..., ::-1])
