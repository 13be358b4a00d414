"""Evaluation of maps: folders and built datasets, what is printed, what a killed run keeps, what is refused."""

import dataclasses
import importlib
import json

import cv2
import numpy as np
import pytest
from PIL import Image

import data_prep
from data_prep.rtf.prepare import prepare
from restore_jax import cli, weights
from restore_jax.defocus import write_map
from restore_jax.errors import InputError
from restore_jax.evaluation import defocus as evaluate_defocus
from restore_jax.evaluation import measuring
from restore_jax.evaluation import rows as evaluate
from restore_jax.metrics import defocus as metrics_defocus
from restore_jax.weights.building import parameter_shapes

SHAPE = (20, 28)


def picture(seed, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def sigma_of(seed, shape=SHAPE, largest=4):
    steps = np.random.default_rng([seed, 1]).integers(0, 1000 * largest, shape)
    return (steps / 1000).astype(np.float32)


def write_png(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def estimated(image):
    """Return the stand-in's estimate for every method: 4 px times the red channel."""
    return 4 * np.asarray(image)[..., 0].astype(np.float32)


@pytest.fixture
def calls(monkeypatch):
    """The methods called, whose maps are `estimated`."""
    made = []

    def estimate(image, *, method, weights=None):
        made.append((method, weights and weights.name))
        return estimated(image / 255 if image.dtype == np.uint8 else image)

    monkeypatch.setattr(evaluate_defocus, "estimate_defocus", estimate)
    return made


@pytest.fixture
def sigma_folder(tmp_path):
    for i in range(3):
        write_png(tmp_path / "data/image" / f"p{i}.png", picture(i))
        write_map(tmp_path / "data/map" / f"p{i}{'.npy' if i == 2 else '.png'}", sigma_of(i))
    return tmp_path / "data"


@pytest.fixture
def binary_folder(tmp_path):
    for i in range(2):
        write_png(tmp_path / "binary/image" / f"p{i}.png", picture(i))
        write_png(tmp_path / "binary/gt" / f"p{i}.png", np.where(sigma_of(i) > 2, 255, 0).astype(np.uint8))
    return tmp_path / "binary"


def table_of(out):
    """{row: {column: cell}} of the Markdown table in `out`."""
    header, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line[:1] == "|"
    ]
    return {cells[0]: dict(zip(header[1:], cells[1:], strict=True)) for cells in lines}


# ------------------------------------------------------------------------------------------------------------- folders
def test_a_folder_of_sigma(sigma_folder, calls, capsys):
    assert cli.main(["evaluate", "defocus", "--data", str(sigma_folder), "--method", "zhuo", "jnb", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    found = table_of(shown.out)
    assert calls == [("zhuo", None)] * 3 + [("jnb", None)] * 3
    differences = [estimated(picture(i) / 255) - sigma_of(i) for i in range(3)]
    expected = {
        "MSE [px]": np.mean([(d**2).mean() for d in differences]),
        "MAE [px]": np.mean([abs(d).mean() for d in differences]),
        "MSE [syndof]": np.mean([(d**2).mean() / 49 for d in differences]),
        "MAE [syndof]": np.mean([abs(d).mean() / 7 for d in differences]),
    }
    for method in ("zhuo", "jnb"):
        assert found[method]["images"] == "3"
        for column, value in expected.items():
            assert float(found[method][column]) == pytest.approx(value, abs=6e-5), column
    assert set(found["zhuo"]) == {"weights", "images", *expected}


def test_a_folder_of_black_and_white(binary_folder, calls, tmp_path, capsys):
    out = tmp_path / "out" / "r.json"
    arguments = ["evaluate", "defocus", "--data", str(binary_folder), "--method", "ebdb", "--json", str(out)]
    assert cli.main([*arguments, "--pictures", str(tmp_path / "maps")]) == 0
    shown = capsys.readouterr()
    assert [line.rsplit(" ", 1)[1] for line in shown.err.splitlines()] == ["p0", "p1"]
    row = table_of(shown.out)["ebdb"]
    maps = [(estimated(picture(i) / 255), sigma_of(i) > 2) for i in range(2)]
    right = np.mean([metrics_defocus.accuracy(*pair) for pair in maps])
    curves = [metrics_defocus.precision_recall(*pair) for pair in maps]
    average = np.mean([metrics_defocus.average_precision(*curve) for curve in curves])
    assert float(row["accuracy [cuhk]"]) == pytest.approx(right, abs=6e-5)
    assert float(row["mAP [cuhk]"]) == pytest.approx(average, abs=6e-5)
    [saved] = json.loads(out.read_text())["rows"]
    np.testing.assert_allclose(saved["precision"], np.mean([p for p, _ in curves], 0), atol=1e-6)
    np.testing.assert_allclose(saved["recall"], np.mean([r for _, r in curves], 0), atol=1e-6)
    assert saved["values"] == {"accuracy [cuhk]": pytest.approx(right), "mAP [cuhk]": pytest.approx(average)}
    names = {path.name for path in (tmp_path / "maps").iterdir()}
    expected = {f"p{i}_{what}.png" for i in range(2) for what in ("ebdb", "truth")} | {"precision_recall.png"}
    assert names == expected
    truth = cv2.imread(str(tmp_path / "maps/p0_truth.png"))
    np.testing.assert_array_equal(truth[..., 0] == 255, sigma_of(0) > 2)


def test_a_photograph_where_nothing_is_blurred_has_no_part_in_map(binary_folder, calls, tmp_path, capsys):
    write_png(binary_folder / "gt/p1.png", np.zeros(SHAPE, np.uint8))
    assert cli.main(["evaluate", "defocus", "--data", str(binary_folder), "--method", "jnb"]) == 0
    found = table_of(capsys.readouterr().out)["jnb"]
    alone = metrics_defocus.precision_recall(estimated(picture(0) / 255), sigma_of(0) > 2)
    assert float(found["mAP [cuhk]"]) == pytest.approx(metrics_defocus.average_precision(*alone), abs=6e-5)


def test_65535_in_a_png_is_not_known(sigma_folder, calls):
    codes = np.round(1000 * sigma_of(0)).astype(np.uint16)
    codes[:, 20:] = 65535
    cv2.imwrite(str(sigma_folder / "map/p0.png"), codes)
    data = evaluate_defocus.open_data(sigma_folder)
    truth = data.load(0)[2]
    np.testing.assert_array_equal(np.isnan(truth), np.arange(28) >= 20 + np.zeros((20, 1)))
    found = evaluate_defocus.measure(data, "zhuo", evaluate.Options(limit=1))
    difference = (estimated(picture(0) / 255) - sigma_of(0))[:, :20]
    assert found.values["MAE [px]"] == pytest.approx(abs(difference).mean(), rel=1e-5)
    assert found.count == 1


def test_a_real_method_finds_the_blurred_half(tmp_path, capsys):
    """Without a stand-in: noise, its right half blurred, the map binary."""
    shape = (96, 128)
    rough = cv2.resize(
        np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8), shape[::-1], None, 0, 0, 0
    )
    soft = cv2.GaussianBlur(rough, (0, 0), 2.5)
    rough[:, 64:] = soft[:, 64:]
    write_png(tmp_path / "image/a.png", rough)
    write_png(
        tmp_path / "map/a.png", np.where(np.arange(128) >= 64, 255, 0).astype(np.uint8) + np.zeros((96, 1), np.uint8)
    )
    assert cli.main(["evaluate", "defocus", "--data", str(tmp_path), "--method", "zhuo", "--quiet"]) == 0
    row = table_of(capsys.readouterr().out)["zhuo"]
    assert float(row["mAP [cuhk]"]) > 0.85
    assert float(row["accuracy [cuhk]"]) > 0.75


# ------------------------------------------------------------------------------------------------------- going on again
def test_a_killed_run_goes_on_where_it_was(sigma_folder, calls, tmp_path, monkeypatch, capsys):
    out = tmp_path / "r.json"
    command = ["evaluate", "defocus", "--data", str(sigma_folder), "--method", "zhuo", "--json", str(out)]
    assert cli.main(command) == 0
    whole, uninterrupted = out.read_bytes(), capsys.readouterr().out
    journal = tmp_path / "r.json.images.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    journal.write_text("".join(lines[:2]) + lines[2][:30])  # killed while it wrote
    out.unlink()
    calls.clear()
    assert cli.main(command) == 0
    assert len(calls) == 1
    assert capsys.readouterr().out == uninterrupted
    assert out.read_bytes() == whole
    assert journal.read_text() == "".join(lines)
    calls.clear()
    assert cli.main([*command, "--pictures", str(tmp_path / "maps")]) == 0
    assert len(calls) == 3  # for the pictures
    calls.clear()
    assert cli.main([*command, "--pictures", str(tmp_path / "maps")]) == 0
    assert calls == []


def test_what_has_changed_is_computed_anew(sigma_folder, calls, tmp_path):
    def count():
        calls.clear()
        options = evaluate.Options(journal=evaluate.Journal(tmp_path / "j"))
        evaluate_defocus.compare(str(sigma_folder), ["zhuo"], options)
        return len(calls)

    assert (count(), count()) == (3, 0)
    write_png(sigma_folder / "image/p1.png", picture(11))
    assert (count(), count()) == (1, 0)
    write_map(sigma_folder / "map/p0.png", sigma_of(5))
    assert (count(), count()) == (1, 0)


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path):
    (tmp_path / "j").write_text('{"key": ["a"], "scores": {}}\nnotes\n')
    with pytest.raises(InputError, match=f"^{tmp_path / 'j'}: line 2 is no photograph's scores$"):
        evaluate.Journal(tmp_path / "j")
    assert (tmp_path / "j").read_text().endswith("notes\n")


# ---------------------------------------------------------------------------------------------------- built datasets
@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory):
    """Two files of DMENet at a sixteenth of the width, all zeros and all ones."""
    import jax

    folder = tmp_path_factory.mktemp("weights")
    shapes = parameter_shapes("dmenet", {"width_divisor": 16})
    for value in (0, 1):
        params = jax.tree.map(lambda shape, value=value: np.full(shape.shape, value, np.float32), shapes)
        weights.save(folder / f"{value}.safetensors", params, "dmenet", {"width_divisor": 16}, {})
    return folder


