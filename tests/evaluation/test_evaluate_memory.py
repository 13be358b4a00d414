"""Tables of chapter VI on virtual clips: what is remembered, adaptation clip by clip, balance of fields of view."""

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from restore_jax import cli, weights
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.evaluation import chapter6, costs, published
from restore_jax.evaluation import vsr as evaluate_vsr
from tests.random_weights import by_size, restorer

OPTIONS = {"num_feat": 4, "num_blocks": 1, "memory": {"keys": 4, "basis": 6, "size": 8}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos")
    Image.fromarray(dead_leaves(np.random.default_rng(0), (140, 150))).save(path / "p0.png")
    return str(path)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The smallest network with memory, of random weights."""
    params = restorer("basicvsr", lambda shape: by_size(shape) / 2, **OPTIONS).params
    path = tmp_path_factory.mktemp("weights") / "final.safetensors"
    weights.save(path, params, "basicvsr", OPTIONS)
    return str(path)


@pytest.fixture(autouse=True)
def no_cache_and_no_counts(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")
    monkeypatch.setattr(costs, "costs", lambda *arguments: {})  # counting takes a minute


def rows_of(capsys, number, folder, *more):
    command = ["tables", number, "--data", folder, "--limit", "2", "--quiet", *more]
    assert cli.main(command) == 0
    header, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if line[:1] == "|"
    ]
    return {cells[0]: dict(zip(header[1:], cells[1:], strict=True)) for cells in lines}


def test_what_is_remembered_before_and_after_it_was_learnt(folder, file, capsys):
    rows = rows_of(capsys, "6.4", folder, "--weights", f"basicvsr_memory={file}")
    (clip,) = evaluate_vsr.open_clips(folder, 2)
    loaded = weights.load(file)
    expected = []
    for number in range(clip.count):
        reference = clip.load(number).wide.astype(np.float32)[None] / 255
        result = loaded.model.apply(loaded.params, reference, method="reconstruct_reference")
        expected.append(peak_signal_noise_ratio(reference[0], np.clip(result[0], 0, 1), data_range=1))
    before, sampled, after = (float(row["reconstruction PSNR [refvsr]"]) for row in rows.values())
    assert before == pytest.approx(np.mean(expected), abs=1e-3)
    assert sampled == after > before  # a clip of two frames has no other to sample
    assert rows["training videos"]["reconstruction PSNR printed"] == "33.9100"


def test_weights_without_a_memory_are_named(folder, capsys):
    command = ["tables", "6.4", "--data", folder, "--limit", "1", "--quiet"]
    assert cli.main([*command, "--weights", "basicvsr_memory=basicvsr-small"]) == 0
    assert "weights basicvsr-small: have no reference memory" in capsys.readouterr().out


def test_the_gap_between_inside_and_outside(folder, capsys):
    row = rows_of(capsys, "6.3", folder)["Bicubic"]
    for metric in ("PSNR", "SSIM"):
        inside, outside = (float(row[f"{metric} {part} [refvsr]"]) for part in ("0-50", "50-100"))
        gap = 100 * abs(inside - outside) / max(inside, outside)
        assert float(row[f"{metric} gap % [refvsr]"]) == pytest.approx(gap, abs=0.02)


def test_the_tables_are_the_dissertations():
    """Sums of the printed columns; the printed gaps are those of the printed values."""
    for number, total in {"6.1": 169.25, "6.2": 324.15, "6.4": 102.40}.items():
        assert sum(row.printed["PSNR"] for row in chapter6.table(number).rows) == pytest.approx(total)
    rows = chapter6.table("6.5").rows
    assert sum(row.printed["reconstruction PSNR"] for row in rows) == pytest.approx(332.07)
    for row in chapter6.table("6.3").rows:
        inside, outside = row.printed["PSNR 0-50"], row.printed["PSNR 50-100"]
        assert row.printed["PSNR gap %"] == pytest.approx(100 * abs(inside - outside) / max(inside, outside), abs=0.2)
    known = {"bicubic", *published.NETWORKS}
    for number in chapter6.TABLES:
        for row in chapter6.table(number).rows:
            assert row.role.partition("+")[0] in known
