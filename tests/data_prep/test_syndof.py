"""SYNDOF: readers, selection, shards, the build and its resumption, and a person's own pair."""

import json
import sys

import cv2
import numpy as np
import pytest

import data_prep
from data_prep.syndof import depths, example, own_pair, selection, shards, tree
from data_prep.syndof import lens as lenses
from restore_jax import cli, defocus
from restore_jax.errors import InputError
from tests import reference_layers, syndof_tree


@pytest.fixture
def root(tmp_path):
    return syndof_tree.write(tmp_path / "rgbd")


# ------------------------------------------------------------------------------------------------------------- readers
def test_readers_give_millimetres_and_put_the_sky_at_the_farthest_depth(root):
    expected = {"MPI": syndof_tree.RAMP, "SYNTHIA": syndof_tree.RAMP, "Middlebury": syndof_tree.RAMP[:, ::-1]}
    pairs = tree.pairs(root)
    assert [pair.name for pair in pairs] == [
        *(f"MPI/alley/frame_000{i}" for i in (1, 2, 3)),
        "SYNTHIA/SEQ/Omni_F/000000",
        "middleburry/2014/Chair-perfect/im0",
    ]
    for pair, key in ((pairs[0], "mpi"), (pairs[3], "synthia"), (pairs[4], "middlebury")):
        image, depth = tree.read_pair(pair, shards.reader(root))
        np.testing.assert_array_equal(image, syndof_tree.IMAGES[key])
        np.testing.assert_allclose(depth[4:], 1000 * expected[pair.source][4:], atol=5.1)  # half a centimetre
        if pair.source != "Middlebury":
            np.testing.assert_allclose(depth[:4], 9000)


def test_published_disparities_of_middlebury():
    disparity = np.full((3, 4), 100, np.float32)
    disparity[0, 1], disparity[2, 3] = np.inf, 50
    data = b"Pf\n4 3\n-1\n" + disparity[::-1].astype("<f4").tobytes()
    calibration = "cam0=[4000 0 1300; 0 4000 900; 0 0 1]\ncam1=[1 0 0; 0 1 0; 0 0 1]\ndoffs=200\nbaseline=180\n"
    depth = depths.read_pfm(data, calibration)
    np.testing.assert_allclose(depth, np.where(disparity == 50, 180 * 4000 / 250, 180 * 4000 / 300))
    with pytest.raises(ValueError, match=r"calib\.txt lacks"):
        depths.read_pfm(data, "cam0=[4000 0 1; 0 1 0; 0 0 1]")
    with pytest.raises(ValueError, match="damaged"):
        depths.read_pfm(data[:-4], calibration)


@pytest.mark.parametrize(
    ("reader", "data", "reason"),
    [
        (depths.read_dpt, b"PNG", "not an MPI"),
        (depths.read_dpt, b"PIEH" + np.int32([4, 4]).tobytes(), "damaged"),
        (depths.read_dpt, b"PIEH" + np.int32([1, 1]).tobytes() + np.float32(np.nan).tobytes(), "not finite"),
        (depths.read_dpt, b"PIEH" + np.int32([1, 1]).tobytes() + np.float32(1e11).tobytes(), "nothing but sky"),
        (depths.read_png, cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes(), "not a 16-bit"),
        (depths.read_png, cv2.imencode(".png", np.zeros((2, 2), np.uint16))[1].tobytes(), "not positive"),
        (depths.read_png, cv2.imencode(".png", np.eye(3, dtype=np.uint16)[None])[1].tobytes(), "channels differ"),
    ],
)
def test_damaged_depths_are_refused(reader, data, reason):
    with pytest.raises(ValueError, match=reason):
        reader(data)


def test_check_names_each_file_that_is_wrong(root):
    assert data_prep.check("syndof", root) == []
    (root / "depth/MPI/alley/frame_0002.dpt").unlink()
    syndof_tree.dpt(root / "depth/MPI/alley/frame_0003.dpt", syndof_tree.RAMP[1:])
    syndof_tree.png(root / "depth/SYNTHIA/SEQ/Omni_F/000000.png", np.zeros((48, 64), np.uint8))
    (root / "image/KITTI").mkdir()
    assert data_prep.check("syndof", root) == [
        f"{root}/image/KITTI: unexpected: sources are MPI, SYNTHIA, middleburry, Middlebury",
        f"{root}/depth/MPI/alley/frame_0002.dpt: missing, the depth of {root}/image/MPI/alley/frame_0002.png",
        f"{root}/depth/MPI/alley/frame_0003.dpt: 64x47, but {root}/image/MPI/alley/frame_0003.png is 64x48",
        f"{root}/depth/SYNTHIA/SEQ/Omni_F/000000.png: 8 bits a sample, expected 16",
    ]


