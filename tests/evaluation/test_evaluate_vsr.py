"""Evaluation of videos: virtual clips and a built dataset, scores by their formulas, tables, pictures, the journal."""

import dataclasses
import json
import types

import cv2
import jax
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import data_prep
from data_prep.realmcvsr.reduction import reduce_tree
from restore_jax import cli
from restore_jax.data import catalogue
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.errors import InputError
from restore_jax.evaluation import chapter5, costs, published
from restore_jax.evaluation import rows as evaluate
from restore_jax.evaluation import vsr as evaluate_vsr
from restore_jax.metrics import fields_of_view as metrics_fov
from restore_jax.ops.imresize import imresize
from restore_jax.video import engines
from tests.random_weights import by_size, restorer

SIZE, COUNTS = (64, 96), {"0003": 3, "0010": 2}


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two photographs, filmed at 16x16."""
    path = tmp_path_factory.mktemp("photos")
    for number in range(2):
        Image.fromarray(dead_leaves(np.random.default_rng(number), (140, 150))).save(path / f"p{number}.png")
    return str(path)


@pytest.fixture(scope="module")
def tiny():
    """The smallest network that takes both references, with random weights and windows of three frames."""
    return restorer("refvsr", by_size, {"window": 3}, mid_channels=4, num_blocks=1, references="dual")


def table_of(out):
    header, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line[:1] == "|"
    ]
    return {cells[0]: dict(zip(header[1:], cells[1:], strict=True)) for cells in lines}


def enlarged(frame):
    size = (4 * frame.shape[1], 4 * frame.shape[0])
    return np.clip(cv2.resize(frame.astype(np.float32) / 255, size, interpolation=cv2.INTER_CUBIC), 0, 1)


def expected_of(moments):
    """Means over frames by skimage, and by masks of the squared errors."""
    found = {"PSNR [refvsr]": [], "SSIM [refvsr]": [], "PSNR 0-50 [paper]": [], "PSNR 50-100 [refvsr]": []}
    for moment in moments:
        result, truth = enlarged(moment.frame), moment.truth / np.float32(255)
        found["PSNR [refvsr]"].append(peak_signal_noise_ratio(truth, result, data_range=1))
        found["SSIM [refvsr]"].append(structural_similarity(truth, result, channel_axis=2, data_range=1))
        h, w = truth.shape[:2]
        inner = np.zeros((h, w), bool)
        inner[h // 4 : h - h // 4, w // 4 : w - w // 4] = True
        error = (result - truth) ** 2
        found["PSNR 0-50 [paper]"].append(-10 * np.log10(error[inner].mean()))
        found["PSNR 50-100 [refvsr]"].append(-10 * np.log10(error[~inner].mean()))
    return {column: np.mean(values) for column, values in found.items()}


# ----------------------------------------------------------------------------------------------------------- a folder
def test_a_folder_is_filmed_the_same_way_every_time(folder):
    first, again = (list(evaluate_vsr.open_clips(folder, 2)) for _ in range(2))
    assert [(clip.name, clip.count) for clip in first] == [("p0", 2), ("p1", 2)]
    for one, other in zip(first, again, strict=True):
        moment, same = one.load(1), other.load(1)
        for field in dataclasses.fields(moment):
            np.testing.assert_array_equal(getattr(moment, field.name), getattr(same, field.name))
        assert moment.frame.shape == moment.wide.shape == moment.tele.shape == (16, 16, 3)
        assert moment.truth.shape == (64, 64, 3)


def test_bicubic_on_a_folder(folder, tmp_path, capsys):
    out, pictures = tmp_path / "r.json", tmp_path / "pictures"
    command = ["evaluate", "vsr", "--data", folder, "--method", "bicubic", "--limit", "2", "--json", str(out)]
    assert cli.main([*command, "--pictures", str(pictures)]) == 0
    shown = capsys.readouterr()
    assert "bicubic p1, 2 frames" in shown.err
    row = table_of(shown.out)["bicubic"]
    assert row["images"] == "4"
    moments = [clip.load(t) for clip in evaluate_vsr.open_clips(folder, 2) for t in range(2)]
    for column, value in expected_of(moments).items():
        assert float(row[column]) == pytest.approx(value, abs=1e-3), column
    assert {path.name for path in pictures.iterdir()} == {
        *("p0_bicubic.png", "p0_bicubic_truth.png", "p1_bicubic.png", "p1_bicubic_truth.png")
    }
    (saved,) = json.loads(out.read_text())["rows"]
    assert set(saved["all"]) > {f"SSIM {part} [{rule}]" for part in metrics_fov.RANGES for rule in metrics_fov.RULES}
    # A second run takes its scores from the journal.
    assert cli.main([*command, "--pictures", str(pictures)]) == 0
    assert capsys.readouterr().err == ""


def test_confidences_of_two_references_become_pictures(folder, tiny, tmp_path):
    """Accumulated forwards, the confidence is that of the moment or larger, but for what has left the view."""
    chosen = engines.engine(tiny)
    (clip, *_) = evaluate_vsr.open_clips(folder, 3)
    found = list(evaluate_vsr.restored(chosen, clip))
    assert len(found) == 3
    for image, confidence, accumulated in found:
        assert image.shape == (64, 64, 3)
        assert confidence.shape == accumulated.shape == (16, 16)
        assert (accumulated >= confidence - 1e-6).all()
        assert 0 <= confidence.min() < confidence.max() <= 1
    reference = evaluate_vsr.references_of(chosen, clip.load(1))
    prepared = chosen.prepare(clip.load(1).frame.astype(np.float32) / 255, reference, None)[0]
    np.testing.assert_allclose(found[1][1], np.asarray(prepared["confidence"])[0].max(-1), atol=1e-5)
    assert evaluate_vsr.parameters(chosen) == sum(
        np.size(x) for x in jax.tree.leaves({k: v for k, v in tiny.params["params"].items() if k != "flow_network"})
    )
    evaluate_vsr.write_pictures(tmp_path / "a.png", *(x for x in (found[1][0], found[1][0], *found[1][1:])))
    picture = np.asarray(Image.open(tmp_path / "a_accumulated.png")).astype(int).sum(-1)
    brightest = np.unravel_index(np.argmax(found[1][2]), (16, 16))
    assert picture[brightest] == picture.max()


def test_a_network_for_two_references_says_that_one_is_not_enough(tiny):
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    from restore_jax.video import stream

    with pytest.raises(InputError, match="need two reference videos"):
        next(stream.super_resolve(frames, frames, weights=tiny))


def test_a_network_of_single_frames_sees_the_reference_as_fine_as_its_output(folder):
    moment = next(evaluate_vsr.open_clips(folder, 1)).load(0)
    chosen = types.SimpleNamespace(references=("wide",), multiple=4, matched_scale=4.0)
    found = evaluate_vsr.references_of(chosen, moment)
    size = tuple(2 * side for side in moment.wide.shape[1::-1])
    expected = cv2.resize(moment.wide.astype(np.float32) / 255, size, interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=1e-3)


# ---------------------------------------------------------------------------------------------------------- RealMCVSR
@pytest.fixture(scope="module")
def built(tmp_path_factory):
    layouts = data_prep.layouts("realmcvsr")
    kept = dict(layouts)
    for (config, layout), by in zip(kept.items(), (1, 2, 4), strict=True):
        splits = {"test": sum(COUNTS.values())}
        layouts[config] = dataclasses.replace(layout, size=(SIZE[1] // by, SIZE[0] // by), splits=splits)
    tree, out = tmp_path_factory.mktemp("tree") / "RealMCVSR", tmp_path_factory.mktemp("data")
    for number, camera in enumerate(("UW", "W", "T")):
        for clip, count in COUNTS.items():
            for t in range(count):
                path = tree / "test" / "HR" / camera / clip / f"{t:04}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(dead_leaves(np.random.default_rng([number, int(clip), t]), SIZE)).save(path)
    reduce_tree(tree, 4)
    for config in ("hr", "lrx4"):
        data_prep.build(f"realmcvsr/{config}", tree.parent, out, partial=True)
    yield out
    layouts.update(kept)


def test_tables_on_realmcvsr(built, monkeypatch, capsys):
    monkeypatch.setattr(catalogue, "data_folder", lambda: built)
    monkeypatch.setattr(costs, "costs", lambda *arguments: {})  # counting takes a minute
    clips = list(evaluate_vsr.open_clips("realmcvsr_partial"))
    assert [(clip.name, clip.count) for clip in clips] == list(COUNTS.items())
    moment = clips[1].load(1)
    np.testing.assert_array_equal(moment.truth, dead_leaves(np.random.default_rng([0, 10, 1]), SIZE))
    np.testing.assert_array_equal(moment.tele, imresize(dead_leaves(np.random.default_rng([2, 10, 1]), SIZE), 0.25))
    expected = expected_of([clip.load(t) for clip in clips for t in range(clip.count)])
    for number, columns in (("5.5", ("PSNR [refvsr]", "SSIM [refvsr]")), ("5.6", ("PSNR 0-50 [paper]",))):
        assert cli.main(["tables", number, "--data", "realmcvsr_partial", "--quiet"]) == 0
        shown = capsys.readouterr().out
        row = table_of(shown)["Bicubic"]
        assert row["images"] == "5"
        for column in columns:
            assert float(row[column]) == pytest.approx(expected[column], abs=1e-3)
        assert "missing: Ours-l1: no weights; train by: restore-jax train --config=configs/refvsr.py:l1" in shown
    assert row["PSNR 50-70 printed"] == "26.4200"
    assert table_of(shown)["Ours-IR-l1"]["params (M) printed"] == "4.7740"


def test_the_tables_are_the_dissertations():
    """Sums of the printed columns."""
    psnr = {"5.1": 152.65, "5.2": 93.70, "5.3": 123.48, "5.4": 122.04, "5.5": 544.01}
    for number, total in psnr.items():
        rows = chapter5.table(number).rows
        assert sum(row.printed["PSNR"] for row in rows) == pytest.approx(total, abs=1e-6)
    rows = chapter5.table("5.6").rows
    assert sum(row.printed["PSNR 0-50"] for row in rows) == pytest.approx(195.00)
    assert sum(row.printed["SSIM 50-100"] for row in rows) == pytest.approx(5.521)
    roles = {row.role for number in chapter5.TABLES for row in chapter5.table(number).rows}
    assert roles == {"bicubic", *published.VIDEO}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["vsr"], "evaluate vsr: needs --data NAME|FOLDER"),
        (["vsr", "--data", "nowhere"], "nowhere: no such folder, and not one of realmcvsr"),
        (["vsr", "--data", ".", "--method", "zhuo"], "--method zhuo: is not one of bicubic, refvsr"),
    ],
)
def test_what_does_not_fit_is_one_line(command, said, capsys):
    assert cli.main(["evaluate", *command]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_pictures_and_a_picture_too_small(tmp_path):
    with pytest.raises(InputError, match="holds neither photographs nor videos"):
        list(evaluate_vsr.open_clips(str(tmp_path)))
    Image.new("RGB", (100, 200)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match="100x200 is too small; 128 pixels a side are needed"):
        evaluate_vsr.measure(str(tmp_path), "bicubic", evaluate.Options(), "bicubic")
