"""data_prep/alignment*.py on photographs SciPy warped, defocused and exposed in known ways, and what is refused."""

import itertools

import imageio.v3 as iio
import numpy as np
import pytest
import skimage.data
import tifffile
from scipy import ndimage
from scipy.signal import fftconvolve

from data_prep import alignment, alignment_pairs
from data_prep.alignment import align
from restore_jax.errors import InputError
from restore_jax.io.photos import read_photo
from tests.reference_render import disc_psf

GAINS = np.array([1.25, 0.9, 1.1])
MARGIN = 30  # both cameras see what lies beyond the other's edge


def decoded(x):
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0) + 0.055) / 1.055) ** 2.4)


def encoded(x):
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)


def homography(shape, turn=1.3, scale=1.02, shift=(6.3, -4.6), tilt=(6e-5, -4e-5)):
    """About the centre of (h, w): turned by degrees, scaled, shifted by (x, y), tilted."""
    angle, centre = np.deg2rad(turn), np.array([[1, 0, (shape[1] - 1) / 2], [0, 1, (shape[0] - 1) / 2], [0, 0, 1]])
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    h = centre @ np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [*tilt, 1]]) @ np.linalg.inv(centre)
    return h / h[2, 2]


def through(h, x, y):
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in h)
    return u / w, v / w


def corner_error(h, truth, shape):
    """Greatest distance at the corners of the moving photograph."""
    x, y = np.array(list(itertools.product((0, shape[1] - 1), (0, shape[0] - 1))), np.float64).T
    return np.hypot(*np.subtract(through(h, x, y), through(truth, x, y))).max()


def defocused(light, diameter):
    psf = disc_psf(diameter)
    n = len(psf) // 2
    padded = np.pad(light, ((n, n), (n, n), (0, 0)), mode="reflect")
    return np.stack([fftconvolve(padded[..., c], psf, "valid") for c in range(3)], -1)


def sampled(image, x, y):
    return np.stack([ndimage.map_coordinates(image[..., c], [y, x], order=5, mode="mirror") for c in range(3)], -1)


def shots(name, diameters, gains=GAINS, noise=0.01, bend=None):
    """A sharp and a defocused shot, floats in [0, 1], and the homography from the first to the second.

    diameters: of the discs in columns of equal width from left to right. bend: more displacement, of (x, y).
    """
    scene = decoded(getattr(skimage.data, name)() / 255) * 0.7
    inner = (slice(MARGIN, -MARGIN),) * 2
    shape = scene[inner].shape[:2]
    h = homography(shape)
    y, x = np.mgrid[: scene.shape[0], : scene.shape[1]] - float(MARGIN)
    there = (x, y) if bend is None else np.add((x, y), bend(x, y))
    there = np.add(through(np.linalg.inv(h), *there), MARGIN)
    light = sampled(scene, *there)
    columns = np.linspace(0, len(diameters), light.shape[1], endpoint=False).astype(int)[None, :, None]
    light = np.select([columns == n for n in range(len(diameters))], [defocused(light, d) for d in diameters])
    rng = np.random.default_rng(5)
    sharp, blurred = (encoded(part[inner]) for part in (scene, light * gains))
    return *(np.clip(part + noise * rng.normal(size=part.shape), 0, 1) for part in (sharp, blurred)), h