# ----------------------------------------------------------------------------------------------------------- selection
def test_frames_that_resemble_the_one_before_are_left_out(root):
    kept = selection.dissimilar(tree.pairs(root), shards.reader(root))
    assert [pair.name for pair in kept] == [
        "MPI/alley/frame_0001",
        "MPI/alley/frame_0003",
        "SYNTHIA/SEQ/Omni_F/000000",
        "middleburry/2014/Chair-perfect/im0",
    ]


def test_both_measures_must_exceed_their_threshold():
    flat, noisy = np.full((32, 32), 0.5, np.float32), np.full((32, 32), 0.5, np.float32)
    noisy[::2] += 0.02  # 37 dB, but no structure in common
    assert not selection.similar(flat, noisy)
    assert selection.similar(flat, noisy, max_ssim=0.1)
    assert not selection.similar(flat, noisy, max_psnr=38, max_ssim=0.1)
    assert selection.similar(flat, flat)
    assert not selection.similar(flat, flat[:16])


# ------------------------------------------------------------------------------------------------------------- example
@pytest.mark.parametrize("sampling", ["paper", "released"])
def test_an_example_equals_the_layer_loop(sampling):
    image = syndof_tree.IMAGES["mpi"].astype(np.float32) / 255
    depth = 1000 * syndof_tree.RAMP.copy()
    depth[10:30, 30:50] = 2500
    lens = lenses.sample(sampling, lenses.generator(3, 1), depth, 8.0)
    found = example.render(image, depth, lens)
    layers = lenses.layers_of(depth, lens)
    reach = 4 * int(np.ceil(np.abs(layers.coc).max() / 8))
    beyond = {"paper": -np.inf, "released": 0}[sampling]
    behind = reference_layers.hidden_background(image, layers.coc[layers.index], reach, beyond=beyond)
    hidden = {at: (colour, np.abs(layers.coc - coc).argmin()) for at, (colour, coc) in behind.items()}
    assert len(hidden) > 20
    theirs = reference_layers.render(image, layers.index, layers.sigma, hidden)
    # A hidden COC midway between two layers may fall to either.
    assert np.sqrt(np.mean((found.image - theirs) ** 2)) < 1e-3
    coc = lenses.coc_of(depth, lens) if sampling == "paper" else layers.coc[layers.index]
    np.testing.assert_array_equal(found.blurred, np.abs(coc) > 1)
    if sampling == "paper":
        np.testing.assert_allclose(found.sigma, np.abs(lenses.coc_of(depth, lens)) / 4, rtol=1e-5)
    else:
        expected = np.maximum(np.abs(layers.coc[layers.index]) - 1, 0) / 4
        np.testing.assert_allclose(found.sigma, expected, atol=0.0501)
        np.testing.assert_allclose(found.sigma, found.sigma.round(1), atol=1e-6)


# -------------------------------------------------------------------------------------------------------------- shards
@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "EXAMPLES_A_SHARD", 2)


def test_a_shard_is_a_function_of_plan_and_number(root, tmp_path, small_shards):
    plan = shards.make_plan(root, tmp_path / "out", "paper", seed=5, count=5)
    assert plan.num_shards == 3
    assert shards.missing(plan, tmp_path / "out") == [0, 1, 2]
    alone = shards.shard(plan, 1, shards.reader(root))
    paths = shards.write_shards(plan, root, tmp_path / "out", workers=1)
    assert paths[1].read_bytes() == alone
    assert [[index for index, _ in shards.read_shard(path)] for path in paths] == [
        ["00000", "00001"],
        ["00002", "00003"],
        ["00004"],
    ]
    said = [json.loads(files["example.json"])["lens"] for path in paths for _, files in shards.read_shard(path)]
    assert len({lens["focus"] for lens in said}) == 5
    other = plan._replace(seed=6)
    assert shards.shard(other, 1, shards.reader(root)) != alone


