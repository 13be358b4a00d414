"""What the raw tree of a dataset holds, as data."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class View:
    """One image of each scene.

    folder: below the root, "{split}" standing for the split's name.
    suffixes: what may follow the scene's name in the file's name; the first is what is published.
    bits, channels: a sample's depth and the number of samples a pixel that the header may state.
    own_names: the files bear a name of the scenes' form but another one each; they pair with the scenes in order.
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
    views: the first one names the scenes.
    scene: regular expression of a scene's name.
    size: (width, height) of every image, or None if only the views of one scene agree.
    numbers: {split: the numbers at the end of its scenes' names}, where the splits share their folders.
    clips: the views' folders hold folders of frames; a scene is then "clip/frame".
    unused: glob patterns, from the root, of what the release holds besides.
    rotation: degrees counter-clockwise that turn the views upright as the network needs them, or None.
    survey: of a tree that is more than folders of files: what `trees.survey` calls with its root.
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
        """The scene whose `view` a file of this name is, None if it is not a name of that view."""
        path = PurePath(filename)
        if path.suffix.lower() not in view.endings:
            return None
        for suffix in view.suffixes:
            stem = path.with_suffix("").as_posix()
            if stem.endswith(suffix) and re.fullmatch(self.scene, stem.removesuffix(suffix)):
                return stem.removesuffix(suffix)
        return None

    def in_split(self, scene: str, split: str) -> bool:
        """Whether a scene found in the split's folder is of the split."""
        return self.numbers is None or number(scene) in self.numbers[split]


def number(scene: str) -> int:
    """The number at the end of a scene's name."""
    return int(re.search(r"\d+$", scene)[0])
