"""Folders of frames as videos: the pictures that they hold, in order, and files that are left out."""

import itertools
import re
from fractions import Fraction
from pathlib import Path

import numpy as np

from restore_jax import io
from restore_jax.errors import InputError
from restore_jax.io import finding
from restore_jax.video.clips import Clip


def probe(path: Path, fps: Fraction) -> Clip:
    """Open the pictures of a folder in natural order, at `fps` frames a second. InputError if there are none."""
    found, others = finding.parted(path.iterdir())
    if not found:
        raise InputError(f"{path}: holds no frames ({', '.join(io.SUFFIXES)})")
    files = tuple(sorted(found, key=_natural))
    first = io.read_photo(files[0])
    height, width = first.pixels.shape[:2]
    notes = []
    if others:
        notes.append(finding.counted(others))
    if gaps := missing_numbers([p.stem for p in files]):
        notes.append(f"its numbering has gaps: {', '.join(gaps)} missing; frames follow each other without them")
    times = np.arange(len(files)) / float(fps)
    return Clip(
        path,
        width,
        height,
        Fraction(fps),
        times,
        bits=16 if first.bits > 8 or any(map(io.is_deep, files)) else 8,
        alpha=first.alpha is not None,
        files=files,
        notes=tuple(notes),
    )


def _natural(path: Path) -> list:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def missing_numbers(stems: list[str]) -> list[str]:
    """Return ranges of numbers that are missing between names in order, which otherwise step regularly."""
    parsed = [re.fullmatch(r"(.*?)(\d+)(\D*)", stem, re.DOTALL) for stem in stems]
    steps = {}
    for before, after in itertools.pairwise(parsed):
        if before and after and before[1] == after[1] and before[3] == after[3]:
            steps[int(before[2])] = int(after[2]) - int(before[2])
    usual = min(steps.values(), default=0)
    gaps = []
    for number, step in steps.items():
        if step > usual > 0:
            first, last = number + usual, number + step - usual
            gaps.append(str(first) if first >= last else f"{first} to {last}")
    return gaps