def as_uint(image, dtype):
    return np.rint(image * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize(
    ("name", "diameters", "dtypes"),
    [
        ("chelsea", (8,), (np.float32, np.float32)),
        ("coffee", (5,), (np.uint16, np.uint8)),
        ("astronaut", (1, 7, 14), (np.uint8, np.uint16)),
    ],
)
def test_homography_and_gains_of_a_defocused_pair(name, diameters, dtypes):
    sharp, blurred, truth = shots(name, diameters)
    moving, fixed = (
        image.astype(dtype) if dtype is np.float32 else as_uint(image, dtype)
        for image, dtype in zip((sharp, blurred), dtypes, strict=True)
    )
    found = align(moving, fixed)
    assert corner_error(found.homography, truth, moving.shape) < 0.2
    np.testing.assert_allclose(found.gains, GAINS, rtol=0.005)
    assert found.image.dtype == moving.dtype
    assert found.image.shape == fixed.shape

    y, x = np.mgrid[: fixed.shape[0], : fixed.shape[1]].astype(np.float64)
    there = np.stack(through(np.linalg.inv(truth), x, y))
    assert found.error_before == pytest.approx(np.median(np.hypot(*(there - (x, y)))), rel=0.05)
    assert found.error_after < 0.2
    last = np.array(moving.shape[1::-1])[:, None, None] - 1
    seen = ((there >= 0) & (there <= last)).all(0)
    assert (found.valid != seen).mean() < 1e-3
    assert found.valid[found.crop].all()
    assert found.valid[found.crop].size > 0.95 * seen.sum()

    # The sharp photograph on the other grid with the other exposure, as SciPy's quintic splines have it.
    wanted = encoded(np.clip(decoded(sampled(sharp, *there)) * GAINS, 0, 1))
    got = found.image / (1 if found.image.dtype == np.float32 else np.iinfo(found.image.dtype).max)
    assert np.sqrt(np.mean((got - wanted)[found.crop] ** 2)) < 0.006  # the noise that both contain is 0.01


def test_sixteen_bits_stay_sixteen():
    """On a smooth photograph, where interpolations agree to less than eight bits can hold."""
    sharp, blurred, _ = shots("chelsea", (8,), noise=0)
    smooth = encoded(defocused(decoded(sharp), 7))
    found = align(as_uint(smooth, np.uint16), as_uint(blurred, np.uint16))
    assert found.image.dtype == np.uint16
    y, x = np.mgrid[: sharp.shape[0], : sharp.shape[1]].astype(np.float64)
    there = through(np.linalg.inv(found.homography), x, y)
    wanted = encoded(decoded(sampled(smooth, *there)) * found.gains)
    difference = np.abs(found.image / 65535 - wanted)[found.crop]
    assert np.percentile(difference, 90) < 1 / 2000  # rounded to eight bits, 9 in 10 are off by up to 1 / 570


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_gain_can_be_left_alone_and_measured_in_stored_values(dtype):
    sharp, blurred, _ = (x if n == 2 else decoded(x) for n, x in enumerate(shots("chelsea", (4,), noise=0)))
    moving, fixed = ((as_uint(x, np.uint8) if dtype is np.uint8 else x.astype(dtype)) for x in (sharp, blurred))
    linear = align(moving, fixed, encoding="linear")
    np.testing.assert_allclose(linear.gains, GAINS, rtol=0.01)
    alone = align(moving, fixed, encoding="linear", gain=False)
    np.testing.assert_array_equal(alone.gains, 1)
    means = [found.image[found.crop].mean((0, 1), dtype=np.float64) for found in (linear, alone)]
    np.testing.assert_allclose(means[0] / means[1], linear.gains, rtol=0.01)


@pytest.mark.parametrize("work_side", [1600, 400])
def test_another_resolution_and_crop(work_side, monkeypatch):
    """The blurred photograph has half the pixels and is a part; the sharp one is filtered before it is reduced.

    With the smaller copies only the sharp one is reduced to be measured.
    """
    monkeypatch.setattr(alignment, "WORK_SIDE", work_side)
    scene = decoded(skimage.data.astronaut() / 255) * 0.7
    truth = np.array([[0.5, 0.01, -40.25], [-0.01, 0.5, -30.75], [0, 0, 1]])
    y, x = np.mgrid[:180, :170].astype(np.float64)
    there = through(np.linalg.inv(truth), x, y)
    blurred = encoded(np.maximum(sampled(defocused(scene, 9), *there), 0))
    found = align(encoded(scene), blurred)
    corners = np.array([(0, 0), (169, 0), (169, 179), (0, 179)], np.float64).T
    at, wanted = through(np.linalg.inv(found.homography), *corners), through(np.linalg.inv(truth), *corners)
    assert np.hypot(*np.subtract(at, wanted)).max() < 0.3  # pixels of the sharp one
    assert found.valid.all()
    assert found.crop == (slice(0, 180), slice(0, 170))
    filtered = np.stack([ndimage.gaussian_filter(scene[..., c], 0.87) for c in range(3)], -1)
    errors = [np.mean((decoded(found.image) - sampled(x, *there)) ** 2) ** 0.5 for x in (filtered, scene)]
    assert errors[0] < 0.5 * errors[1]


def test_flow_follows_a_smooth_displacement():
    def bend(x, y):
        return 1.5 * np.sin(y / 48 + 0.5) * np.cos(x / 62), 1.5 * np.cos(x / 48 + 1) * np.sin(y / 57)

    sharp, blurred, truth = shots("astronaut", (1, 5), bend=bend)
    plain, followed = align(sharp, blurred), align(sharp, blurred, flow=True)
    y, x = np.mgrid[: sharp.shape[0], : sharp.shape[1]].astype(np.float64)
    wanted = sampled(decoded(sharp), *through(np.linalg.inv(truth), *np.add((x, y), bend(x, y)))) * GAINS
    both = (slice(20, -20),) * 2
    errors = [np.mean((decoded(found.image) - wanted)[both] ** 2) ** 0.5 for found in (plain, followed)]
    assert errors[1] < 0.4 * errors[0]
    assert followed.error_after < 0.15 < 0.7 < plain.error_after


def test_a_thing_that_is_only_in_one_does_not_mislead():
    sharp, blurred, truth = shots("astronaut", (6,))
    blurred[150:270, 200:320] = skimage.data.coffee()[100:220, 100:220] / 255
    found = align(sharp, blurred)
    assert corner_error(found.homography, truth, sharp.shape) < 0.2
    np.testing.assert_allclose(found.gains, GAINS, rtol=0.01)


def test_clipped_highlights_do_not_lower_the_gains():
    gains = 2.4 * GAINS
    sharp, blurred, truth = shots("astronaut", (6,), gains=gains)
    assert (blurred.max(2) == 1).mean() > 0.2
    found = align(sharp, blurred)
    np.testing.assert_allclose(found.gains, gains, rtol=0.01)
    assert corner_error(found.homography, truth, sharp.shape) < 0.4


CHELSEA = skimage.data.chelsea()


@pytest.mark.parametrize(
    ("moving", "message"),
    [
        (skimage.data.coffee(), "A and B: do not show the same scene ("),
        (np.full_like(CHELSEA, 128), "A and B: do not show the same scene (0 features"),
        (np.random.default_rng(0).integers(0, 256, CHELSEA.shape, np.uint8), "A and B: do not show the same scene"),
        (CHELSEA[:, ::-1], "A and B: one is a mirror image of the other: flip it first"),
        (CHELSEA.repeat(5, 0).repeat(5, 1), "A and B: differ 5.0 times in scale, the most is 4"),
        (CHELSEA[:63], "A: is 451 x 63 px: too small to align, 64 px a side are the least"),
        (np.broadcast_to(np.uint8(9), (64, 32_001, 3)), "A: is 32001 x 64 px: no side may be over 32000 px"),
        (CHELSEA[:90, :130], "A and B: overlap in less than 10% of the picture"),
    ],
    ids=["other scene", "flat", "noise", "mirrored", "scale", "small", "large", "overlap"],
)
def test_refused_pairs_are_one_line(moving, message):
    with pytest.raises(InputError) as error:
        align(moving, CHELSEA, names=("A", "B"))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([-1.0, 1, 1]), "mirror image"),
        (np.diag([1.0, 1e-8, 1]), "no plausible homography"),
        (np.array([[1, 0, 0], [0, 1, 0], [0.02, 0, 1.0]]), "no plausible homography"),
        (np.diag([0.2, 0.2, 1]), "differ 5.0 times in scale"),
    ],
)
def test_impossible_homographies(matrix, message):
    with pytest.raises(InputError, match=message):
        alignment._check_homography(matrix, (80, 100), "A and B")


