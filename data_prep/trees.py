"""Checks a published tree against its layout: names, counts and image headers; no pixel is decoded."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from data_prep.headers import read_header
from data_prep.layout import Layout, View, number

# Files that file managers and archivers leave behind, which are never a problem.
LITTER = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir")
OUTSIDE = "a link out of the tree"
MAX_GAP = 3  # file numbers that may lie between a scene and its own-named view without a warning


@dataclass
class Survey:
    """The contents of a tree, {split: {scene: {view: file}}} with scenes sorted, and its problems, a line each."""

    scenes: dict[str, dict[str, dict[str, Path]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def survey(layout: Layout, folder: Path) -> Survey:
    """Everything in `folder`: the tree's root, whatever its name, or the folder that holds the root alone."""
    result = Survey()
    if not folder.is_dir():
        result.problems.append(f"{folder}: no such folder")
        return result
    if layout.survey is not None:
        return layout.survey(folder)
    try:
        root = find_root(layout, folder)
        found = list_files(layout, root, Path(os.path.realpath(folder)), result.problems)
    except OSError as error:
        result.problems.append(f"{error.filename or folder}: cannot be read: {error.strerror or error}")
        return result
    for split, count in layout.splits.items():
        folders = {view.name: view.folder.format(split=split) for view in layout.views}
        if count is None and len(layout.splits) > 1 and not any(found[place] for place in folders.values()):
            continue  # a part of the dataset without this split
        for place in dict.fromkeys(folders.values()):
            if found[place] is None:
                result.problems.append(f"{root / place}: missing folder")
        views = {
            view.name: by_scene(layout, view, split, root / place, found[place] or [], result.problems)
            for view, place in zip(layout.views, folders.values(), strict=True)
        }
        result.scenes[split] = pair(layout, split, root, views, result.problems)
        result.problems += miscounted(layout, split, root, views[layout.views[0].name])
    if layout.numbers is not None:
        for view in layout.views:
            result.problems += unnumbered(layout, view, root, found[view.folder] or [])
    for scenes in result.scenes.values():
        for files in scenes.values():
            result.problems += misfits(layout, files)
    if not (result.problems or any(result.scenes.values())):
        result.problems.append(f"{folder}: holds no scenes")
    return result


def find_root(layout: Layout, folder: Path) -> Path:
    """Return `folder`, or its only subfolder that holds the layout's folders if `folder` itself does not."""
    places = [view.folder.format(split=split) for split in layout.splits for view in layout.views]

    def holds(root: Path) -> bool:
        return any((root / place).is_dir() for place in places)

    inside = [] if holds(folder) else [path for path in sorted(folder.iterdir()) if path.is_dir() and holds(path)]
    return inside[0] if len(inside) == 1 else folder