@pytest.fixture
def rtf(tmp_path, monkeypatch):
    """A built RTF of two photographs of 28x20, the maps of 24x20."""
    layouts = data_prep.layouts("rtf")
    monkeypatch.setitem(layouts, "sigma", dataclasses.replace(layouts["sigma"], size=SHAPE[::-1], splits={"test": 2}))
    monkeypatch.setenv("RESTORE_JAX_DATA", str(tmp_path / "datasets"))
    for i in range(2):
        write_png(tmp_path / "release/images" / f"{i}.png", picture(i))
        (tmp_path / "release/maps").mkdir(exist_ok=True)
        np.save(tmp_path / "release/maps" / f"{i}.npy", sigma_of(i)[:, :24])
    prepare(tmp_path / "release/images", tmp_path / "release/maps", tmp_path / "RTF", "sigma")
    data_prep.build("rtf", tmp_path / "RTF")


@pytest.fixture
def cuhk(tmp_path, monkeypatch):
    """A built CUHK of two photographs to test on."""
    layouts = data_prep.layouts("cuhk_blur")
    numbers = {"train": range(1, 2), "test": range(2, 4)}
    small = dataclasses.replace(layouts["train504"], numbers=numbers, splits={"train": 1, "test": 2})
    monkeypatch.setitem(layouts, "train504", small)
    # TFDS knows a builder's configs from when it was imported, which another test may have done.
    builder = importlib.import_module("data_prep.cuhk_blur.cuhk_blur_dataset_builder").Builder
    monkeypatch.setattr(builder.builder_configs["train504"], "layout", small)
    monkeypatch.setenv("RESTORE_JAX_DATA", str(tmp_path / "datasets"))
    for i in range(1, 4):
        path = tmp_path / "CUHK/image" / f"out_of_focus{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SHAPE, 3), 40 * i, np.uint8) + (np.arange(28) * 3).astype(np.uint8)[:, None]).save(
            path
        )
        write_png(tmp_path / "CUHK/gt" / f"out_of_focus{i:04}.png", np.where(sigma_of(i) > 2, 255, 0).astype(np.uint8))
    data_prep.build("cuhk_blur/train504", tmp_path / "CUHK")


