"""data_prep/realmcvsr and the source of its windows: a tree written by hand, reduced, checked, built, read lazily."""

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import data_prep
from data_prep.realmcvsr.layout import SPLITS
from data_prep.realmcvsr.layout import _layout as reduced
from data_prep.realmcvsr.reduction import reduce_tree
from restore_jax.data.loader import evaluation_batches, training_batches
from restore_jax.data.sources import open_source
from restore_jax.errors import InputError
from restore_jax.ops.imresize import imresize
from tests.image_samples import decode_png, saved

SIZE = (64, 96)  # height and width of HR frames here
CLIPS = {"train": {"0002": 4, "0010": 3}, "valid": {"0001": 2}, "test": {"0003": 5}}


def frame(name):
    """A picture that only this name has."""
    small = np.random.default_rng(list(name.encode())).integers(0, 256, (8, 12, 3), np.uint8)
    return cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def sized():
    """The layouts, for frames of the size and number here."""
    layouts = data_prep.layouts("realmcvsr")
    kept = dict(layouts)
    for (config, layout), reduction in zip(kept.items(), (1, 2, 4), strict=True):
        size = (SIZE[1] // reduction, SIZE[0] // reduction)
        splits = {split: sum(clips.values()) for split, clips in CLIPS.items()}
        layouts[config] = dataclasses.replace(layout, size=size, splits=splits)
    yield layouts
    layouts.update(kept)


def write_tree(root):
    for split, clips in CLIPS.items():
        for camera in ("UW", "W", "T"):
            for clip, count in clips.items():
                for number in range(count):
                    path = root / split / "HR" / camera / clip / f"{number:04}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(saved(frame(f"{split}/{camera}/{clip}/{number:04}"), "png"))
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory, sized):
    root = write_tree(tmp_path_factory.mktemp("tree") / "RealMCVSR")
    assert reduce_tree(root, 4) == 42
    return root


@pytest.fixture(scope="module")
def built(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for config in ("hr", "lrx4"):
        # Part of the published dataset, whose numbers are others.
        data_prep.build(f"realmcvsr/{config}", tree.parent, folder, partial=True)
    return str(folder)


def settings(built, **changes):
    data = {"source": "realmcvsr", "name": "realmcvsr_partial", "directory": built, "split": "train", "reduction": 4}
    data |= {"num_frames": 3, "size": 4, "shift": 1, "turn": False, "batch_size": 2, "workers": 0, "cache_mb": 0}
    return SimpleNamespace(**{"views": ("lrs", "refs", "hr")} | data | changes)


def test_published_numbers():
    """As the dissertation states them (5.4)."""
    assert [reduced(name, by).size for name, by in (("HR", 1), ("LRx4", 4))] == [(1920, 1080), (480, 270)]
    assert sum(SPLITS.values()) == 23_107
    assert set(SPLITS) == {"train", "valid", "test"}


def test_reduced_frames_are_imresized_and_only_written_once(tree):
    path = tree / "train" / "LRx4" / "W" / "0010" / "0002.png"
    np.testing.assert_array_equal(decode_png(path.read_bytes()), imresize(frame("train/W/0010/0002"), 0.25))
    assert reduce_tree(tree.parent, 4) == 0
    path.unlink()
    assert reduce_tree(tree, 4) == 1


def test_trees_that_cannot_be_reduced(tree, tmp_path):
    for folder, reduction, reason in (
        (tree, 3, "must be 2 or 4"),
        (tmp_path, 2, "holds no frames"),
        (tmp_path / "x", 2, "no such"),
    ):
        with pytest.raises(InputError, match=reason):
            reduce_tree(folder, reduction)


def test_the_check_names_what_is_wrong(tmp_path, sized):
    root = write_tree(tmp_path / "RealMCVSR")
    assert data_prep.check("realmcvsr", root) == []
    (root / "train" / "HR" / "T" / "0002" / "0001.png").unlink()
    assert data_prep.check("realmcvsr", tmp_path) == [
        f"{root}/train/HR/T/0002/0001.png: missing, the tele image of scene 0002/0001"
    ]
    (root / "train" / "HR" / "W" / "0002" / "0001.png").write_bytes(saved(frame("x")[:32], "png"))
    (root / "test" / "HR" / "UW" / "0003" / "notes.txt").write_text("")
    assert len(data_prep.check("realmcvsr", root)) == 2
    assert any("notes.txt: unexpected file" in line for line in data_prep.check("realmcvsr", root))
    assert any("train/LRx4/UW: missing folder" in line for line in data_prep.check("realmcvsr/lrx4", root))


def test_windows_hold_the_frames_around_each_and_repeat_the_ends(built):
    source = open_source(settings(built, views=("lrs", "refs", "teles", "hr", "refs_hr")))
    assert len(source) == 7
    order = [("0002", n) for n in range(4)] + [("0010", n) for n in range(3)]
    for index, (clip, number) in enumerate(order):
        example, last = source[index], CLIPS["train"][clip] - 1
        numbers = [max(0, number - 1), number, min(last, number + 1)]
        for view, camera in (("lrs", "UW"), ("refs", "W"), ("teles", "T")):
            expected = [imresize(frame(f"train/{camera}/{clip}/{n:04}"), 0.25) for n in numbers]
            np.testing.assert_array_equal(example[view], expected)
        np.testing.assert_array_equal(example["refs_hr"], [frame(f"train/W/{clip}/{n:04}") for n in numbers])
        np.testing.assert_array_equal(example["hr"], frame(f"train/UW/{clip}/{number:04}"))


def test_a_window_decodes_only_what_it_holds(built, monkeypatch):
    decoded, decode = [], cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *args: decoded.append(1) or decode(*args))
    open_source(settings(built))[1]
    assert len(decoded) == 7  # three frames of two cameras, the truth of one


def test_at_its_original_size_the_frames_are_their_own_input(built):
    source = open_source(settings(built, reduction=1, views=("lrs", "refs", "teles"), split="test"))
    np.testing.assert_array_equal(source[2]["teles"], [frame(f"test/T/0003/{n:04}") for n in (1, 2, 3)])


def test_the_loader_cuts_windows_alike(built):
    data = settings(built)
    rows = training_batches(open_source(data), data, 0, 0)
    batch = next(rows)
    rows.close()
    assert {view: array.shape for view, array in batch.items()} == {
        "lrs": (2, 3, 4, 4, 3), "refs": (2, 3, 8, 8, 3), "hr": (2, 16, 16, 3)
    }  # fmt: skip
    data = settings(built, split="test", size=0)
    whole = list(evaluation_batches(open_source(data), data))
    assert whole[0]["refs"].shape == (2, 3, 16, 24, 3)
    np.testing.assert_array_equal(whole[2]["hr"][0], frame("test/UW/0003/0004"))
    assert whole[2]["mask"].tolist() == [True, False]


def test_what_is_not_built_or_not_there(built):
    for changes, reason in (
        ({"reduction": 2}, "lrx2_partial: not built yet"),
        ({"reduction": 3}, "data.reduction is 3: RealMCVSR has 1, 2 and 4"),
        ({"split": "val"}, "has no split 'val', but"),
        ({"name": "realmcvsr"}, "realmcvsr/lrx4: not built yet"),
        ({"views": ("lrs", "sharp")}, "data.views names sharp"),
    ):
        with pytest.raises(InputError, match=reason) as caught:
            open_source(settings(built, **changes))
        assert "\n" not in str(caught.value)
