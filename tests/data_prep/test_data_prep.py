"""data_prep: trees written by hand as their authors publish them, checked, damaged, built and read back."""

import dataclasses
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data_prep
from restore_jax import cli
from restore_jax.data import catalogue
from restore_jax.errors import InputError
from tests.image_samples import decode_png, make_png
from tests.places import ROOT

SIZE = (6, 4)  # of the images here; DPDD's are 1680x1120
DPDD = {  # split: (source, target) captures; the last target comes before its source
    "train": (("1P0A0301", "1P0A0302"), ("1P0A0310", "1P0A0312"), ("1P0A0333", "1P0A0332")),
    "val": (("1P0A0401", "1P0A0402"),),
    "test": (("1P0A0917", "1P0A0916"), ("1P0A0933", "1P0A0932")),
}


def pixels(name, bits=8, channels=3):
    """Noise that only this name has."""
    rng = np.random.default_rng(list(name.encode()))
    return rng.integers(0, 2**bits, (SIZE[1], SIZE[0], channels), np.uint16 if bits == 16 else np.uint8)


def png(array):
    if array.dtype == np.uint16:
        return make_png(array)
    out = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(out, "png")
    return out.getvalue()


def jpeg(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "jpeg")
    return out.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_dpdd(root, bits):
    for split, captures in DPDD.items():
        for source, target in captures:
            for place in (
                f"{split}_c/source/{source}",
                f"{split}_l/source/{source}_L",
                f"{split}_r/source/{source}_R",
                f"{split}_c/target/{target}",
            ):
                write(root / f"{place}.png", png(pixels(place, bits)))


def write_realdof(root):
    for i in range(50):
        for view in ("source", "target"):
            write(root / view / f"{i:02}.png", png(pixels(f"{view}/{i:02}")))


def write_pixeldp(root):
    for scene in ("PXL_1", "PXL_2"):
        for view, suffix in (("c", ""), ("l", "_L"), ("r", "_R")):
            place = f"test_{view}/source/{scene}{suffix}"
            write(root / f"{place}.png", png(pixels(place, 16)))


def write_cuhk(root, scenes=704):
    image, blur = jpeg(pixels("image")), png(pixels("map", channels=1))
    for i in range(1, scenes + 1):
        # Some of the published photographs end in capitals.
        write(root / "image" / f"out_of_focus{i:04}{'.JPG' if i == 23 else '.jpg'}", image)
        write(root / "gt" / f"out_of_focus{i:04}.png", blur)
    for i in range(1, 3):
        write(root / "image" / f"motion{i:04}.jpg", image)
        write(root / "gt" / f"motion{i:04}.png", blur)


def small(monkeypatch, dataset, config, **changes):
    """The dataset's layout as of the trees here."""
    layouts = data_prep.layouts(dataset)
    monkeypatch.setitem(layouts, config, dataclasses.replace(layouts[config], **changes))


@pytest.fixture
def dpdd(tmp_path, monkeypatch):
    """A complete tree of a DPDD with six scenes of 6x4 pixels, 16 bits."""
    for config in ("png16", "png8"):
        small(monkeypatch, "dpdd", config, size=SIZE, splits={"train": 3, "val": 1, "test": 2})
    write_dpdd(tmp_path / "dd_dp_dataset_png", 16)
    return tmp_path / "dd_dp_dataset_png"


# --------------------------------------------------------------------------------------------------------------- check
def test_published_numbers():
    """As the papers state them."""
    dpdd = data_prep.layouts("dpdd")["png16"]
    assert (dict(dpdd.splits), dpdd.size) == ({"train": 350, "val": 74, "test": 76}, (1680, 1120))
    assert {view.name for view in dpdd.views} == {"left", "right", "combined", "target"}
    assert dict(data_prep.layouts("realdof")["png8"].splits) == {"test": 50}
    sizes = {config: dict(layout.splits) for config, layout in data_prep.layouts("cuhk_blur").items()}
    assert sizes == {"train604": {"train": 604, "test": 100}, "train504": {"train": 504, "test": 200}}


def test_a_complete_tree_is_fine_by_any_name_and_one_folder_above(dpdd):
    litter = dpdd / "train_c" / "source" / ".DS_Store"
    litter.write_bytes(b"x")
    assert data_prep.check("dpdd", dpdd) == []
    assert data_prep.check("dpdd/png16", dpdd.parent) == []
    renamed = dpdd.rename(dpdd.with_name("anything"))
    assert data_prep.check("dpdd", renamed) == []


