"""data/triple_camera, data/clips, crops of clips: what three cameras see of known scenes, and how it registers."""

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.data.loader import evaluation_batches, training_batches
from restore_jax.data.sources import open_source
from restore_jax.data.transforms import central_clip, training_clip
from restore_jax.data.triple_camera import Options, training_window, triple_streams
from restore_jax.errors import InputError
from restore_jax.ops.imresize import imresize
from tests.image_samples import saved

IDEAL = Options(**{field.name: 0 for field in dataclasses.fields(Options)})
ZERO = dataclasses.asdict(IDEAL)


def scene(seed=0, size=(400, 480), sigma=1.0):
    """Discs, a little out of focus so that nothing is finer than any camera sees."""
    return cv2.GaussianBlur(dead_leaves(np.random.default_rng(seed), size, 6.0), (0, 0), sigma)


def settings(**changes):
    clip = {"num_frames": 3, "size": 24, "reduction": 4, "shift": 0, "turn": False, "camera": ZERO}
    return SimpleNamespace(**{"views": ("lrs", "refs", "hr")} | clip | changes)


def shift_between(a, b):
    """(x, y) by which picture b lies off a, by phase correlation of their middles."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (a, b)]
    return np.array(cv2.phaseCorrelate(*grey, cv2.createHanningWindow(grey[0].shape[::-1], cv2.CV_32F))[0])


def halves(picture):
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def psnr(a, b):
    return -10 * np.log10(np.mean((a.astype(float) - b) ** 2) / 255**2)


# -------------------------------------------------------------------------------------------------------- the geometry
def test_ideal_cameras_see_the_scene_its_middle_half_and_its_middle_fifth():
    """A scene twice as fine as the ultra-wide HR view: that is the means of 2x2, the wide HR view its middle as is."""
    picture = scene(size=(320, 480), sigma=0.0001)
    views = triple_streams(picture, np.random.default_rng(0), (40, 60), 2, IDEAL)
    means = picture.reshape(160, 2, 240, 2, 3).mean((1, 3))
    for t in range(2):
        assert np.abs(views["uw_hr"][t] - means).max() <= 0.5
        np.testing.assert_array_equal(views["wide_hr"][t], picture[80:240, 120:360])
        np.testing.assert_array_equal(views["uw_lr"][t], imresize(views["uw_hr"][t], 0.25))
        np.testing.assert_array_equal(views["wide_lr"][t], imresize(picture[80:240, 120:360], 0.25))
        # The telephoto's HR view is magnified 2.5x; a grid of every fifth of its pixels hits every second of the scene.
        fifth = cv2.resize(views["tele_hr"][t], (96, 64), interpolation=cv2.INTER_AREA)
        assert psnr(fifth, picture[128:192, 192:288]) > 30


def test_a_video_keeps_its_own_motion():
    picture = scene(size=(80, 200))
    frames = np.stack([picture[:, 10 * t : 10 * t + 120] for t in range(4)])
    ideal = dataclasses.replace(IDEAL)
    views = triple_streams(frames, np.random.default_rng(0), (10, 15), 3, ideal)
    assert views["uw_hr"].shape == (3, 40, 60, 3)
    for t in range(3):
        assert np.abs(views["uw_hr"][t] - frames[t].reshape(40, 2, 60, 2, 3).mean((1, 3))).max() <= 0.5


@pytest.mark.parametrize("seed", range(4))
def test_the_wide_view_reduced_lies_on_the_middle_of_the_ultra_wide_up_to_the_misalignment(seed):
    picture = scene(seed, (600, 800))
    for misalignment, least, most in ((1.0, 0.1, 1.7), (0.0, 0.0, 0.15)):
        options = Options(occluders=0, gain=0.0, noise=0.0, misalignment=misalignment)
        views = triple_streams(picture, np.random.default_rng(seed), (64, 96), 3, options)
        for t in range(3):
            middle = views["uw_lr"][t][16:48, 24:72]
            off = np.hypot(*shift_between(middle, halves(views["wide_lr"][t])))
            assert least <= off < most


def test_all_views_of_a_window_show_the_same():
    data = settings(
        views=("lrs", "refs", "teles", "hr", "refs_hr", "teles_hr"), camera={**ZERO, "pan": 2.0, "tilt": 9.0}
    )
    views = training_window(scene(1, (1000, 1200), 6.0), np.random.default_rng(0), data)
    shapes = {"lrs": (3, 24, 24, 3), "refs": (3, 48, 48, 3), "teles": (3, 96, 96, 3), "hr": (96, 96, 3)}
    shapes |= {"refs_hr": (3, 192, 192, 3), "teles_hr": (3, 384, 384, 3)}
    assert {view: array.shape for view, array in views.items()} == shapes
    np.testing.assert_array_equal(views["lrs"][1], imresize(views["hr"], 0.25))
    np.testing.assert_array_equal(views["refs"], imresize(views["refs_hr"], 0.25))
    for t in range(3):
        for view in ("refs", "teles"):
            reduced = cv2.resize(views[view][t], (24, 24), interpolation=cv2.INTER_AREA)
            assert psnr(reduced[2:-2, 2:-2], views["lrs"][t][2:-2, 2:-2]) > 33


def test_at_its_original_size_a_window_is_what_the_adaptation_stage_takes():
    data = settings(views=("lrs", "refs", "teles"), reduction=1)
    views = training_window(scene(1, (300, 300)), np.random.default_rng(0), data)
    assert [view.shape[1] for view in views.values()] == [24, 48, 96]
    assert psnr(halves(views["refs"][0]), views["lrs"][0]) > 30


def test_a_window_may_lie_anywhere_but_not_outside():
    """Scenes whose pixels are their coordinates: windows reach every side."""
    y, x = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    coordinates = np.stack([y, x, np.full_like(y, 9)], -1).astype(np.uint8)
    rng = np.random.default_rng(0)
    corners = []
    for _ in range(60):
        hr = training_window(coordinates, rng, settings(size=12, views=("hr",)))["hr"].astype(int)
        steps = np.diff(hr[..., 0], axis=0)
        assert 0.8 <= np.mean(steps) <= 4 * 1.2  # a pixel of the ultra-wide HR view is 1 to 4.6 of the scene
        assert (hr[..., 2] == 9).all()
        corners += [hr[0, 0, :2], hr[-1, -1, :2]]
    low, high = np.min(corners, 0), np.max(corners, 0)
    assert (low < 30).all()
    assert (high > 225).all()


def test_reference_crops_are_shifted_up_to_data_shift():
    rng, data = np.random.default_rng(0), settings(shift=8, num_frames=1, size=32)
    found = []
    for seed in range(20):
        views = training_window(scene(seed, (420, 420), 2.0), rng, data)
        found.append(2 * shift_between(views["lrs"][0], halves(views["refs"][0])))
    assert 5 < np.abs(found).max() < 8.8
    assert np.std(found) > 2


# --------------------------------------------------------------------------------------------------- what is drawn
def test_the_camera_pans_no_faster_than_told_and_smoothly():
    data = settings(camera={**ZERO, "pan": 3.0}, num_frames=5, size=32, views=("lrs",))
    speeds = []
    for seed in range(12):
        lrs = training_window(scene(seed, (500, 500), 4.0), np.random.default_rng(seed), data)["lrs"]
        steps = np.array([shift_between(lrs[t], lrs[t + 1]) for t in range(4)])
        speeds.append(np.hypot(*steps.T).max())
        assert np.hypot(*np.diff(steps, axis=0).T).max() < 0.8
    assert 1.0 < max(speeds) < 3.0 * 1.05 + 0.2


def test_cut_outs_move_on_their_own_and_all_cameras_see_them():
    still = {**ZERO, "occluders": 3, "occluder_speed": 4.0}
    moved = []
    for seed in range(8):
        views = training_window(
            scene(seed, (500, 500), 4.0), np.random.default_rng(seed), settings(camera=still, size=32)
        )
        moved.append(np.mean((np.abs(views["lrs"][0].astype(int) - views["lrs"][2]) > 8).any(-1)))
        for t in range(3):
            assert psnr(halves(views["refs"][t])[2:-2, 2:-2], views["lrs"][t][2:-2, 2:-2]) > 27
    assert min(moved) == 0  # three at most, sometimes none
    assert 0.05 < max(moved) < 0.7


def test_each_camera_has_an_exposure_and_noise_of_its_own():
    grey = np.full((600, 600, 3), 128, np.uint8)
    ratios = []
    for seed in range(12):
        options = dataclasses.replace(IDEAL, gain=0.1)
        views = triple_streams(grey, np.random.default_rng(seed), (16, 16), 1, options)
        means = np.array([views[f"{name}_hr"].mean((0, 1, 2)) for name in ("uw", "wide", "tele")]) / 128
        assert np.abs(means - 1).max() < 0.1 + 0.1 / 3 + 0.1**2 / 3 + 0.5 / 128
        ratios += [means[0] / means[1], means[1] / means[2]]
    assert np.std(np.mean(ratios, 1)) > 0.02
    noises = []
    for seed in range(12):
        options = dataclasses.replace(IDEAL, noise=0.04)
        views = triple_streams(grey, np.random.default_rng(seed), (32, 32), 2, options)
        assert (views["uw_hr"] == 128).all()  # the truth has none
        noise = views["wide_hr"].astype(float) - 128
        assert abs(noise.mean()) < 0.2
        assert np.mean(noise[0] * noise[1]) < 0.1 * noise.var() + 0.05  # new in every frame
        noises.append(noise.std() / 255)
        if noise.std() > 3:
            assert np.mean(noise**4) / noise.var() ** 2 == pytest.approx(3, abs=0.15)
    assert 0.02 < max(noises) < 0.041


def test_the_same_generator_gives_the_same_window():
    data = settings(camera={}, turn=True, shift=4)
    first, same, other = (training_window(scene(), np.random.default_rng(seed), data) for seed in (1, 1, 2))
    for view in data.views:
        np.testing.assert_array_equal(first[view], same[view])
        assert (first[view] != other[view]).any()


def test_all_frames_of_all_views_are_flipped_and_turned_alike():
    """A scene that gets redder down and greener to the right."""
    y, x = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    picture = np.stack([y, x, x], -1).astype(np.uint8)
    found = set()
    for seed in range(60):
        views = training_window(picture, np.random.default_rng(seed), settings(turn=True, size=12))
        steps = set()
        for view in (*views["lrs"], *views["refs"], views["hr"]):
            assert view.flags.c_contiguous
            down, right = view[-1].astype(int) - view[0], view[:, -1].astype(int) - view[:, 0]
            steps.add(tuple(int(v) for v in np.sign([d.mean(0)[c] // 3 for d in (down, right) for c in (0, 1)])))
        assert len(steps) == 1
        found |= steps
    assert len(found) == 8


# ------------------------------------------------------------------------------------------------------------ sources
@pytest.fixture
def folder(tmp_path):
    """A photograph of 200x220 pixels and a video of seven frames of 192x208."""
    av = pytest.importorskip("av")
    (tmp_path / "a.png").write_bytes(saved(scene(0, (200, 220)), "png"))
    (tmp_path / "notes.txt").write_text("not a picture")
    frames = [np.roll(scene(1, (192, 208)), t, 1) for t in range(7)]
    with av.open(str(tmp_path / "b.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 208, 192, "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return tmp_path


def camera_source(folder, **changes):
    data = {"source": "triple_camera", "folders": (folder,), "cache_mb": 0, "batch_size": 2, "workers": 0}
    return settings(**{**data, "size": 16, "camera": {}, **changes})


def test_photographs_and_every_few_frames_of_videos_are_scenes(folder):
    source = open_source(camera_source(folder))
    assert [source[i]["scene"].shape for i in range(len(source))] == [(200, 220, 3), (3, 192, 208, 3), (3, 192, 208, 3)]
    np.testing.assert_array_equal(source[0]["scene"], scene(0, (200, 220)))
    for t in range(3):
        assert psnr(source[2]["scene"][t], np.roll(scene(1, (192, 208)), 3 + t, 1)) > 33


def test_the_loader_trains_and_evaluates_on_windows(folder):
    data = camera_source(folder, turn=True, cache_mb=8)
    source = open_source(data)
    rows = training_batches(source, data, 0, 0)
    batches = [next(rows) for _ in range(3)]
    rows.close()
    for batch in batches:
        assert {view: array.shape for view, array in batch.items()} == {
            "lrs": (2, 3, 16, 16, 3), "refs": (2, 3, 32, 32, 3), "hr": (2, 64, 64, 3)
        }  # fmt: skip
    again = training_batches(open_source(data), data, 0, 1)
    np.testing.assert_array_equal(next(again)["refs"], batches[1]["refs"])
    again.close()
    data.turn = False
    first, second = (list(evaluation_batches(open_source(data), data)) for _ in range(2))
    assert [batch["mask"].tolist() for batch in first] == [[True, True], [True, False]]
    np.testing.assert_array_equal(first[0]["lrs"], second[0]["lrs"])


def test_bad_folders_views_and_files(folder, tmp_path):
    def refused(pattern, index=None, **changes):
        with pytest.raises(InputError, match=pattern) as caught:
            open_source(camera_source(folder, **changes))[index]
        assert "\n" not in str(caught.value)

    refused("nowhere: no such folder", folders=(folder / "nowhere",))
    (folder / "empty").mkdir()
    refused("empty: holds neither photographs nor videos", folders=(folder / "empty",))
    refused("needs data.folders", folders=())
    refused("data.views names sharp; clips have lrs, refs", views=("lrs", "sharp"))
    refused("data.camera has zoon: it sets fields", camera={"zoon": 1.0})
    refused("data.size is 0", size=0)
    refused("data.reduction is 3, must be 1, 2 or 4", reduction=3)
    refused(r"a\.png: 220x200 is smaller than the 208 pixels a side", 0, size=26)
    refused(r"b\.mp4: has 7 frames, fewer than data.num_frames=8", num_frames=8)
    (folder / "c.png").write_bytes(b"no")
    refused(r"c\.png: ", 3)


# ------------------------------------------------------------------------------------------------- crops of real clips
def clip(height=40, width=64, reduction=2, frames=2):
    """Whole frames of three ideal cameras whose pixels are 1000 + 100 (y, x) of the ultra-wide LR frame, + t."""

    def seen(zoom, scale):
        y, x = (
            ((np.arange(side * scale) + 0.5) / scale - side / 2) / zoom + side / 2 - 0.5 for side in (height, width)
        )
        plane = np.stack([*np.meshgrid(100 * y + 1000, 100 * x + 1000, indexing="ij"), np.zeros((len(y), len(x)))], -1)
        return np.stack([np.rint(plane + t) for t in range(frames)]).astype(np.uint16)

    views = {"lrs": seen(1, 1), "refs": seen(2, 1), "teles": seen(5, 1)}
    return {**views, "hr": seen(1, reduction)[0], "refs_hr": seen(2, reduction), "teles_hr": seen(5, reduction)}


def clip_settings(**changes):
    views = ("lrs", "refs", "teles", "hr", "refs_hr", "teles_hr")
    return settings(**{"views": views, "size": 8, "reduction": 2} | changes)


def middle(view):
    return view.astype(float).mean((-3, -2))[..., :2]


def test_crops_of_a_clip_show_the_same_within_the_wide_field_of_view():
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        crops = training_clip(clip(), rng, clip_settings())
        sides = {view: crop.shape[-2] for view, crop in crops.items()}
        assert sides == {"lrs": 8, "refs": 16, "teles": 32, "hr": 16, "refs_hr": 32, "teles_hr": 64}
        centre = middle(crops["lrs"][0])
        for view in ("hr", "refs", "refs_hr"):
            assert np.abs(middle(crops[view][0] if view != "hr" else crops[view]) - centre).max() < 1.5
        np.testing.assert_allclose(middle(crops["lrs"][1]), centre + 1)
        found.append(crops["lrs"][0, 0, 0, :2] // 100 - 10)
    rows, columns = np.array(found).T  # of 40 x 64 the middle half begins at 10, 16 and leaves 20 - 8, 32 - 8 places
    assert set(rows.tolist()) == set(range(10, 23))
    assert set(columns.tolist()) == set(range(16, 41))


def test_crops_of_the_telephoto_are_the_nearest_there_are():
    """It sees rows 16 to 24 and columns 25.6 to 38.4, of which a crop is 8."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        crops = training_clip(clip(), rng, clip_settings())
        expected = np.clip(middle(crops["lrs"][0]), [2950, 1000 + 2910], [2950, 1000 + 3390])
        assert np.abs(middle(crops["teles"][0]) - expected).max() < 12  # half a pixel of a fifth
    with pytest.raises(InputError, match="teles: frames of 64x40 are smaller than what is cut, 45"):
        training_clip(clip(), rng, clip_settings(size=9))


def test_references_are_shifted_by_up_to_shift_pixels_inside_their_frame():
    rng, found = np.random.default_rng(0), []
    for _ in range(100):
        crops = training_clip(clip(), rng, clip_settings(shift=5, views=("lrs", "refs", "refs_hr")))
        np.testing.assert_allclose(middle(crops["refs_hr"]), middle(crops["refs"]), atol=1)
        found.append(np.rint((middle(crops["refs"][0]) - middle(crops["lrs"][0])) / 50))
    assert set(np.array(found)[:, 0].tolist()) == set(range(6))


def test_whole_and_central_clips_for_evaluation():
    whole = central_clip(clip(), clip_settings(size=0))
    assert whole["refs"].shape == (2, 40, 64, 3)
    crops = central_clip(clip(), clip_settings(size=8, views=("lrs", "refs", "hr")))
    for view in ("lrs", "refs"):
        assert np.abs(middle(crops[view][0]) - [1000 + 1950, 1000 + 3150]).max() < 1
    with pytest.raises(InputError, match="field of view of the wide camera is smaller than what is cut, 21"):
        training_clip(clip(), np.random.default_rng(0), clip_settings(size=21))
