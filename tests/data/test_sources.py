"""data/sources, data/dead_leaves: pictures as their files hold them, one line for each thing that is wrong."""

import pickle
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import data_prep
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.data.sources import Cached, is_pairs, open_source
from restore_jax.errors import InputError
from tests.image_samples import make_png, saved

SIZE = (24, 32)


def settings(source, *folders, **changes):
    views = ("blurred", "sharp")
    cut = {"size": 16, "margin": 0}
    return SimpleNamespace(**{"source": source, "folders": folders, "views": views, "cache_mb": 0} | cut | changes)


def noise(name, size=SIZE, dtype=np.uint8):
    """A picture that only this name has."""
    rng = np.random.default_rng(list(str(name).encode()))
    return rng.integers(0, np.iinfo(dtype).max, (*size, 3), dtype, endpoint=True)


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_png(picture) if picture.dtype == np.uint16 else saved(picture, "png"))


def write_pairs(root, stems, views=("blurred", "sharp"), dtype=np.uint8):
    for view in views:
        for stem in stems:
            write(root / view / f"{stem}.png", noise(view + stem, dtype=dtype))


def refused(data, *parts, index=None):
    """The one line that opening `data`, or reading one of its examples, is refused with."""
    with pytest.raises(InputError) as caught:
        open_source(data) if index is None else open_source(data)[index]
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert str(part) in line


# --------------------------------------------------------------------------------------------------------------- photos
def test_photos_of_all_folders_come_as_they_are_in_order_of_name(tmp_path):
    for name in ("a/2.png", "a/1.png", "b/0.png"):
        write(tmp_path / name, noise(name))
    source = open_source(settings("photos", tmp_path / "a", tmp_path / "b"))
    assert len(source) == 3
    for index, name in enumerate(("a/1.png", "a/2.png", "b/0.png")):
        assert source[index].keys() == {"sharp"}
        np.testing.assert_array_equal(source[index]["sharp"], noise(name))


def test_photos_are_halved_until_they_fit_and_have_8_bits(tmp_path):
    """Halving blocks of 2x2 pixels gives their means."""
    blocks = noise("blocks", (30, 700)) // 2 + 64
    ripple = np.tile(np.array([[20, -20], [-4, 4]]), (30, 700))[..., None]
    write(tmp_path / "1.png", (blocks.repeat(2, 0).repeat(2, 1) + ripple).astype(np.uint8))  # 1400 wide
    write(tmp_path / "2.png", blocks.repeat(4, 0).repeat(4, 1))  # 2800
    write(tmp_path / "3.png", noise("fits", (20, 1024)))
    write(tmp_path / "4.png", noise("fits", (20, 1024)).astype(np.uint16) * 257)
    source = open_source(settings("photos", tmp_path))
    for index in (0, 1):
        np.testing.assert_array_equal(source[index]["sharp"], blocks)
    for index in (2, 3):
        assert source[index]["sharp"].dtype == np.uint8
        np.testing.assert_array_equal(source[index]["sharp"], noise("fits", (20, 1024)))


# ---------------------------------------------------------------------------------------------------------------- pairs
@pytest.mark.parametrize(("blurred", "sharp"), [("blurred", "sharp"), ("source", "target"), ("input", "gt")])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pairs_go_by_name_bit_for_bit(tmp_path, blurred, sharp, dtype):
    for folder in ("one", "two"):
        for stem in ("b", "a"):
            for view in (blurred, sharp):
                write(tmp_path / folder / view / f"{stem}.png", noise(folder + stem + view, dtype=dtype))
        assert is_pairs(tmp_path / folder)
    write(tmp_path / "two" / sharp / "unpaired.png", noise("unpaired", dtype=dtype))
    source = open_source(settings("pairs", tmp_path / "one", tmp_path / "two"))
    names = ("onea", "oneb", "twoa", "twob")
    assert len(source) == len(names)
    for index, name in enumerate(names):
        example = source[index]
        assert example.keys() == {"blurred", "sharp"}
        for view, folder in (("blurred", blurred), ("sharp", sharp)):
            assert example[view].dtype == dtype
            np.testing.assert_array_equal(example[view], noise(name + folder, dtype=dtype))


def test_views_of_a_dual_pixel_camera_come_if_asked_for_whatever_the_endings(tmp_path):
    views = ("blurred", "sharp", "left", "right")
    write_pairs(tmp_path, ("x",), views)
    (tmp_path / "right" / "x.png").rename(tmp_path / "right" / "x.PNG")
    assert open_source(settings("pairs", tmp_path))[0].keys() == {"blurred", "sharp"}
    example = open_source(settings("pairs", tmp_path, views=views))[0]
    assert tuple(example) == views
    for view in views:
        np.testing.assert_array_equal(example[view], noise(view + "x"))