def damage(at, data=None):
    """Writes data to a file of the tree, or removes it or the folder."""

    def change(root):
        if data is not None:
            write(root / at, data)
        elif (root / at).is_dir():
            shutil.rmtree(root / at)
        else:
            (root / at).unlink()

    return change


def rename(old, new):
    return lambda root: (root / old).rename(root / new)


def link(at, to):
    def change(root):
        shutil.copy(root / at, root.parent / "outside.png")
        (root / at).unlink()
        (root / at).symlink_to(to.format(root=root))

    return change


WHOLE = png(pixels("x", 16))
LEFT = "train_l/source/1P0A0310_L.png"
TALL = make_png(np.zeros((6, 4, 3), np.uint16))
PALETTE = make_png(np.zeros((4, 6, 3), np.uint16), header=(6, 4, 8, 3, 0, 0, 0))


@pytest.mark.parametrize(
    ("change", "file", "reason"),
    [
        (damage("val_r/source"), "val_r/source", "missing folder"),
        (damage(LEFT), LEFT, "missing, the left image of scene 1P0A0310"),
        (damage("test_c/source/1P0A0917.png"), "test_c/source/1P0A0917.png", "missing, the combined image"),
        (damage("test_c/target/1P0A0932.png"), "test_c/target", "no target image within 3 captures of scene 1P0A0933"),
        (damage("val_c/target/1P0A0499.png", WHOLE), "val_c/target/1P0A0499.png", "no scene within 3 captures"),
        (rename(LEFT, "train_l/source/left.png"), "train_l/source/left.png", "unexpected file"),
        (rename(LEFT, LEFT.replace(".png", ".tif")), LEFT.replace(".png", ".tif"), "unexpected file"),
        (damage("train_l/source/1P0A0310.png", WHOLE), LEFT, "a second left image of 1P0A0310"),
        (damage("extra/a.png", WHOLE), "extra", "unexpected folder"),
        (damage("train_c/notes.doc", b"x"), "train_c/notes.doc", "unexpected file"),
        (damage(LEFT, TALL), LEFT, "4x6, expected 6x4"),
        (damage(LEFT, png(pixels("x"))), LEFT, "8 bits a sample, expected 16"),
        (damage(LEFT, make_png(pixels("x", 16, 1))), LEFT, "1 channels, expected 3"),
        (damage(LEFT, make_png(pixels("x", 16, 4))), LEFT, "4 channels, expected 3"),
        (damage(LEFT, PALETTE), LEFT, "palette"),
        (damage(LEFT, jpeg(pixels("x"))), LEFT, "a JPEG file by its content"),
        (damage(LEFT, b""), LEFT, "empty file"),
        (damage(LEFT, b"GIF89a"), LEFT, "neither a PNG nor a JPEG file"),
        (damage(LEFT, WHOLE[:20]), LEFT, "truncated"),
        (damage(LEFT, WHOLE[:-15]), LEFT, "truncated"),
        (link(LEFT, "{root}/../outside.png"), LEFT, "a link out of the tree"),
        (link(LEFT, "nothing.png"), LEFT, "a link to nothing"),
    ],
)
def test_each_damage_is_a_line_that_names_the_file(dpdd, change, file, reason):
    change(dpdd)
    problems = data_prep.check("dpdd", dpdd)
    assert all("\n" not in problem for problem in problems)
    assert [problem for problem in problems if problem.startswith(f"{dpdd / file}: ") and reason in problem], problems


def test_one_wrong_image_is_one_problem(dpdd):
    damage(LEFT, TALL)(dpdd)
    assert data_prep.check("dpdd", dpdd) == [f"{dpdd / LEFT}: 4x6, expected 6x4"]


def test_too_few_scenes_of_a_split(dpdd):
    for place in ("c/source/1P0A0933", "l/source/1P0A0933_L", "r/source/1P0A0933_R", "c/target/1P0A0932"):
        (dpdd / f"test_{place}.png").unlink()
    assert data_prep.check("dpdd", dpdd) == [f"{dpdd / 'test_c/source'}: 1 test scenes, expected 2"]
    assert data_prep.check("dpdd", dpdd, partial=True) == []
    for view in "clr":
        shutil.rmtree(dpdd / f"val_{view}")
    assert data_prep.check("dpdd", dpdd, partial=True) == []
    assert f"{dpdd / 'val_c/source'}: missing folder" in data_prep.check("dpdd", dpdd)