def test_crop_is_the_largest_rectangle():
    """Against every rectangle of small convex pictures."""
    y, x = np.mgrid[:14, :17]
    for seed in range(6):
        a, b, c, d = np.random.default_rng(seed).uniform(-0.4, 0.4, 4)
        valid = (x > 2 + a * y) & (x < 15 + b * y) & (y > 1 + c * x) & (y < 13 + d * x)
        rows, columns = (itertools.combinations(range(side + 1), 2) for side in valid.shape)
        areas = [
            (bottom - top) * (right - left)
            for (top, bottom), (left, right) in itertools.product(rows, columns)
            if valid[top:bottom, left:right].all()
        ]
        crop = alignment._largest_rectangle(valid)
        assert valid[crop].all()
        assert valid[crop].size == max(areas)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A sharp 16-bit TIFF and a blurred 8-bit PNG of another name."""
    folder = tmp_path_factory.mktemp("shots")
    sharp, blurred, _ = shots("chelsea", (5,))
    tifffile.imwrite(folder / "f16.tif", as_uint(sharp, np.uint16), photometric="rgb")
    iio.imwrite(folder / "IMG 2.png", as_uint(blurred, np.uint8))
    return folder / "f16.tif", folder / "IMG 2.png"


def test_files(pair, tmp_path):
    found = alignment_pairs.align_files(*pair, tmp_path / "new")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")) == [
        "new/blurred/IMG 2.png",
        "new/sharp/IMG 2.png",
    ]
    sharp, blurred = (read_photo(tmp_path / "new" / name / "IMG 2.png") for name in ("sharp", "blurred"))
    assert (sharp.bits, blurred.bits) == (16, 8)
    np.testing.assert_array_equal(np.rint(blurred.pixels * 255), iio.imread(pair[1])[found.crop])
    assert sharp.pixels.shape == blurred.pixels.shape
    np.testing.assert_allclose(sharp.pixels, found.image[found.crop], atol=0.51 / 65535)
    # Both blurred beyond their defocus, they are one picture.
    soft = [ndimage.gaussian_filter(decoded(photo.pixels), (6, 6, 0)) for photo in (sharp, blurred)]
    assert np.abs(soft[0] - soft[1])[20:-20, 20:-20].max() < 0.01
    line = alignment_pairs.summary(found)
    assert line.startswith(f"{sharp.pixels.shape[1]} x {sharp.pixels.shape[0]} px in common; ")
    assert "\n" not in line


def test_refused_files_are_named_and_nothing_is_written(pair, tmp_path):
    other = tmp_path / "other.png"
    iio.imwrite(other, skimage.data.coffee())
    out = tmp_path / "out"
    for sharp, blurred, message in [
        (other, pair[1], f"{other} and {pair[1]}: do not show the same scene"),
        (tmp_path / "none.png", pair[1], f"{tmp_path / 'none.png'}: no such file"),
    ]:
        with pytest.raises(InputError) as error:
            alignment_pairs.align_files(sharp, blurred, out)
        assert str(error.value).startswith(message)
    assert not out.exists()


def test_what_is_read_is_never_replaced(tmp_path, pair):
    blurred = tmp_path / "blurred" / "1.png"
    blurred.parent.mkdir()
    blurred.write_bytes(pair[1].read_bytes())
    with pytest.raises(InputError, match="is one of the photographs to align: choose another output folder"):
        alignment_pairs.align_files(pair[0], blurred, tmp_path)
    assert blurred.read_bytes() == pair[1].read_bytes()