def leaves(path: Path, base: Path) -> bool:
    """Say whether a path, with its links followed, lies outside of the real folder `base`."""
    return not Path(os.path.realpath(path)).is_relative_to(base)


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Say whether a path or name matches one of the glob patterns."""
    return any(fnmatch(path, pattern) for pattern in patterns)


def list_files(layout: Layout, root: Path, base: Path, problems: list[str]) -> dict[str, list[str] | None]:
    """Return {folder of the layout: sorted names of its files, None if there is no such folder}.

    Whatever else lies in the tree is added to `problems`. base: the real folder that no link may leave.
    """
    places = {view.folder.format(split=split) for split in layout.splits for view in layout.views}
    ways = {str(parent) for place in places for parent in Path(place).parents}  # "." is one
    found: dict[str, list[str] | None] = dict.fromkeys(places)

    def visit(at: str) -> None:
        if at in places:
            found[at] = []
        for entry in sorted(os.listdir(root / at)):
            below = os.path.normpath(os.path.join(at, entry))
            path = root / below
            if matches(entry, LITTER):
                continue
            if leaves(path, base):
                problems.append(f"{path}: {OUTSIDE}")
            elif below in places or below in ways:
                if path.is_dir():
                    visit(below)
                else:
                    problems.append(f"{path}: not a folder")
            elif matches(below, layout.unused):
                continue
            elif at in places and path.is_file():
                found[at].append(entry)
            elif layout.clips and at in places and path.is_dir():
                frames = [frame for frame in sorted(os.listdir(path)) if not matches(frame, LITTER)]
                problems.extend(f"{path / frame}: {OUTSIDE}" for frame in frames if leaves(path / frame, base))
                found[at] += [f"{entry}/{frame}" for frame in frames]
            elif path.is_symlink() and not path.exists():
                problems.append(f"{path}: a link to nothing")
            else:
                problems.append(f"{path}: unexpected {'folder' if path.is_dir() else 'file'}")

    if leaves(root, base):
        problems.append(f"{root}: {OUTSIDE}")
    else:
        visit(".")
    return found


def by_scene(
    layout: Layout, view: View, split: str, folder: Path, names: list[str], problems: list[str]
) -> dict[str, Path]:
    """Return {scene: file} of one view of one split, sorted by scene."""
    files: dict[str, Path] = {}
    for name in names:
        scene = layout.scene_of(view, name)
        if scene is None:
            if layout.numbers is None:  # else `unnumbered` reports it, once for all splits
                problems.append(f"{folder / name}: unexpected file: not a name of the {view.name} images")
        elif layout.in_split(scene, split):
            if scene in files:
                problems.append(f"{folder / name}: a second {view.name} image of {scene}, beside {files[scene].name}")
            files.setdefault(scene, folder / name)
    return dict(sorted(files.items()))


def unnumbered(layout: Layout, view: View, root: Path, names: list[str]) -> Iterator[str]:
    """Yield a problem for each file, of a folder that all splits share, that belongs to no split."""
    for name in names:
        scene = layout.scene_of(view, name)
        if scene is None or not any(layout.in_split(scene, split) for split in layout.splits):
            yield f"{root / view.folder / name}: unexpected file: not a name of the {view.name} images"


def pair(
    layout: Layout, split: str, root: Path, views: dict[str, dict[str, Path]], problems: list[str]
) -> dict[str, dict[str, Path]]:
    """Return {scene: {view: file}} of the scenes that have every view."""
    named = [view for view in layout.views if not view.own_names]
    scenes = sorted(set().union(*(views[view.name] for view in named)))
    whole = {}
    for scene in scenes:
        files = {view.name: views[view.name].get(scene) for view in named}
        for view in named:
            if files[view.name] is None:
                expected = root / view.folder.format(split=split) / f"{scene}{view.suffixes[0]}{view.endings[0]}"
                problems.append(f"{expected}: missing, the {view.name} image of scene {scene}")
        if all(files.values()):
            whole[scene] = files
    for view in layout.views:
        if view.own_names:
            partners = in_order(view, root / view.folder.format(split=split), scenes, views[view.name], problems)
            whole = {scene: files | {view.name: partners[scene]} for scene, files in whole.items() if scene in partners}
    return {scene: {view.name: files[view.name] for view in layout.views} for scene, files in whole.items()}


def in_order(
    view: View, folder: Path, scenes: list[str], others: dict[str, Path], problems: list[str]
) -> dict[str, Path]:
    """Return {scene: file} of a view whose files have names of their own; they pair with the scenes in order."""
    if not (scenes and others):  # a missing folder or a wrong count is reported elsewhere
        return {}
    if len(scenes) != len(others):
        for scene in scenes:
            if all(abs(number(scene) - number(other)) > MAX_GAP for other in others):
                problems.append(f"{folder}: no {view.name} image within {MAX_GAP} captures of scene {scene}")
        for other, file in others.items():
            if all(abs(number(scene) - number(other)) > MAX_GAP for scene in scenes):
                problems.append(f"{file}: no scene within {MAX_GAP} captures")
        problems.append(f"{folder}: {len(others)} {view.name} images for {len(scenes)} scenes")
        return {}
    partners = dict(zip(scenes, others.values(), strict=True))
    for scene, other in zip(scenes, others, strict=True):
        gap = abs(number(scene) - number(other))
        nearest = min(scenes, key=lambda candidate, other=other: abs(number(candidate) - number(other)))
        if gap > MAX_GAP and nearest != scene:
            problems.append(
                f"{others[other]}: {gap} captures from scene {scene}, to which the order gives it, and nearer to "
                f"{nearest}: an image is missing or misnamed"
            )
    return partners


def miscounted(layout: Layout, split: str, root: Path, files: dict[str, Path]) -> list[str]:
    """Return a line that says how many scenes a split lacks, or none."""
    expected = layout.splits[split]
    if expected is None or len(files) == expected:
        return []
    line = f"{root / layout.views[0].folder.format(split=split)}: {len(files)} {split} scenes, expected {expected}"
    if layout.numbers is not None:
        lacking = sorted(set(layout.numbers[split]) - {number(scene) for scene in files})
        line += f"; the first without an image is number {lacking[0]}"
    return [line]


def misfits(layout: Layout, files: dict[str, Path]) -> Iterator[str]:
    """Yield a problem for each header of a scene's images that does not fit the layout."""
    first, size = None, layout.size
    for view in layout.views:
        path = files[view.name]
        try:
            header = read_header(path)
        except ValueError as error:
            yield f"{path}: {error}"
            continue
        if size is None:
            first, size = path, header.size
        if header.size != size:
            wanted = f"expected {size[0]}x{size[1]}"
            reason = wanted if first is None else f"but {first} is {size[0]}x{size[1]}"
            yield f"{path}: {header.size[0]}x{header.size[1]}, {reason}"
        if header.bits not in view.bits:
            yield f"{path}: {header.bits} bits a sample, expected {' or '.join(map(str, view.bits))}"
        if header.channels != view.channels:
            yield f"{path}: {header.channels} channels, expected {view.channels}"