def test_targets_shifted_by_a_lost_and_a_foreign_one_are_found(dpdd):
    """The counts agree, the order pairs the wrong ones."""
    (dpdd / "train_c/target/1P0A0302.png").rename(dpdd / "train_c/target/1P0A0399.png")
    problems = data_prep.check("dpdd", dpdd)
    for target, gap, scene in (("1P0A0312", 11, "1P0A0301"), ("1P0A0332", 22, "1P0A0310")):
        file = dpdd / "train_c/target" / f"{target}.png"
        assert problems.pop(0).startswith(f"{file}: {gap} captures from scene {scene}, to which the order gives it")
    assert problems == []


def test_a_link_inside_the_tree_is_a_file_like_another(dpdd):
    (dpdd / LEFT).rename(dpdd / "train_l/source/../../kept.txt")
    (dpdd / LEFT).symlink_to("../../kept.txt")
    assert data_prep.check("dpdd", dpdd) == []


def test_links_of_folders_out_of_the_tree_are_refused(dpdd):
    outside = dpdd.parent / "elsewhere"
    (dpdd / "val_l").rename(outside)
    (dpdd / "val_l").symlink_to(outside)
    assert f"{dpdd / 'val_l'}: a link out of the tree" in data_prep.check("dpdd", dpdd)


def test_maps_must_have_the_size_of_their_image_and_one_channel(tmp_path):
    write_cuhk(tmp_path, 5)
    assert data_prep.check("cuhk_blur", tmp_path, partial=True) == []
    write(tmp_path / "gt/out_of_focus0002.png", png(pixels("map")[:3, :, :1]))
    write(tmp_path / "gt/out_of_focus0003.png", png(pixels("map")))
    image = tmp_path / "image/out_of_focus0002.jpg"
    assert data_prep.check("cuhk_blur", tmp_path, partial=True) == [
        f"{tmp_path / 'gt/out_of_focus0002.png'}: 6x3, but {image} is 6x4",
        f"{tmp_path / 'gt/out_of_focus0003.png'}: 3 channels, expected 1",
    ]


def test_numbers_that_are_missing_or_of_no_split(tmp_path):
    write_cuhk(tmp_path)
    assert data_prep.check("cuhk_blur", tmp_path) == data_prep.check("cuhk_blur/train504", tmp_path) == []
    (tmp_path / "image/out_of_focus0606.jpg").rename(tmp_path / "image/out_of_focus0705.jpg")
    (tmp_path / "gt/out_of_focus0606.png").unlink()
    assert data_prep.check("cuhk_blur", tmp_path) == [
        f"{tmp_path / 'image'}: 99 test scenes, expected 100; the first without an image is number 606",
        f"{tmp_path / 'image/out_of_focus0705.jpg'}: unexpected file: not a name of the image images",
    ]


@pytest.mark.parametrize("name", ["dpd", "dpdd/", "dpdd/png32", "realdof/png16"])
def test_unknown_names(tmp_path, name):
    with pytest.raises(InputError, match=f"^{name}: "):
        data_prep.check(name, tmp_path)


def test_a_folder_without_anything_of_it(tmp_path):
    assert data_prep.check("dpdd", tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: no such folder"]
    assert f"{tmp_path / 'test_l/source'}: missing folder" in data_prep.check("pixeldp", tmp_path)
    assert data_prep.check("dpdd", tmp_path, partial=True) == [f"{tmp_path}: holds no scenes"]


def test_a_folder_that_cannot_be_read(dpdd, monkeypatch):
    listdir = os.listdir

    def refuses(path):
        if Path(path) == dpdd / "val_l":
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuses)
    assert data_prep.check("dpdd", dpdd) == [f"{dpdd / 'val_l'}: cannot be read: Permission denied"]


# --------------------------------------------------------------------------------------------------------------- build
def read_back(path, split):
    import tensorflow_datasets as tfds

    return list(tfds.builder_from_directory(path).as_data_source(split))


