"""RTF's tree out of photographs and maps, checked and built; the picture of curves."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import data_prep
from data_prep.rtf import prepare
from restore_jax.errors import InputError
from restore_jax.plots.charts import COLOURS, MARGIN, draw_precision_recall

SHAPE, CUT = (20, 28), (20, 24)
SAVE = {
    ".mat": lambda path, radius: savemat(path, {"name": "scene", "radii": radius.astype(np.float64)}),
    ".npy": lambda path, radius: np.save(path, radius.astype(np.float32)),
    ".png": lambda path, radius: cv2.imwrite(str(path), np.round(1000 * radius).astype(np.uint16)),
}


def radii(seed):
    return np.random.default_rng(seed).integers(0, 6001, CUT) / 1000


@pytest.fixture
def release(tmp_path):
    """Photographs a, b as PNG and BMP-like TIFF; an empty folder for maps."""
    for folder in ("images", "maps"):
        (tmp_path / folder).mkdir()
    for i, name in enumerate(("a.png", "b.tif")):
        pixels = np.random.default_rng([i, 5]).integers(0, 256, (*SHAPE, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    return tmp_path


@pytest.mark.parametrize("suffix", [".mat", ".npy", ".png"])
def test_radii_become_sigma_and_the_cut_side_is_not_known(release, suffix, monkeypatch, capsys):
    for i, stem in enumerate("ab"):
        SAVE[suffix](release / "maps" / f"{stem}{suffix}", radii(i))
    places = [str(release / name) for name in ("images", "maps", "RTF")]
    monkeypatch.setattr(sys, "argv", ["prepare", *places, "--unit", "radius"])
    assert prepare.main() == 0
    assert capsys.readouterr().out == f"a.png  a{suffix}\nb.tif  b{suffix}\n"
    assert (release / "RTF/image/a.png").read_bytes() == (release / "images/a.png").read_bytes()
    written = np.asarray(Image.open(release / "RTF/image/b.png"))
    np.testing.assert_array_equal(written, np.asarray(Image.open(release / "images/b.tif")))
    for i, stem in enumerate("ab"):
        codes = cv2.imread(str(release / "RTF/map" / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
        assert codes.dtype == np.uint16
        assert (codes[:, 24:] == 65535).all()
        np.testing.assert_allclose(codes[:, :24], 1000 * radii(i) / 1.832128, atol=0.51)


def test_the_tree_is_checked_and_built(release, monkeypatch):
    import tensorflow_datasets as tfds

    for i in range(2):
        np.save(release / "maps" / f"{i}.npy", radii(i).astype(np.float32))  # other names: in order
    pairs = prepare.prepare(release / "images", release / "maps", release / "RTF", "sigma")
    assert [(photo.name, map_.name) for photo, map_ in pairs] == [("a.png", "0.npy"), ("b.tif", "1.npy")]
    assert f"{release / 'RTF/image'}: 2 test scenes, expected 22" in data_prep.check("rtf", release / "RTF")
    layouts = data_prep.layouts("rtf")
    assert layouts["sigma"].size == (360, 360)
    monkeypatch.setitem(layouts, "sigma", dataclasses.replace(layouts["sigma"], size=SHAPE[::-1], splits={"test": 2}))
    assert data_prep.check("rtf", release / "RTF") == []
    path = data_prep.build("rtf", release / "RTF", release / "data")
    examples = list(tfds.builder_from_directory(path).as_data_source("test"))
    assert [example["scene"] for example in examples] == [b"a", b"b"]
    for i, example in enumerate(examples):
        assert example["map"].dtype == np.uint16
        np.testing.assert_allclose(example["map"][:, :24, 0], 1000 * radii(i), atol=0.51)
        assert (example["map"][:, 24:] == 65535).all()
        pixels = np.random.default_rng([i, 5]).integers(0, 256, (*SHAPE, 3), np.uint8)
        np.testing.assert_array_equal(example["image"], pixels)


def test_what_does_not_fit_is_refused(release, monkeypatch, capsys):
    def refused(message, unit="radius"):
        with pytest.raises(InputError, match=message) as caught:
            prepare.prepare(release / "images", release / "maps", release / "RTF", unit)
        assert "\n" not in str(caught.value)

    refused("metres: is not one of radius, sigma", "metres")
    refused("maps: 0 maps .* for 2 photographs")
    np.save(release / "maps/a.npy", radii(0).astype(np.float32))
    np.save(release / "maps/c.npy", radii(1).astype(np.float32))
    refused(r"b\.tif: has no map of its name in .*maps, while others have")
    (release / "maps/c.npy").rename(release / "maps/b.npy")
    np.save(release / "maps/a.npy", radii(0)[:-1].astype(np.float32))
    refused(r"a\.npy: is 24x19, its photograph 28x20")
    np.save(release / "maps/a.npy", -radii(0).astype(np.float32))
    refused(r"a\.npy: sigma from -3.2\d* to")
    (release / "maps/a.npy").unlink()
    savemat(release / "maps/a.mat", {"x": radii(0), "y": radii(1)})
    refused(r"a\.mat: holds 2 matrices \(x, y\), not one map")
    (release / "maps/a.mat").write_bytes(b"MATLAB")
    refused(r"a\.mat: not a readable \.mat file")
    places = [str(release / name) for name in ("images", "nowhere", "RTF")]
    monkeypatch.setattr(sys, "argv", ["prepare", *places, "--unit", "radius"])
    assert prepare.main() == 2
    assert capsys.readouterr().err == f"{release / 'nowhere'}: no such folder\n"


def test_curves_are_where_their_numbers_are():
    recall, side = np.linspace(0, 1, 50), 640
    drawn = draw_precision_recall({"flat": (np.full(50, 0.95), recall), "falling": (1 - 0.4 * recall, recall)})
    assert drawn.shape == (side + 2 * MARGIN, side + 2 * MARGIN, 3)
    colours = [tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in COLOURS[:2]]
    lowest = 0.6  # of the axis: a tenth at or below the least precision
    for colour, precision in zip(colours, (0.95, 1 - 0.4 * 0.7), strict=True):
        column = drawn[:, MARGIN + round(0.7 * side)].astype(int)
        rows = np.flatnonzero(abs(column - colour).sum(-1) < 60)
        assert rows.mean() == pytest.approx(MARGIN + side * (1 - precision) / (1 - lowest), abs=2)
