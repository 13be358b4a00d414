"""Defocus maps for a person: units, files, colours, the command and what it refuses."""

import cv2
import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter

import restore_jax as rj
from restore_jax import cli, defocus
from restore_jax.errors import InputError
from tests.random_weights import save_random


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file of DMENet's weights at a sixteenth of the width, drawn at random, its unit 7 px."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    return save_random(path, "dmenet", {"sigma_unit": 7.0}, width_divisor=16)


def test_the_unit_is_the_cards_or_the_published_networks():
    map_ = np.asarray([[0.0, 0.5, 1.0]], np.float32)
    np.testing.assert_allclose(defocus.sigma_of_map(map_, 7.0), [[0, 3.5, 7]])
    np.testing.assert_allclose(defocus.sigma_of_map(map_, None), [[0, 3.25, 7]])  # (15 map - 1) / 2


def test_it_is_the_networks_map_in_pixels(saved):
    image = np.random.default_rng(1).random((64, 64, 3), np.float32)
    restorer = rj.load(saved)
    expected = 7 * np.asarray(restorer.model.apply(restorer.params, image[None])["defocus"])[0, ..., 0]
    found = rj.estimate_defocus(image, weights=saved)
    assert found.shape == (64, 64)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=5e-3)  # the random network saturates, steeply between