@pytest.mark.parametrize(("config", "bits"), [("png16", 16), ("png8", 8)])
def test_dpdd_comes_back_bit_for_bit(dpdd, tmp_path, config, bits):
    write_dpdd(dpdd, bits)
    path = data_prep.build(f"dpdd/{config}", dpdd, tmp_path / "data", partial=True)
    assert path == tmp_path / "data" / "dpdd" / f"{config}_partial" / "1.0.0"
    assert data_prep.split_sizes(path) == {"train": 3, "val": 1, "test": 2}
    for split, captures in DPDD.items():
        examples = read_back(path, split)
        assert [example["scene"] for example in examples] == [source.encode() for source, _ in captures]
        for example, (source, target) in zip(examples, captures, strict=True):
            places = {
                "combined": f"{split}_c/source/{source}",
                "left": f"{split}_l/source/{source}_L",
                "right": f"{split}_r/source/{source}_R",
                "target": f"{split}_c/target/{target}",
            }
            assert set(example) == {*places, "scene"}
            for view, place in places.items():
                decoded = decode_png((dpdd / f"{place}.png").read_bytes()) if bits == 16 else pixels(place)
                assert example[view].dtype == (np.uint16 if bits == 16 else np.uint8)
                np.testing.assert_array_equal(example[view], decoded)
                np.testing.assert_array_equal(example[view], pixels(place, bits))


def test_realdof_is_built_under_its_published_config(tmp_path):
    write_realdof(tmp_path / "RealDOF")
    path = data_prep.build("realdof", tmp_path / "RealDOF", tmp_path / "data")
    assert path == tmp_path / "data" / "realdof" / "png8" / "1.0.0"
    examples = read_back(path, "test")
    assert [example["scene"] for example in examples] == [f"{i:02}".encode() for i in range(50)]
    for example in examples:
        for view in ("source", "target"):
            np.testing.assert_array_equal(example[view], pixels(f"{view}/{example['scene'].decode()}"))
    with pytest.raises(InputError, match=f"^{path}: built already"):
        data_prep.build("realdof", tmp_path / "RealDOF", tmp_path / "data")


def test_pixeldp_says_how_its_views_are_turned(tmp_path):
    write_pixeldp(tmp_path / "dd_dp_dataset_pixel")
    path = data_prep.build("pixeldp", tmp_path / "dd_dp_dataset_pixel", tmp_path / "data")
    examples = read_back(path, "test")
    assert [(example["scene"], int(example["rotation"])) for example in examples] == [(b"PXL_1", 90), (b"PXL_2", 90)]
    np.testing.assert_array_equal(examples[1]["right"], pixels("test_r/source/PXL_2_R", 16))
    np.testing.assert_array_equal(examples[1]["left"], pixels("test_l/source/PXL_2_L", 16))


