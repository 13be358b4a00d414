"""restore.py: sizes, tiles that leave no seam, layouts and dtypes, and the refusals of rj.deblur."""

import itertools
import types
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from restore_jax import restore as rs
from restore_jax.cache import enable_compilation_cache
from restore_jax.deblurring import deblur
from restore_jax.errors import InputError
from restore_jax.models.interface import Interface

SIDES = st.integers(rs.MIN_SIDE, 12000)


class Strided(nn.Module):
    """A stand-in with the real network's shift grid: down by 8, three convolutions, up by 8; sees 31 pixels far."""

    input: str = "single"

    @property
    def interface(self):
        return Interface("Strided", (), views=("left", "right") if self.input == "dual" else ())

    @nn.compact
    def __call__(self, blurred, left=None, right=None):
        if self.input == "dual":
            blurred = blurred + left - right
        b, h, w, _ = blurred.shape
        x = nn.Conv(8, (8, 8), (8, 8), padding="VALID")(blurred - 0.5)
        for _ in range(3):
            x = nn.tanh(nn.Conv(8, (3, 3))(x))
        x = nn.Conv(192, (1, 1))(x).reshape(b, h // 8, w // 8, 8, 8, 3).transpose(0, 1, 3, 2, 4, 5)
        return {"image": blurred + x.reshape(b, h, w, 3)}


class Inverse(nn.Module):
    """Gives 1 - image: what comes out says exactly which input pixel it came from."""

    interface = Interface("Inverse", ())

    def __call__(self, blurred):
        return {"image": 1 - blurred}


def loaded(model, seed=0):
    blank = jnp.zeros((1, 64, 64, 3))
    views = {"left": blank, "right": blank} if rs.needs_views(model) else {}
    shapes = jax.eval_shape(model.init, jax.random.key(0), blank, **views)
    rng = np.random.default_rng(seed)  # NumPy's, as compiling flax's initialisers takes seconds

    def draw(leaf):
        fan_in = int(np.prod(leaf.shape[:-1]))
        return jnp.asarray(rng.normal(size=leaf.shape) / np.sqrt(fan_in), jnp.float32)

    return types.SimpleNamespace(model=model, params=jax.tree.map(draw, shapes), name="fake", card={})


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


@pytest.fixture(scope="module")
def strided():
    return loaded(Strided())


@pytest.fixture
def inverse():
    return loaded(Inverse())


def photo(height, width, dtype=np.float32, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    pixels = ndimage.gaussian_filter(rng.random((height, width, channels)), (1, 1, 0))
    pixels = (pixels - pixels.min()) / np.ptp(pixels)
    return np.rint(pixels * np.iinfo(dtype).max).astype(dtype) if np.dtype(dtype).kind == "u" else pixels.astype(dtype)


# ---------------------------------------------------------------------------------------------------- sizes and tiles
@given(SIDES)
def test_a_bucket_holds_its_size_and_wastes_little(size):
    side = rs.bucket(size)
    assert side >= size
    assert side % 64 == 0
    assert side - size < 64
    assert side <= max(64, 1.25 * size) or size < 256
    assert rs.bucket(side) == side


@given(SIDES, SIDES, st.sampled_from(["auto", None, 256, 300, 640, 2000]))
@settings(max_examples=300)
def test_a_plan_covers_the_image_within_its_bounds(height, width, tile):
    plan = rs.plan(height, width, tile)
    limit = {"auto": rs.TILE, None: 20000}.get(tile, tile)
    assert plan.height * plan.width <= limit**2
    for length, side, tops in ((height, plan.height, plan.tops), (width, plan.width, plan.lefts)):
        assert side % 8 == 0
        assert all(top % 8 == 0 for top in tops)
        assert tops[0] == 0
        assert tops[-1] < length <= tops[-1] + side
        shared = [top + side - following for top, following in itertools.pairwise(tops)]
        assert all(overlap >= rs.OVERLAP for overlap in shared)


@given(SIDES, SIDES)
@settings(max_examples=200)
def test_automatic_tiles_compute_little_twice(height, width):
    plan = rs.plan(height, width)
    computed = len(plan.tops) * len(plan.lefts) * plan.height * plan.width
    assert computed <= 1.6 * rs.bucket(height) * rs.bucket(width)


def test_common_photographs_take_few_programs():
    assert rs.plan(960, 1280) == (960, 1280, [0], [0])
    assert rs.plan(720, 1280) == (768, 1280, [0], [0])
    large = [(3024, 4032), (4000, 6000), (4016, 6016), (3456, 5184), (6000, 4000), (5504, 8256)]
    assert len({rs.plan(*size)[:2] for size in large}) <= 3
    assert {side for size in large for side in rs.plan(*size)[:2]} <= {960, 1024, 1088, 1152}


@given(SIDES, st.sampled_from(["auto", 256, 300, 640]))
@settings(max_examples=300)
def test_blending_weights_sum_to_one_and_drop_the_edges(length, tile):
    plan = rs.plan(length, 5000, tile)
    total = np.zeros(plan.tops[-1] + plan.height)
    weights = rs.axis_weights(plan.tops, plan.height)
    margin = (rs.OVERLAP - rs.FADE) // 2
    for index, (top, weight) in enumerate(zip(plan.tops, weights, strict=True)):
        total[top : top + plan.height] += weight
        assert weight.min() >= 0
        assert index == 0 or not weight[:margin].any()
        assert index == len(weights) - 1 or not weight[-margin:].any()
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("tile", [255, 0, -5, 2.5, "large", True])
def test_unusable_tiles_are_refused(tile):
    with pytest.raises(InputError, match="tile: "):
        rs.plan(4000, 4000, tile)


# --------------------------------------------------------------------------------------------------------- restoration
@pytest.mark.parametrize(("height", "width"), [(331, 420), (257, 130), (130, 517)])
def test_tiled_equals_untiled(strided, height, width):
    """Exact where the network's reach lies within the margin; at the image's border both mirror alike."""
    image = photo(height, width)
    whole = rs.restore(strided.model, strided.params, image, tile=None)
    assert np.ptp(whole - image) > 0.05, "the fake network must change the image for this test to mean anything"
    tiled = rs.restore(strided.model, strided.params, image, tile=192, overlap=96, fade=32)
    assert len(rs.plan(height, width, 192, 96).lefts) * len(rs.plan(height, width, 192, 96).tops) > 1
    inner = np.s_[: height // 8 * 8 - 40, : width // 8 * 8 - 40]
    np.testing.assert_allclose(tiled[inner], whole[inner], atol=2e-6)


def test_too_little_overlap_would_show(strided):
    image = photo(320, 320)
    whole = rs.restore(strided.model, strided.params, image, tile=None)
    tiled = rs.restore(strided.model, strided.params, image, tile=128, overlap=8, fade=0)
    assert np.abs(tiled - whole)[:280, :280].max() > 1 / 255


@given(st.integers(16, 90), st.integers(16, 90), st.sampled_from([None, "auto", 40, 64]))
@settings(max_examples=15, deadline=None)
def test_every_pixel_comes_from_its_own_place(height, width, tile):
    image = photo(height, width)
    model = Inverse()
    if isinstance(tile, int):
        result = rs.restore(model, {}, image, tile=tile, overlap=16, fade=8)
    else:
        result = deblur(image, weights=types.SimpleNamespace(model=model, params={}, name="fake", card={}), tile=tile)
    assert result.shape == image.shape
    np.testing.assert_allclose(result, 1 - image, atol=3e-7)


@pytest.mark.parametrize("shape", [(16, 16, 3), (17, 200, 3), (70, 33), (40, 64, 1), (63, 65, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_layout_and_dtype_come_back(inverse, shape, dtype):
    channels = shape[2] if len(shape) == 3 else 1
    image = photo(*shape[:2], dtype, channels).reshape(shape)
    before = image.copy()
    result = deblur(image, weights=inverse)
    assert result.dtype == dtype
    assert result.shape == shape
    np.testing.assert_array_equal(image, before)
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    if channels == 4:
        np.testing.assert_array_equal(result[..., 3], image[..., 3])
        image, result = image[..., :3], result[..., :3]
    if np.dtype(dtype).kind == "u":
        np.testing.assert_array_equal(result, top - image)
    else:
        np.testing.assert_allclose(result, 1 - image, atol=3e-7)


def test_jax_arrays_are_taken_and_results_are_clipped():
    class Overshoot(nn.Module):
        interface = Interface("Overshoot", ())

        def __call__(self, blurred):
            return {"image": 3 * blurred - 1}

    image = photo(32, 48)
    result = deblur(
        jnp.asarray(image), weights=types.SimpleNamespace(model=Overshoot(), params={}, name="fake", card={})
    )
    assert isinstance(result, np.ndarray)
    np.testing.assert_allclose(result, np.clip(3 * image - 1, 0, 1), atol=1e-6)
    assert (result.min(), result.max()) == (0, 1)


def test_dual_pixel_views_reach_the_model():
    dual = loaded(Strided("dual"))
    image, left, right = (photo(40, 56, np.uint8, seed=seed) for seed in range(3))
    result = deblur(image, weights=dual, left=left, right=right)
    padded = [np.pad(view / 255.0, ((0, 24), (0, 8), (0, 0)), "reflect")[None] for view in (image, left, right)]
    blurred, *views = (jnp.asarray(view, jnp.float32) for view in padded)
    expected = dual.model.apply(dual.params, blurred, left=views[0], right=views[1])["image"][0, :40, :56]
    np.testing.assert_allclose(result, np.clip(np.asarray(expected), 0, 1) * 255, atol=0.51)
    swapped = deblur(image, weights=dual, left=right, right=left)
    assert (result != swapped).any()


def test_progress_tells_compiling_from_running(strided):
    jax.clear_caches()
    rs._programs.clear()
    events = []
    image = photo(300, 200)
    for _ in range(2):
        rs.restore(
            strided.model, strided.params, image, tile=192, overlap=64, progress=lambda *event: events.append(event)
        )
    count = len(rs.plan(300, 200, 192, 64).tops) * len(rs.plan(300, 200, 192, 64).lefts)
    side = rs.plan(300, 200, 192, 64)
    running = [("tile", done, count) for done in range(count + 1)]
    assert events == [(f"compiling {side.width}x{side.height}", 0, count), *running, *running]


def test_bfloat16_is_computed_and_near(strided):
    image = photo(64, 64)
    assert np.abs(deblur(image, weights=strided, dtype="bfloat16") - deblur(image, weights=strided)).max() < 0.05


def test_parameters_are_arguments_not_constants(strided):
    """Other parameters of the same model need no other program, and count."""
    other = loaded(Strided(), seed=1)
    image = photo(64, 64)
    first = deblur(image, weights=strided)
    compiled = len(rs._programs)
    assert np.abs(deblur(image, weights=other) - first).max() > 1 / 255
    assert len(rs._programs) == compiled


# ------------------------------------------------------------------------------------------------------------ refusals
def nan_image():
    image = photo(32, 32)
    image[3, 4, 1] = np.nan
    return image


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (nan_image(), {}, "image: .*(NaN|finite)"),
        (photo(32, 32) * 255, {}, "image: .*from 0 to 255"),
        (photo(15, 32), {}, "32x15 pixels is too small"),
        (np.zeros((0, 0, 3), np.uint8), {}, "0x0 pixels is too small"),
        (np.zeros((32, 32, 2), np.uint8), {}, r"image: shape \(32, 32, 2\)"),
        (np.zeros((2, 32, 32, 3), np.uint8), {}, r"image: shape \(2, 32, 32, 3\)"),
        (np.zeros((32, 32, 3), np.int64), {}, "image: dtype int64"),
        ("photo.png", {}, "image: dtype <U9"),
        (photo(32, 32), {"dtype": "float16"}, "dtype: 'float16'"),
        (photo(32, 32), {"tile": 10}, "tile: 10"),
        (photo(32, 32), {"left": photo(32, 32)}, "weights fake: they take one image"),
    ],
)
def test_bad_arrays_are_refused_in_one_line(inverse, image, options, message):
    with pytest.raises(InputError, match=message) as raised:
        deblur(image, weights=inverse, **options)
    assert "\n" not in str(raised.value)


def test_dual_pixel_weights_need_both_views_of_one_size():
    dual = loaded(Strided("dual"))
    with pytest.raises(InputError, match="weights fake: they need left and right"):
        deblur(photo(32, 32), weights=dual)
    with pytest.raises(InputError, match="weights fake: they need left and right"):
        deblur(photo(32, 32), weights=dual, left=photo(32, 32))
    with pytest.raises(InputError, match="right: 32x40 pixels, but the image is 32x32"):
        deblur(photo(32, 32), weights=dual, left=photo(32, 32), right=photo(40, 32))


def test_a_network_that_fails_is_not_passed_on(strided):
    with pytest.raises(FloatingPointError, match="not finite"):
        rs.restore(strided.model, jax.tree.map(lambda leaf: leaf * jnp.nan, strided.params), photo(64, 64))


# --------------------------------------------------------------------------------------------------- compilation cache
@pytest.fixture
def no_cache_yet(monkeypatch):
    """The state of a fresh process, put back afterwards."""
    monkeypatch.delenv("RESTORE_JAX_CACHE", raising=False)
    before = {name: getattr(jax.config, name) for name in CACHE_SETTINGS}
    jax.config.update("jax_compilation_cache_dir", None)
    yield monkeypatch
    for name, value in before.items():
        jax.config.update(name, value)


CACHE_SETTINGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


def test_the_cache_folder_follows_the_environment(no_cache_yet, tmp_path):
    no_cache_yet.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = enable_compilation_cache()
    assert folder.parent == tmp_path / "xdg" / "restore_jax"
    assert folder.is_dir()
    assert jax.config.jax_compilation_cache_dir == str(folder)
    jax.config.update("jax_compilation_cache_dir", None)
    no_cache_yet.setenv("RESTORE_JAX_CACHE", str(tmp_path / "own"))
    assert enable_compilation_cache().parent == tmp_path / "own"


def test_a_folder_the_user_has_set_stays(no_cache_yet, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    no_cache_yet.setenv("RESTORE_JAX_CACHE", str(tmp_path / "other"))
    assert enable_compilation_cache() == tmp_path
    assert jax.config.jax_compilation_cache_dir == str(tmp_path)


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/cache", ""])
def test_an_unusable_cache_folder_breaks_nothing(no_cache_yet, inverse, place):
    no_cache_yet.setenv("RESTORE_JAX_CACHE", place)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert deblur(photo(32, 32), weights=inverse).shape == (32, 32, 3)
    assert jax.config.jax_compilation_cache_dir is None