def test_a_view_may_have_another_depth_than_the_other_but_its_pictures_not(tmp_path):
    """Batches of both would read the 8-bit pictures as nearly black."""
    write_pairs(tmp_path, "ab", ["blurred"])
    write_pairs(tmp_path, "ab", ["sharp"], np.uint16)
    data = settings("pairs", tmp_path)
    assert [view.dtype for view in open_source(data)[1].values()] == [np.uint8, np.uint16]
    write(tmp_path / "sharp" / "b.png", noise("b"))
    refused(data, tmp_path / "sharp" / "b.png", "is uint8", tmp_path / "sharp" / "a.png", "uint16")


def test_a_picture_without_its_partner(tmp_path):
    write_pairs(tmp_path, "ab")
    (tmp_path / "sharp" / "b.png").unlink()
    refused(settings("pairs", tmp_path), tmp_path / "blurred" / "b.png", "no sharp picture", tmp_path)


def test_two_pictures_of_a_name(tmp_path):
    write_pairs(tmp_path, "ab")
    (tmp_path / "sharp" / "a.jpg").write_bytes(saved(noise("a"), "jpeg"))
    refused(settings("pairs", tmp_path), tmp_path / "sharp" / "a.png", "a.jpg has the same name")


def test_views_that_differ_in_size(tmp_path):
    write_pairs(tmp_path, "ab")
    write(tmp_path / "sharp" / "b.png", noise("b", (24, 33)))
    refused(settings("pairs", tmp_path), tmp_path / "blurred" / "b.png", "blurred 32x24, sharp 33x24")


@pytest.mark.parametrize("source", ["photos", "pairs"])
def test_a_picture_too_small_to_cut_from_is_named(tmp_path, source):
    write_pairs(tmp_path, "a")
    folder = tmp_path / "blurred" if source == "photos" else tmp_path
    data = settings(source, folder, size=20, margin=2)
    assert open_source(data)[0]["sharp"].shape == (*SIZE, 3)
    data.size = 25 if source == "pairs" else 21  # only what is still to be defocused needs the margin
    refused(data, tmp_path / "blurred" / "a.png", "32x24 is smaller than what is cut from it, 25")


def test_folders_that_are_not_there_or_hold_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    write_pairs(tmp_path / "pairs", "a")
    refused(settings("photos", tmp_path / "nowhere"), tmp_path / "nowhere", "no such file or folder")
    refused(settings("photos", tmp_path / "empty"), tmp_path / "empty", "no photographs")
    refused(settings("pairs", tmp_path / "empty"), tmp_path / "empty", "no folder blurred or source or input")
    refused(settings("pairs", tmp_path / "pairs", views=("blurred", "sharp", "left")), "pairs: has no folder left for")
    refused(settings("photos"), "data.source='photos' needs data.folders")
    refused(settings("pairs"), "data.source='pairs' needs data.folders")
    refused(settings("video", tmp_path), "data.source is 'video', must be one of photos, pairs, tfds, dead_leaves")
    assert not is_pairs(tmp_path / "empty")


def test_a_damaged_picture(tmp_path):
    write_pairs(tmp_path, "ab")
    (tmp_path / "sharp" / "b.png").write_bytes(saved(noise("b"), "png")[:60])
    refused(settings("pairs", tmp_path), f"{tmp_path / 'sharp' / 'b.png'}: ")
    (tmp_path / "blurred" / "a.png").write_bytes(b"")
    refused(settings("pairs", tmp_path), f"{tmp_path / 'blurred' / 'a.png'}: ")


# ----------------------------------------------------------------------------------------------------------------- tfds
@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """RealDOF with three scenes, built."""
    root = tmp_path_factory.mktemp("realdof")
    write_pairs(root / "tree", ("00", "01", "02"), ("source", "target"))
    data_prep.build("realdof", root / "tree", root / "data", partial=True)
    return str(root / "data")


def dataset(built, **changes):
    return settings("tfds", **{"name": "realdof/png8_partial", "split": "test", "directory": built} | changes)


def test_a_built_dataset_comes_back_by_view(built, monkeypatch):
    decoded = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *args: decoded.append(1) or decode(*args))
    source = pickle.loads(pickle.dumps(open_source(dataset(built))))  # as a worker process gets it
    assert len(source) == 3
    for index, stem in enumerate(("00", "01", "02")):
        example = source[index]
        assert example.keys() == {"blurred", "sharp"}
        np.testing.assert_array_equal(example["blurred"], noise("source" + stem))
        np.testing.assert_array_equal(example["sharp"], noise("target" + stem))
    assert len(decoded) == 6
    example = open_source(dataset(built, views=("sharp",)))[2]
    assert example.keys() == {"sharp"}
    np.testing.assert_array_equal(example["sharp"], noise("target02"))
    assert len(decoded) == 7  # what is not asked for is not decoded


def test_what_a_dataset_does_not_have(built, tmp_path):
    refused(dataset(built, split="train"), "realdof/png8_partial: has no split 'train', but test")
    refused(dataset(built, views=("blurred", "sharp", "left")), "realdof/png8_partial: has no left pictures")
    refused(dataset(built, size=25), "realdof/png8_partial, example 1: a picture of 32x24 is smaller", index=1)
    refused(dataset(built, name="realdof"), f"{built}/realdof/png8: not built yet", "restore-jax data build realdof")
    missing = dataset(str(tmp_path), name="dpdd")
    refused(missing, f"{tmp_path}/dpdd/png16: not built yet", "restore-jax data build dpdd ")
    refused(dataset(built, name="imagenet"), "imagenet: no such dataset; there are dpdd, realdof")