@pytest.fixture
def syndof(tmp_path, monkeypatch):
    """A built SYNDOF of four examples, two of them of one MPI frame, with the features of data_prep/syndof."""
    import tensorflow_datasets as tfds

    class Syndof(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Four examples."""

        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="paper", description="four"),)

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "sigma": tfds.features.Tensor(shape=(None, None), dtype=np.float32, encoding="zlib"),
                "scene": tfds.features.Text(),
                "source": tfds.features.Text(),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            scenes = ("MPI/alley/1", "MPI/alley/1", "MPI/alley/2", "SYNTHIA/01/1")
            for i, scene in enumerate(scenes):
                write_png(tmp_path / f"{i}.png", picture(i))
                files = {"image": str(tmp_path / f"{i}.png"), "sigma": sigma_of(i, largest=7)}
                yield i, {**files, "scene": scene, "source": scene.partition("/")[0]}

    settings = tfds.download.DownloadConfig(manual_dir=tmp_path)
    builder = Syndof(data_dir=tmp_path / "datasets", file_format="array_record")
    builder.download_and_prepare(download_dir=tmp_path / "downloads", download_config=settings)
    monkeypatch.setenv("RESTORE_JAX_DATA", str(tmp_path / "datasets"))


def test_table_3_1_counts_what_is_built(syndof, tmp_path, capsys):
    (tmp_path / "datasets/syndof/paper/incomplete.AB12CD_1.0.0").mkdir()  # TFDS leaves it when a build is killed
    assert cli.main(["tables", "3.1"]) == 0
    rows = table_of(capsys.readouterr().out)
    counted = {label: (row["samples"], row["outputs"], row["outputs printed"]) for label, row in rows.items()}
    assert counted == {
        "MPI": ("2", "3", "4,346"),
        "SYNTHIA": ("1", "1", "3,680"),
        "Middlebury": ("0", "0", "205"),
        "Total": ("3", "4", "8,231"),
    }


def test_syndof_is_measured_over_7_pixels(syndof, calls, tmp_path, capsys):
    command = ["evaluate", "defocus", "--data", "syndof", "--method", "ebdb", "--quiet"]
    assert cli.main([*command, "--pictures", str(tmp_path / "p")]) == 0
    row = table_of(capsys.readouterr().out)["ebdb"]
    expected = np.mean([abs(estimated(picture(i) / 255) - sigma_of(i, largest=7)).mean() / 7 for i in range(4)])
    assert float(row["MAE [syndof]"]) == pytest.approx(expected, abs=6e-5)
    assert set(row) == {"weights", "images", "MSE [syndof]", "MAE [syndof]"}
    assert len(list((tmp_path / "p").glob("*_MPI_alley_1_ebdb.png"))) == 2


def test_table_3_3_on_rtf(rtf, calls, capsys, tmp_path):
    assert cli.main(["tables", "3.3", "--quiet", "--json", str(tmp_path / "t.json")]) == 0
    out = capsys.readouterr().out
    rows = table_of(out)
    assert len(rows) == 6
    maps = [(estimated(picture(i) / 255)[:, :24], sigma_of(i)[:, :24]) for i in range(2)]
    expected = np.mean([abs(np.clip(s, 0, 3.275) - np.clip(t, 0, 3.275)).mean() / 3.275 for s, t in maps])
    for label, printed in (("[42] zhuo", "0.1430"), ("[23] jnb", "0.2410"), ("[27] ebdb", "0.1990")):
        assert float(rows[label]["MAE [dmenet-py]"]) == pytest.approx(expected, abs=6e-5)
        assert rows[label]["MAE printed"] == printed
        assert rows[label]["images"] == "2"
    assert rows["DMENet_BDCS"]["weights"] == "dmenet-small"
    assert rows["DMENet_BDCS"]["MSE printed"] == "0.0120"
    assert set(rows["[42] zhuo"]) == {
        *("weights", "images", "MSE printed", "MAE printed", "params (M)", "MACs (G)"),
        *(f"{metric} [dmenet-{which}]" for metric in ("MSE", "MAE") for which in ("matlab", "py")),
    }
    [missing] = [line for line in out.splitlines() if line.startswith("- missing: ")]
    assert missing.startswith("- missing: [24] D'Andrès et al., [25] Park et al.: no estimator here")
    saved = json.loads((tmp_path / "t.json").read_text())["rows"]
    assert [row["label"] for row in saved if row["missing"]] == ["[24] D'Andrès et al.", "[25] Park et al."]


def test_table_3_2_takes_the_ablations_weights(rtf, calls, tiny_weights, capsys):
    assert cli.main(["tables", "3.2", "--quiet"]) == 0
    first = capsys.readouterr().out
    [said] = [line for line in first.splitlines() if "no weights" in line]
    assert said.startswith("- missing: SYNDOF, DMENet_BDC, RTF, DMENet_BDC: ")
    assert "configs/dmenet.py:bdc" in said
    assert calls == [("dmenet", "dmenet")] * 2
    calls.clear()
    ours, ablation = (str(tiny_weights / f"{value}.safetensors") for value in (0, 1))
    given = ["--weights", f"bdcs={ours}", "--weights", f"bdc={ablation}"]
    assert cli.main(["tables", "3.2", "--quiet", *given]) == 0
    rows = table_of(capsys.readouterr().out)
    assert calls == [("dmenet", ablation)] * 2 + [("dmenet", ours)] * 2
    assert rows["RTF, DMENet_BDC"]["weights"] == ablation
    assert rows["RTF, DMENet_BDC"]["MAE printed"] == "0.1590"
    assert rows["SYNDOF, DMENet_BDCS"]["MSE printed"] == "0.0110"


def test_other_weights_are_another_evaluation(rtf, calls, tiny_weights, tmp_path):
    for value in (0, 1, 0):
        options = evaluate.Options(
            {"bdcs": str(tiny_weights / f"{value}.safetensors")}, journal=evaluate.Journal(tmp_path / "j")
        )
        evaluate_defocus.compare("rtf", ["dmenet"], options)
    assert len(calls) == 4


def test_figures_3_5_and_3_6_on_cuhk(cuhk, calls, capsys, tmp_path):
    command = ["tables", "fig3.6", "--quiet", "--pictures", str(tmp_path / "p"), "--limit", "1"]
    assert cli.main([*command, "--plot", str(tmp_path / "curves.png")]) == 0
    rows = table_of(capsys.readouterr().out)
    assert rows["DMENet_BDCS"]["accuracy printed"] == "0.8783"
    assert rows["[27] ebdb"]["images"] == "1"
    threshold = 0.3 * 27 + 0.7 * 0  # the photograph is a ramp, and so is its map, but for JPEG
    expected = np.mean((np.arange(28) > threshold) == (sigma_of(2) > 2))
    assert float(rows["[27] ebdb"]["accuracy [cuhk]"]) == pytest.approx(expected, abs=0.03)
    assert (tmp_path / "curves.png").is_file()
    assert len(list((tmp_path / "p").glob("*_ebdb.png"))) == 1


def test_a_dataset_that_is_not_built_says_how(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RESTORE_JAX_DATA", str(tmp_path))
    assert cli.main(["evaluate", "defocus", "--data", "rtf"]) == 2
    assert capsys.readouterr().err == (
        f"restore-jax: {tmp_path / 'rtf' / 'sigma'}: not built yet; build it by: restore-jax data build rtf TREE\n"
    )
    assert cli.main(["tables", "fig3.5"]) == 0
    missing = "- missing: [42] zhuo, [23] jnb, [27] ebdb, DMENet_BDCS: needs cuhk_blur/train504: restore-jax data build"
    assert missing in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: subject"),
        (["defocus"], "needs --data"),
        (["defocus", "--data", "nowhere"], "nowhere: no such folder"),
        (["defocus", "--data", "{data}", "--method", "shi"], "--method shi: is not one of dmenet"),
        (["defocus", "--data", "{data}", "--limit", "0"], "'0' is not a whole number above 0"),
        (["defocus", "--data", "{data}", "--weights", "none"], "none: no such weights"),
        (["defocus", "--data", "{data}", "--weights", "dmenet", "--weights", "ifan"], "bdcs has dmenet already"),
        (
            ["defocus", "--data", "{data}", "--weights", "dmenet=dmenet"],
            "no row is named 'dmenet'; the nearest are bdcs",
        ),
        (["defocus", "--data", "{data}", "--weights", "ifan"], "weights ifan: of a network for something else"),
        (["defocus", "--data", "{data}", "--json", "{data}"], "is a folder"),
        (["defocus", "--data", "{data}/image"], "image"),
    ],
)
def test_usage_is_refused_in_one_line(sigma_folder, calls, capsys, arguments, message):
    assert cli.main(["evaluate", *(argument.format(data=sigma_folder) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_that_does_not_fit_is_refused_by_the_file(sigma_folder, calls):
    def refused(message):
        with pytest.raises(InputError, match=message) as caught:
            evaluate_defocus.compare(str(sigma_folder), ["zhuo"], evaluate.Options())
        assert "\n" not in str(caught.value)

    write_map(sigma_folder / "map/p1.png", sigma_of(1)[:, :24])
    refused(r"p1\.png: is 24x20, its photograph 28x20")
    write_png(sigma_folder / "map/p1.png", np.zeros(SHAPE, np.uint8))
    refused(r"p1\.png: .*p0\.png is not black and white")
    (sigma_folder / "map/p1.png").unlink()
    refused(r"image/p1\.png: has no map p1\.png or \.npy in .*map")
    write_png(sigma_folder / "map/p0.png", np.full(SHAPE, 7, np.uint8))
    write_png(sigma_folder / "map/p1.png", np.full(SHAPE, 7, np.uint8))
    refused(r"p0\.png: has 8 bits, but is not black and white")
    (sigma_folder / "map").rename(sigma_folder / "depth")
    refused("has no folder map or gt beside image")


def test_the_key_holds_the_version(sigma_folder, calls, tmp_path, monkeypatch):
    for version, expected in ((measuring.__version__, 3), ("99.0", 6)):
        monkeypatch.setattr(measuring, "__version__", version)
        evaluate_defocus.compare(str(sigma_folder), ["jnb"], evaluate.Options(journal=evaluate.Journal(tmp_path / "j")))
        assert len(calls) == expected