@pytest.mark.parametrize("method", ["zhuo", "jnb", "ebdb"])
def test_classical_methods_see_a_blurred_half(method):
    image = skimage.data.coffee()[:256, :384].astype(np.float32) / 255
    blurred = np.stack([gaussian_filter(image[..., c], 2.5) for c in range(3)], -1)
    image[:, 192:] = blurred[:, 192:]
    sigma = rj.estimate_defocus(image, method=method)
    assert np.median(sigma[:, 220:]) > np.median(sigma[:, :160]) + 0.5


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_a_map_comes_back_from_its_file(tmp_path, suffix):
    sigma = np.random.default_rng(0).uniform(0, 12, (20, 30)).astype(np.float32)
    defocus.write_map(tmp_path / f"map{suffix}", sigma)
    found = defocus.read_map(tmp_path / f"map{suffix}")
    np.testing.assert_allclose(found, sigma, atol=0.5e-3 + 1e-6 if suffix == ".png" else 0)
    if suffix == ".png":
        stored = cv2.imread(str(tmp_path / "map.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, np.round(1000 * sigma))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("map.npy", b"no array", "not a NumPy file"),
        ("map.png", b"no picture", "a text file"),
        ("nothing.npy", None, "no such file"),
    ],
)
def test_a_bad_map_is_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        defocus.read_map(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_writes_the_map_and_a_picture(tmp_path, saved, capsys):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), skimage.data.coffee()[:80, :120, ::-1])
    assert cli.main(["defocus", str(photo), "--weights", str(saved)]) == 0
    sigma = defocus.read_map(tmp_path / "photo_defocus.png")
    assert sigma.shape == (80, 120)
    picture = cv2.imread(str(tmp_path / "photo_defocus_colours.png"))
    assert picture.shape[1] == 120
    assert picture.shape[0] > 80  # the legend
    assert "photo_defocus.png  sigma " in capsys.readouterr().out
    assert cli.main(["defocus", str(photo), "-o", str(tmp_path / "m.npy"), "--method", "jnb", "--quiet"]) == 0
    assert np.load(tmp_path / "m.npy").shape == (80, 120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.png"], "nothing.png"),
        (["photo.png", "--method", "guess"], "method: 'guess' is not one of dmenet, zhuo, jnb, ebdb"),
        (["photo.png", "-o", "map.jpg"], "map.jpg: a map is written as .png or .npy"),
        (["photo.png", "-o", "photo.png"], "is the input and would be overwritten"),
        (["photo.png", "--weights", "nowhere"], "nowhere: no such weights"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", np.zeros((32, 32, 3), np.uint8))
    assert cli.main(["defocus", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


# ---------------------------------------------------------------------------------------------------- what a map is for
@pytest.fixture
def half_blurred(tmp_path):
    """A photograph whose right half is blurred by a Gaussian of 2 px; its map; the photograph before."""
    sharp = skimage.data.coffee()[100:228, 100:260]
    sigma = np.zeros((128, 160), np.float32)
    sigma[:, 80:] = 2.0
    blurred = np.stack([gaussian_filter(sharp[..., c].astype(np.float32), 2.0) for c in range(3)], -1)
    photo = np.where(sigma[..., None] > 0, blurred, sharp).round().astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo[..., ::-1])
    defocus.write_map(tmp_path / "map.npy", sigma)
    return tmp_path, photo, sigma, sharp


def squared(a, b):
    return np.mean((a.astype(np.float64) - b) ** 2)


def test_deblurring_by_a_map_undoes_the_blur_it_says(half_blurred):
    folder, photo, _, sharp = half_blurred
    command = ["deblur", str(folder / "photo.png"), "--method", "deconv", "--map", str(folder / "map.npy"), "--quiet"]
    assert cli.main(command) == 0
    result = cv2.imread(str(folder / "photo_deblurred.png"))[..., ::-1]
    inside = np.s_[8:-8, 96:-8]
    assert squared(result[inside], sharp[inside]) < 0.7 * squared(photo[inside], sharp[inside])
    clear = np.s_[8:-8, 8:60]
    assert squared(result[clear], sharp[clear]) < 4


def test_magnified_blur_is_as_much_larger_as_asked(half_blurred):
    _, photo, sigma, _ = half_blurred
    result = defocus.magnify(photo / np.float32(255), sigma, 3.0)
    # What was blurred by 2 px now is by sqrt(8) (2 - SHARP) more; what was sharp is as it was.
    more = np.sqrt(8) * (2 - defocus.SHARP)
    expected = np.stack([gaussian_filter(photo[..., c] / 255, more) for c in range(3)], -1)
    inside = np.s_[30:-30, 110:-20]
    assert np.abs(result[inside] - expected[inside]).mean() < 0.01
    np.testing.assert_allclose(result[:, :60], photo[:, :60] / 255, atol=0.01)
    np.testing.assert_allclose(defocus.magnify(photo / np.float32(255), sigma, 1.0), photo / 255, atol=1e-3)


def test_magnify_and_depth_write_their_files(half_blurred):
    folder, _, _, _ = half_blurred
    photo, of_map = str(folder / "photo.png"), ["--map", str(folder / "map.npy"), "--quiet"]
    assert cli.main(["magnify", photo, "--scale", "2", *of_map]) == 0
    assert cv2.imread(str(folder / "photo_magnified.png")).shape == (128, 160, 3)
    for focus, left in (("near", 0), ("far", 65535)):
        assert cli.main(["depth", photo, "--focus", focus, *of_map]) == 0
        depth = cv2.imread(str(folder / "photo_depth.png"), cv2.IMREAD_UNCHANGED)
        assert depth.dtype == np.uint16
        assert (depth[:, :80] == left).all()
        assert (depth[:, 80:] == 65535 - left).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["magnify", "photo.png", "--scale", "0.5", "--map", "map.npy"], "--scale 0.5: blur is magnified by 1 or more"),
        (["depth", "photo.png", "--focus", "middle", "--map", "map.npy"], "--focus 'middle' is near or far"),
        (["magnify", "photo.png", "--map", "small.npy"], "small.npy: is 4x4, but photo.png is 160x128"),
        (["deblur", "photo.png", "--map", "map.npy"], "map.npy: --map belongs to one photo and --method deconv"),
        (["deblur", "photo.png", "--method", "deconv", "--map", "map.npy", "--data-weight", "0"], "must be above 0"),
    ],
)
def test_what_maps_cannot_do_is_one_line(half_blurred, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(half_blurred[0])
    defocus.write_map("small.npy", np.zeros((4, 4), np.float32))
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