def test_datasets_are_where_data_build_puts_them(built, tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_DATA", built)
    assert len(open_source(dataset(""))) == 3
    monkeypatch.setenv("RESTORE_JAX_DATA", str(tmp_path))
    refused(dataset(""), f"{tmp_path}/realdof/png8_partial: not built yet")


# ---------------------------------------------------------------------------------------------------------------- cache
class Counting:
    """Examples of `side` x `side`, and how often each was read."""

    def __init__(self, side):
        self.side, self.read = side, [0] * 5

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.read[index] += 1
        return {"blurred": np.full((self.side, self.side, 3), index, np.uint8), "sharp": noise(index)}


def test_the_cache_keeps_equal_arrays_up_to_its_limit():
    counting = Counting(16)
    size = 16 * 16 * 3 + SIZE[0] * SIZE[1] * 3
    cached = Cached(counting, 2 * size + size // 2)
    assert len(cached) == 5
    for _ in range(3):
        for index in (4, 1, 0, 2):
            np.testing.assert_array_equal(cached[index]["sharp"], noise(index))
            np.testing.assert_array_equal(cached[index]["blurred"], np.full((16, 16, 3), index, np.uint8))
    assert counting.read == [6, 1, 6, 0, 1]  # the first two fit, the others are read each time


def test_a_copied_cache_starts_empty_and_keeps_its_limit():
    cached = Cached(Counting(16), 10**6)
    for index in range(5):
        cached[index]
    copy = pickle.loads(pickle.dumps(cached))
    copy._source.read = [0] * 5
    for _ in range(2):
        np.testing.assert_array_equal(copy[3]["sharp"], noise(3))
    assert copy._source.read == [0, 0, 0, 1, 0]


def test_config_says_what_is_kept(tmp_path):
    write_pairs(tmp_path, "a")
    data = settings("pairs", tmp_path, cache_mb=1)
    kept, anew = open_source(data), open_source(settings("pairs", tmp_path))
    assert kept[0]["sharp"] is kept[0]["sharp"]
    assert anew[0]["sharp"] is not anew[0]["sharp"]


# ---------------------------------------------------------------------------------------------------------- dead leaves
def test_dead_leaves_are_the_same_for_the_same_generator():
    picture = dead_leaves(np.random.default_rng(3), (40, 72))
    assert (picture.shape, picture.dtype) == ((40, 72, 3), np.uint8)
    np.testing.assert_array_equal(picture, dead_leaves(np.random.default_rng(3), (40, 72)))
    assert (picture != dead_leaves(np.random.default_rng(4), (40, 72))).any()
    wide = dead_leaves(np.random.default_rng(3), (40, 200))
    assert (wide[:, 100:] < 25).all(-1).mean() < 0.2  # discs lie everywhere
    source = open_source(settings("dead_leaves"))
    pictures = [source[index]["sharp"] for index in range(len(source))]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures) > 16
    np.testing.assert_array_equal(source[5]["sharp"], pictures[5])


def test_radii_of_dead_leaves_fall_with_the_third_power(monkeypatch):
    """The share above r of a density r^-3 between a and b is (r^-2 - b^-2) / (a^-2 - b^-2)."""
    drawn, circle = [], cv2.circle
    monkeypatch.setattr(cv2, "circle", lambda *args: drawn.append(args[2]) or circle(*args))
    for seed in range(10):
        dead_leaves(np.random.default_rng(seed), (160, 200))
    assert len(drawn) == 10 * 1280
    for radius in (2.5, 3.5, 5.5, 10.5, 20.5, 40.5):  # drawn ones are rounded
        expected = (radius**-2 - 80**-2) / (2**-2 - 80**-2)
        deviation = np.sqrt(expected * (1 - expected) / len(drawn))
        assert np.mean(np.array(drawn) > radius) == pytest.approx(expected, abs=3.3 * deviation)


def test_dead_leaves_have_the_statistics_of_photographs():
    """Neighbours differ little, a few of them much, and power falls about as f^-2."""
    pictures = np.stack([dead_leaves(np.random.default_rng(seed), (160, 160)) for seed in range(24)]).astype(float)
    assert (pictures < 25).all(-1).mean() < 0.05  # nearly everywhere lies a disc
    steps = np.diff(pictures, axis=2)
    assert np.mean(steps**4) / np.mean(steps**2) ** 2 > 6  # the kurtosis of a Gaussian is 3
    window = np.outer(np.hanning(160), np.hanning(160))[..., None]
    power = np.mean(
        np.abs(np.fft.fft2((pictures - pictures.mean((1, 2), keepdims=True)) * window, axes=(1, 2))) ** 2, (0, 3)
    )
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(160), np.fft.fftfreq(160)))
    band = (frequency > 0.02) & (frequency < 0.25)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert -2.8 < slope < -1.8