@pytest.mark.parametrize(("config", "train"), [("train604", 604), ("train504", 504)])
def test_cuhk_splits_by_number(tmp_path, config, train):
    write_cuhk(tmp_path / "CUHK")
    path = data_prep.build(f"cuhk_blur/{config}", tmp_path / "CUHK", tmp_path / "data")
    assert data_prep.split_sizes(path) == {"train": train, "test": 704 - train}
    assert len(list((path).glob("*train.array_record*"))) == -(-train // 32)
    test = read_back(path, "test")
    assert [example["scene"] for example in test] == [f"out_of_focus{i:04}".encode() for i in range(train + 1, 705)]
    np.testing.assert_array_equal(test[0]["map"], pixels("map", channels=1))
    with Image.open(tmp_path / "CUHK/image/out_of_focus0001.jpg") as image:
        decoded = np.asarray(image)
    np.testing.assert_allclose(test[0]["image"].astype(int), decoded, atol=2)  # two JPEG decoders


def test_a_damaged_tree_is_refused_and_nothing_is_written(dpdd, tmp_path):
    damage(LEFT, b"")(dpdd)
    damage("test_c/source/1P0A0917.png", TALL)(dpdd)
    with pytest.raises(InputError, match=r": empty file \(and 1 more problems"):
        data_prep.build("dpdd", dpdd, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_written(dpdd, tmp_path):
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(InputError, match=f"^{tmp_path / 'data'}: cannot be written: "):
        data_prep.build("dpdd", dpdd, tmp_path / "data", partial=True)


DIES = """
import os, sys
import data_prep
from data_prep import building
whole = building.shards
def shards(layout, split, scenes):
    def dies():
        yield from whole(layout, split, scenes)[0]()
        os._exit(9)
    return [dies]
if sys.argv[3] == "dies":
    building.shards = shards
print(data_prep.build("pixeldp", sys.argv[1], sys.argv[2]))
assert "tensorflow" not in sys.modules
data_prep.split_sizes(f"{sys.argv[2]}/pixeldp/png16/1.0.0")
assert len(building.tfds.builder_from_directory(f"{sys.argv[2]}/pixeldp/png16/1.0.0").as_data_source("test")[0]) == 5
assert "tensorflow" not in sys.modules
"""


def test_a_killed_build_leaves_no_dataset_and_the_next_succeeds_without_tensorflow(tmp_path):
    write_pixeldp(tmp_path / "tree")
    place = tmp_path / "data" / "pixeldp" / "png16" / "1.0.0"
    blocked = tmp_path / "blocked"  # TensorFlow cannot be imported, whether installed or not
    write(blocked / "tensorflow" / "__init__.py", b"raise ImportError('TensorFlow is not needed')")
    environment = os.environ | {"PYTHONPATH": f"{blocked}:{ROOT}"}
    for how, code in (("dies", 9), ("lives", 0)):
        # TFDS 4.9.10 calls what the protobuf that Beam brings deprecates.
        quiet = ["-W", "error", "-W", "ignore:label() is deprecated:DeprecationWarning"]
        command = [sys.executable, *quiet, "-c", DIES, tmp_path / "tree", tmp_path / "data", how]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert place.exists() == (code == 0)
    assert done.stdout == f"{place}\n"


# ------------------------------------------------------------------------------------------------------- command line
def test_data_check_reports_and_exits(dpdd, capsys):
    assert cli.main(["data", "check", "dpdd", str(dpdd)]) == 0
    assert capsys.readouterr().out == "dpdd: 6 scenes, 4 views, complete\n"
    assert cli.main(["data", "check", "dpdd", str(dpdd), "--partial"]) == 0
    assert capsys.readouterr().out == "dpdd: 6 scenes, 4 views, scenes not counted\n"
    damage(LEFT)(dpdd)
    damage("extra.doc", b"")(dpdd)
    assert cli.main(["data", "check", "dpdd", str(dpdd)]) == 2
    assert capsys.readouterr().out.splitlines() == [
        f"{dpdd / 'extra.doc'}: unexpected file",
        f"{dpdd / LEFT}: missing, the left image of scene 1P0A0310",
    ]
    assert cli.main(["data", "check", "dpdd/png8", str(dpdd)]) == 2
    assert "16 bits a sample, expected 8" in capsys.readouterr().out


def test_data_build_prints_path_and_splits(dpdd, tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_DATA", str(tmp_path / "data"))
    assert cli.main(["data", "build", "dpdd", str(dpdd), "--partial"]) == 0
    path = tmp_path / "data" / "dpdd" / "png16_partial" / "1.0.0"
    assert capsys.readouterr().out == f"{path}\ntrain: 3\nval: 1\ntest: 2\n"
    assert [record.message for record in caplog.records] == []
    assert cli.main(["data", "build", "dpdd", str(dpdd), "--partial", "-o", str(tmp_path / "other")]) == 0
    assert capsys.readouterr().out.startswith(str(tmp_path / "other" / "dpdd"))
    assert cli.main(["data", "build", "dpdd/png8", str(dpdd)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "16 bits a sample, expected 8 (and 23 more problems" in error


def test_data_list(capsys):
    assert cli.main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert "dpdd/png16 (default)" in out
    assert "train 350, val 74, test 76" in out
    assert "test ?" in out  # PixelDP's is not published
    assert len(out.splitlines()) == 1 + sum(len(data_prep.layouts(name)) for name in data_prep.NAMES)


def test_help_imports_nothing_heavy():
    code = "import sys; from restore_jax import cli; cli.main(['data', '--help']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "tensorflow_datasets", "cv2", "numpy"} & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(("dataset", "config"), catalogue.DEFAULT_CONFIGS.items())
def test_a_bare_name_means_the_first_of_its_layouts(dataset, config):
    assert next(iter(data_prep.layouts(dataset))) == config


@pytest.mark.parametrize("dataset", data_prep.NAMES)
def test_every_package_has_what_tfds_shows(dataset):
    folder = Path(data_prep.__file__).parent / dataset
    assert (folder / "README.md").read_text().count("none published") >= 1
    assert (folder / "CITATIONS.bib").read_text().lstrip().startswith("@")
    assert (folder / "TAGS.txt").read_text().strip()
