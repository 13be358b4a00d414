"""Descriptions, as data, of the folders and files that a dataset is published in."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class View:
    """One image of each scene.

    folder: its place below the root; "{split}" stands for the split's name.
    suffixes: what may follow the scene's name in the file's name; the first is the published one.
    bits, channels: the depths of a sample, and the numbers of samples a pixel, that the header may state.
    own_names: the files have names of the scenes' form, but each another one; they pair with the scenes in order.
    """

    name: str
    folder: str
    suffixes: tuple[str, ...] = ("",)
    endings: tuple[str, ...] = (".png",)
    bits: tuple[int, ...] = (8,)
    channels: int = 3
    own_names: bool = False


@dataclass(frozen=True)
class Layout:
    """A published tree.

    splits: {split: number of scenes}, None for a number that is not known.
    views: the scene's images; the first view's files name the scenes.
    scene: regular expression of a scene's name.
    size: (width, height) of every image, or None if sizes differ between scenes.
    numbers: {split: the numbers at the end of its scenes' names}, where the splits share their folders.
    clips: the views' folders hold folders of frames; a scene is then "clip/frame".
    unused: glob patterns, from the root, of published files that are not used.
    rotation: degrees counter-clockwise by which the network needs the views turned, or None.
    survey: for a tree that is more than folders of files, the function that `trees.survey` calls with its root.
    """

    description: str
    splits: Mapping[str, int | None]
    views: tuple[View, ...]
    scene: str
    size: tuple[int, int] | None = None
    numbers: Mapping[str, range] | None = None
    clips: bool = False
    unused: tuple[str, ...] = ()
    rotation: int | None = None
    survey: Callable | None = None

    def scene_of(self, view: View, filename: str) -> str | None:
        """Return the scene that a file of this name shows in `view`, None if the name is not one of that view."""
        path = PurePath(filename)
        if path.suffix.lower() not in view.endings:
            return None
        for suffix in view.suffixes:
            stem = path.with_suffix("").as_posix()
            if stem.endswith(suffix) and re.fullmatch(self.scene, stem.removesuffix(suffix)):
                return stem.removesuffix(suffix)
        return None

    def in_split(self, scene: str, split: str) -> bool:
        """Say whether a scene that lies in the split's folder belongs to the split."""
        return self.numbers is None or number(scene) in self.numbers[split]


def number(scene: str) -> int:
    """Return the number at the end of a scene's name."""
    return int(re.search(r"\d+$", scene)[0])