def test_what_is_finished_is_not_rendered_again(root, tmp_path, small_shards, monkeypatch):
    out = tmp_path / "out"
    plan = shards.make_plan(root, out, "paper", count=5)

    def dies(plan, number, read):
        if number == 1:
            raise KeyboardInterrupt
        return b"finished"

    monkeypatch.setattr(shards, "shard", dies)
    with pytest.raises(KeyboardInterrupt):
        shards.write_shards(plan, root, out, workers=1)
    assert sorted(path.name for path in out.iterdir()) == ["plan.json", "shard-00000-of-00003.zip"]
    monkeypatch.setattr(shards, "shard", lambda plan, number, read: b"resumed")
    assert shards.make_plan(root, out, "paper") == plan
    paths = shards.write_shards(plan, root, out, workers=1)
    assert [path.read_bytes() for path in paths] == [b"finished", b"resumed", b"resumed"]


def test_a_folder_of_another_plan_is_refused(root, tmp_path):
    shards.make_plan(root, tmp_path / "out", "paper", count=5)
    for change in ({"sampling": "released"}, {"seed": 1}, {"count": 6}):
        with pytest.raises(InputError, match="another tree, sampling, seed or count"):
            shards.make_plan(**{"root": root, "folder": tmp_path / "out", "sampling": "paper"} | change)
    (root / "image/MPI/alley/frame_0003.png").unlink()
    with pytest.raises(InputError, match="another tree"):
        shards.make_plan(root, tmp_path / "out", "paper")
    (tmp_path / "out/plan.json").write_text("{")
    with pytest.raises(InputError, match="not a plan"):
        shards.make_plan(root, tmp_path / "out", "paper")


def test_about_as_many_examples_a_sample_as_the_dissertation_has(root, tmp_path):
    assert shards.make_plan(root, tmp_path / "out", "paper").count == 16  # of 4 dissimilar samples
    assert round(2006 * shards.EXAMPLES_A_SAMPLE) == 8231


def test_a_depth_without_variation_names_its_file(root, tmp_path):
    syndof_tree.dpt(root / "depth/MPI/alley/frame_0001.dpt", np.full(syndof_tree.SIZE, 5.0))
    pair = next(pair for pair in tree.pairs(root) if pair.name == "MPI/alley/frame_0001")
    plan = shards.Plan("paper", 0, 1, "", (pair,))
    with pytest.raises(InputError, match=r"frame_0001\.dpt: depth from 5000 to 5000 mm: must be"):
        shards.write_shard(plan, root, tmp_path, 0)


def test_build_and_read_back(root, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(shards, "EXAMPLES_A_SAMPLE", 0.75)
    path = data_prep.build("syndof/released", root, tmp_path / "data", partial=True)
    assert data_prep.split_sizes(path) == {"train": 3}
    builder = tfds.builder_from_directory(path)
    assert builder.info.metadata["units"]["sigma"] == "pixels"
    rendered = list(shards.read_shard(tmp_path / "data/syndof/rendered/released_partial/shard-00000-of-00001.zip"))
    for ours, (_, files) in zip(builder.as_data_source("train"), rendered, strict=True):
        image = cv2.imdecode(np.frombuffer(files["image.png"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(ours["image"], image)
        assert (ours["sigma"].dtype, ours["sigma"].shape) == (np.float32, syndof_tree.SIZE)
        assert ours["sigma"].max() == pytest.approx(7, abs=0.05)
        assert (ours["blurred"][..., 0][ours["sigma"] > 0] == 255).all()
        assert (ours["sigma"][ours["blurred"][..., 0] == 0] == 0).all()
        assert 0 < np.mean(ours["blurred"] == 255) < 1
        said = json.loads(files["example.json"])
        assert ours["scene"].decode() == said["scene"]
        assert ours["lens"]["focus"] == pytest.approx(said["lens"]["focus"])


# ---------------------------------------------------------------------------------------------------------------- beam
def test_beam_renders_what_is_missing(root, tmp_path, small_shards):
    beam = pytest.importorskip("apache_beam")
    from data_prep.syndof import pipeline

    out = tmp_path / "out"
    arguments = ["--tree", str(root), "--output", str(out), "--count", "5", "--runner=DirectRunner"]
    arguments += ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
    plan = shards.make_plan(root, out, "paper", count=5)
    (out / shards.shard_name(plan, 1)).write_bytes(b"finished")
    assert pipeline.main(arguments) == 0
    found = [(out / shards.shard_name(plan, number)).read_bytes() for number in range(3)]
    assert found[1] == b"finished"
    assert (found[0], found[2]) == tuple(shards.shard(plan, number, shards.reader(root)) for number in (0, 2))
    assert len(list(out.iterdir())) == 4
    assert beam.__version__


def test_without_beam_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "data_prep.syndof.pipeline", raising=False)
    with pytest.raises(InputError, match=r"pip install '\.\[beam\]'"):
        import data_prep.syndof.pipeline  # noqa: F401


# ------------------------------------------------------------------------------------------------- a person's own pair
@pytest.fixture
def pair(tmp_path):
    syndof_tree.png(tmp_path / "photo.png", syndof_tree.IMAGES["mpi"])
    np.save(tmp_path / "depth.npy", syndof_tree.RAMP)
    return tmp_path / "photo.png", tmp_path / "depth.npy"


def test_render_writes_image_map_and_colours(pair, tmp_path, capsys):
    arguments = ["data", "render", *map(str, pair), "--unit", "m", "--focus", "3", "--max-coc", "12"]
    assert cli.main(arguments) == 0
    out = [tmp_path / f"photo_defocused{ending}.png" for ending in ("", "_sigma", "_sigma_colours")]
    assert capsys.readouterr().out.split() == list(map(str, out))
    # COC is linear in 1 / depth: 12 at one end, 0 at the focus.
    coc = 1 - 3 / syndof_tree.RAMP
    sigma = defocus.read_map(out[1])
    np.testing.assert_allclose(sigma, 3 * np.abs(coc) / np.abs(coc).max(), atol=1e-3)
    image = cv2.imread(str(out[0]))[..., ::-1].astype(int)
    sharp = syndof_tree.IMAGES["mpi"].astype(int)
    focus = int(np.abs(coc[0]).argmin())
    assert np.abs(image - sharp)[:, focus].mean() < 15 < np.abs(image - sharp)[:, -1].mean()
    assert out[2].is_file()


def test_holes_take_the_nearest_known_depth():
    depth = syndof_tree.RAMP.copy()
    depth[10:13, 20], depth[0, 0] = np.inf, np.nan
    filled = own_pair.in_mm(depth, "m", "depth.npy")
    expected = 1000 * syndof_tree.RAMP
    np.testing.assert_array_equal(filled[12, [19, 21]], expected[12, [19, 21]])
    assert set(filled[10:13, 20]) <= {*expected[0, [19, 20, 21]]}
    assert filled[0, 0] in expected[0, :2]


def test_units_of_the_same_scene_give_the_same_picture(pair, tmp_path):
    image, _ = pair
    results = []
    for unit, values in (
        ("m", syndof_tree.RAMP),
        ("mm", 1000 * syndof_tree.RAMP),
        ("disparity", 1 / syndof_tree.RAMP),
    ):
        np.save(tmp_path / f"{unit}.npy", values)
        focus = {"m": "4", "mm": "4000", "disparity": "0.25"}[unit]
        out = tmp_path / unit / "out.png"
        arguments = [str(image), str(tmp_path / f"{unit}.npy"), "--unit", unit, "--focus", focus, "-o", str(out)]
        assert cli.main(["data", "render", *arguments]) == 0
        results.append(defocus.read_map(out.with_name("out_sigma.png")))
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], atol=2e-3)


@pytest.mark.parametrize(
    ("values", "arguments", "reason"),
    [
        (syndof_tree.RAMP[1:], [], "depth.npy: 64x47, but"),
        (np.full(syndof_tree.SIZE, 3.0), [], "depth.npy: every depth is 3"),
        (np.full(syndof_tree.SIZE, np.inf), [], "depth.npy: no depth is finite"),
        (syndof_tree.RAMP - 3, [], "not above 0"),
        (syndof_tree.RAMP[..., None], [], "of shape (48, 64, 1)"),
        (syndof_tree.RAMP, ["--unit", "furlong"], "--unit furlong: is none of mm, cm, m, disparity"),
        (syndof_tree.RAMP, ["--max-coc", "0"], "--max-coc 0: must be"),
        (syndof_tree.RAMP, ["--focus", "-1"], "--focus -1: must be"),
        (None, [], "depth.npy: no such file"),
    ],
)
def test_bad_pairs_are_one_line(pair, capsys, values, arguments, reason):
    image, depth = pair
    depth.unlink()
    if values is not None:
        np.save(depth, values)
    assert cli.main(["data", "render", str(image), str(depth), "--unit", "m", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert reason in error
    assert not list(image.parent.glob("photo_*"))
