"""The dissertation's tables: what is printed, counted and missing; files; deblurring measured; training of the rows."""

import json
import math

import jax
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restore_jax import cli, models, restore, weights
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.errors import InputError, install_line
from restore_jax.evaluation import chapter4, published, tables
from restore_jax.evaluation import costs as counts
from restore_jax.evaluation import deblur as evaluate_deblur
from restore_jax.evaluation import rendered as tables_rendered
from restore_jax.evaluation import rows as evaluate
from restore_jax.io import atomic
from restore_jax.plots import charts
from restore_jax.train.config import load_config
from tests.places import ROOT

SMALL = {"width": 4, "num_filters": 2, "disparity": False}


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")
    monkeypatch.setenv("RESTORE_JAX_DATA", str(tmp_path / "datasets"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two pairs of 48x40 pixels."""
    path = tmp_path_factory.mktemp("pairs")
    for number in range(2):
        sharp = dead_leaves(np.random.default_rng(number), (40, 48))
        for view, picture in (("sharp", sharp), ("blurred", (sharp.astype(int) * 2 // 3 + 40).astype(np.uint8))):
            (path / view).mkdir(exist_ok=True)
            Image.fromarray(picture).save(path / view / f"p{number}.png")
    return path


def save(path, options=SMALL):
    """Random weights of a small IFAN."""
    rng = np.random.default_rng(0)
    shapes = models.variable_shapes(models.create("ifan", **options))
    params = jax.tree.map(lambda x: rng.normal(0, 0.02, x.shape).astype(np.float32), shapes)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights.save(path, params, "ifan", options)
    return path


def rows_of(text):
    header, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"
    ]
    return {cells[0]: dict(zip(header[1:], cells[1:], strict=True)) for cells in lines}


# -------------------------------------------------------------------------------------------------------------- counts
@pytest.mark.parametrize("role", published.NETWORKS)
def test_every_row_has_its_config(role):
    """The config that a missing row names is there, and is of the network that is counted."""
    network = published.NETWORKS[role]
    config, *overrides = f"{ROOT}/configs/{network.config}".split(" ")
    config = load_config(config, overrides)
    assert config.model.name == network.name
    options = models.create(network.name, **config.model.options.to_dict())
    ours = network.create()
    for name in ours.__dataclass_fields__:
        if name not in (*published.TRAINING, "parent", "name"):
            assert getattr(options, name) == getattr(ours, name), name
    if network.name == "refvsr" and role not in ("ir", "ir_l1"):
        assert config.data.num_frames == network.frames


@pytest.mark.parametrize(
    ("role", "parameters"),  # docs/networks.md, of the published checkpoints
    [
        *(("ifan", 10_476_996), ("ifan_n44", 13_597_764), ("dpdnet_s", 31_033_423)),
        *(("dpdnet_d", 31_035_151), ("bdcs", 26_939_819), ("ttsr_l1", 6_729_615)),
    ],
)
def test_parameters_are_those_of_the_published_networks(role, parameters):
    shapes = models.variable_shapes(published.network(role).create())
    assert counts.parameters(shapes["params"]) == parameters


def test_a_memory_is_counted_by_its_layers():
    k, b, m, h, w = 64, 128, 128, 64, 32
    found = counts.costs("k64,b128,m128", (h, w))
    encoder = (27 * 64 + 64) + (9 * 64 * 64 + 64) + (9 * 64 * k + k)
    assert found["params (M)"] * 1e6 == pytest.approx(k * m + m * b + encoder + 9 * b * 12 + 12)
    pixels = h * w // 4
    per_pixel = 27 * 64 + 9 * 64 * 64 + 9 * 64 * k + k * m
    by_basis = 9 * b * 12 * pixels + m * b * pixels  # looked up, then convolved
    by_kernel = (m * b + m * pixels) * 9 * 12  # the kernel applied to the basis
    assert found["MACs (G)"] * 1e9 <= per_pixel * pixels + max(by_basis, by_kernel)
    assert found["MACs (G)"] * 1e9 >= per_pixel * pixels


def test_only_counts_off_by_more_than_a_hundredth_are_explained():
    printed = {"params (M)": 10.0, "MACs (G)": 100.0}
    assert counts.differences("4.1", "ifan", printed, {"params (M)": 10.09, "MACs (G)": 99.1}) == {}
    found = counts.differences("4.1", "ifan_f", printed, {"params (M)": 10.2, "MACs (G)": 90.0})
    assert found["params (M)"].startswith("10.2 counted, 10 printed (+2.0 %): the table prints one number")
    assert found["MACs (G)"].endswith("not explained")
    assert {key[-2].partition("+")[0] for key in counts.REASONS} <= published.NETWORKS.keys()


# -------------------------------------------------------------------------------------------------------------- tables
def test_what_is_printed():
    """Read in the dissertation, and sums of its columns."""
    rows = {number: {row.label: row.printed for row in chapter4.table(number).rows} for number in chapter4.TABLES}
    assert rows["4.1"]["FR"] == {
        **{"PSNR": 25.28, "SSIM": 0.780, "MAE": 0.0400, "LPIPS": 0.245, "params (M)": 10.48, "MACs (G)": 362.9}
    }
    assert rows["4.2"]["EBDB"] == {"PSNR": 23.94, "SSIM": 0.723, "MAE": 0.0468, "LPIPS": 0.402, "s": 96.58}
    assert rows["4.2"]["DPDNet-D"]["MACs (G)"] == 991.4
    assert rows["4.6"]["44 (89)"]["params (M)"] == 13.60
    assert rows["4.8"]["0.21"]["LPIPS"] == 0.224
    psnr = {
        "4.1": 150.75,
        "4.2": 170.05,
        "4.3": 136.86,
        "4.4": 74.92,
        "4.5": 51.22,
        "4.6": 126.82,
        "4.7": 50.55,
        "4.8": 76.14,
    }
    for number, total in psnr.items():
        assert sum(printed["PSNR"] for printed in rows[number].values()) == pytest.approx(total), number
    printed = {row.role: row.printed for row in tables.open_table("5.4").rows}
    assert printed["match_frames"]["MACs (G)"] == 9364
    assert printed["ours"]["MACs (G)"] == 2737
    fifth, sixth = ({row.role: row.printed for row in tables.open_table(n).rows} for n in ("5.5", "6.2"))
    assert {role for role in fifth if fifth[role] == sixth.get(role)} == {
        *("bicubic", "rcan", "ttsr_l1", "dcsr_l1", "edvr_m", "edvr", "basicvsr", "iconvsr")
    }
    assert sixth["ir_l1"]["PSNR"] == 34.74


def test_a_table_without_data_and_weights(tmp_path, capsys):
    files = [tmp_path / name for name in ("t.json", "t.md", "t.png")]
    options = [text for pair in zip(("--json", "--markdown", "--plot"), map(str, files), strict=True) for text in pair]
    assert cli.main(["tables", "4.2", "--quiet", *options]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert files[1].read_text() == shown.out
    row = rows_of(shown.out)["DPDNet-S"]
    assert (row["PSNR printed"], row["params (M)"], row["params (M) printed"]) == ("24.0300", "31.0334", "35.2500")
    assert "- DPDNet-S, params (M): 31.03 counted, 35.25 printed (-12.0 %): the published checkpoint" in shown.out
    for line in (
        "Input, JNB, EBDB, DMENet, DPDNet-S, DPDNet-D, Ours: needs dpdd/png8: restore-jax data build dpdd/png8 TREE",
        "Ours: no weights; train by: restore-jax train --config=configs/ifan.py --workdir=runs/ifan, then add",
    ):
        assert f"- missing: {line}" in shown.out
    saved = json.loads(files[0].read_text())
    assert saved["counted_for"] == {"width": 1280, "height": 720}
    ours = saved["rows"][-1]
    assert ours["values"]["MACs (G)"] == pytest.approx(362.9, rel=0.005)  # as printed
    assert len(ours["missing"]) == 2
    assert ours["counts_differ"] == {}
    with Image.open(files[2]) as picture:
        assert picture.size == (1120, 800)


def test_files_are_whole_or_as_they_were(tmp_path, monkeypatch):
    kept = tmp_path / "t.json"
    kept.write_text("kept")
    monkeypatch.setattr(atomic, "write", lambda path, data: (_ for _ in ()).throw(InputError(f"{path}: disk is full")))
    assert cli.main(["tables", "--quiet", "--json", str(kept)]) == 2
    assert kept.read_text() == "kept"


def test_the_overview_names_every_table_and_what_it_needs(tmp_path, capsys):
    file = save(tmp_path / "w.safetensors")
    assert cli.main(["tables", "--weights", f"ifan={file}", "--json", str(tmp_path / "o.json")]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert list(rows) == [number for number in tables.NUMBERS if number != "fig3.6"]
    assert rows["4.7"]["weights at hand"] == "1 of 2"
    assert rows["6.5"]["data"] == "needs realmcvsr: restore-jax data build realmcvsr TREE"
    assert rows["3.2"]["data"].count("needs") == 2
    found = {line["table"]: line for line in json.loads((tmp_path / "o.json").read_text())["tables"]}
    assert found["4.7"]["weights missing"] == "ifan_fac"
    for part in ("lrx4", "hr"):
        (tmp_path / "datasets" / "realmcvsr" / part / "1.0.0").mkdir(parents=True)
    assert tables.missing_data("realmcvsr") == ""


def test_a_table_on_a_folder_of_pairs(pairs, tmp_path, capsys):
    file = save(tmp_path / "w.safetensors")
    command = ["tables", "4.7", "--data", str(pairs), "--weights", f"ifan={file}", "--json", str(tmp_path / "t.json")]
    assert cli.main([*command, "--size", "64x32", "--all-conventions"]) == 0
    shown = capsys.readouterr()
    assert "ifan 2/2 p1" in shown.err
    table, by_convention = shown.out.split("\n|  | convention |")
    row = rows_of(table)["IAC"]
    loaded = weights.load(str(file))
    psnr, ssim = [], []
    for number in range(2):
        sharp, blurred = (
            np.asarray(Image.open(pairs / view / f"p{number}.png"), np.float32) / 255 for view in ("sharp", "blurred")
        )
        result = restore.restore(loaded.model, loaded.params, blurred)
        psnr.append(peak_signal_noise_ratio(sharp, result, data_range=1))
        ssim.append(structural_similarity(sharp, result, data_range=1, channel_axis=-1))
    assert float(row["PSNR [ifan]"]) == pytest.approx(np.mean(psnr), abs=2e-3)
    assert float(row["SSIM [ifan]"]) == pytest.approx(np.mean(ssim), abs=2e-3)
    assert (row["images"], row["PSNR printed"]) == ("2", "25.3700")
    assert "- missing: FAC: no weights; train by: restore-jax train --config=configs/ifan_fac.py" in table
    size = sum(x.size for x in jax.tree.leaves(loaded.params))
    assert f"- missing: IAC: weights of the table's network: those given are of one of {size / 1e6:.4g} M" in table
    assert "64x32 input" in table
    assert [line.split("|")[2].strip() for line in by_convention.splitlines()[2:] if "IAC" in line] == [
        *("ifan", "refvsr", "basicsr-y", "basicsr-y-crop4", "basicsr-rgb")
    ]
    # A second run takes its scores from the journal.
    assert cli.main([*command, "--quiet", "--size", "64x32", "--all-conventions"]) == 0
    assert rows_of(capsys.readouterr().out.split("\n|  | convention |")[0])["IAC"] == row


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["4.9"], "no table 4.9: there are 3.1 to 3.3"),
        (["3.1", "--data", "."], "table 3.1: its rows say which data"),
        (["4.2", "--data", "nowhere"], None),
        (["4.2", "--weights", "w.safetensors"], "say whose, as in ours_l1=w.safetensors"),
        (["4.2", "--weights", "ifan=nowhere"], "nowhere: no such weights"),
        (["5.5", "--weights", "ours_L1=refvsr"], "no row is named 'ours_L1'; the nearest are ours_l1, "),
        (["4.2", "--size", "9x9"], "9x9: sides are at least 32"),
        (["4.2", "--json", "."], "is a folder"),
        (["--plot", "p.png"], "give the number of a table"),
        (["3.1", "--plot", "p.png", "--quiet"], "table 3.1: has no quality against MACs"),
        (["--rendered", "--only", "4.4"], "--only 4.4: what can be trained is 4.1, 4.2"),
        (["--rendered", "--data", "nowhere"], "nowhere: no such folder"),
        (["4.1", "--only", "4.1"], "go with --rendered"),
    ],
)
def test_what_does_not_fit_is_one_line(command, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if said is None:  # a row's problem, not the command's
        assert cli.main(["tables", *command, "--quiet"]) == 0
        assert "nowhere: no such folder" in capsys.readouterr().out
        return
    assert cli.main(["tables", *command]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_plot_has_a_point_where_it_was_measured():
    points = {"a": (100.0, 20.0, None), "b": (1000.0, None, 30.0), "c": (316.2277660, 25.0, 20.0)}
    picture = charts.draw_scatter(points, "MACs (G)", "PSNR").astype(int)
    # The axes leave a tenth of the values' range free on each side.
    left, right = 80 + 960 * np.array([1, 11]) / 12
    top, bottom = 80 + 640 * np.array([1, 11]) / 12
    full, ring = np.array([0, 114, 178]), np.array([213, 94, 0])  # the first two colours
    np.testing.assert_allclose(picture[round(bottom), round(left)], full, atol=8)
    assert picture[round(top), round(right)].min() >= 0xE0  # empty, but for a line of the grid
    np.testing.assert_allclose(picture[round(top), round(right) + 6], ring, atol=30)
    assert charts.draw_scatter({"alone": (1.0, 1.0, None)}, "x", "y").shape == picture.shape


def test_without_matplotlib_a_plot_is_refused_before_anything_is_counted(monkeypatch, capsys):
    monkeypatch.setattr(charts.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["tables", "4.2", "--plot", "4.2.png"]) == 2
    assert capsys.readouterr().err == f"restore-jax: --plot: needs Matplotlib: {install_line('plots')}\n"


# ---------------------------------------------------------------------------------------------------------- deblurring
def test_deconvolution_by_a_map_is_a_method(pairs, capsys):
    command = ["evaluate", "deblur", "--data", str(pairs), "--method", "input", "zhuo", "--limit", "1", "--quiet"]
    assert cli.main([*command, "--all-conventions"]) == 0
    out = capsys.readouterr().out
    rows = rows_of(out.split("\n|  | convention |")[0])
    sharp, blurred = (np.asarray(Image.open(pairs / v / "p0.png"), np.float32) / 255 for v in ("sharp", "blurred"))
    assert float(rows["input"]["PSNR [ifan]"]) == pytest.approx(
        peak_signal_noise_ratio(sharp, blurred, data_range=1), abs=1e-3
    )
    assert float(rows["input"]["MAE [ifan]"]) == pytest.approx(np.abs(sharp - blurred).mean(), abs=1e-4)
    assert rows["zhuo"]["PSNR [ifan]"] != rows["input"]["PSNR [ifan]"]
    assert out.count("basicsr-y-crop4 |") == 2
    from restore_jax.defocus import estimate_defocus
    from restore_jax.ops.deconv import deconvolve

    restored = evaluate_deblur.deblurring("zhuo", data="realdof")({"blurred": blurred})
    expected = deconvolve(blurred, estimate_defocus(blurred, method="zhuo"), weight=4.2)
    np.testing.assert_array_equal(restored, np.clip(expected, 0, 1))


@pytest.mark.parametrize(
    ("method", "said"),
    [("ifan", "need dual-pixel views"), ("bicubic", "is not one of input, ifan"), ("dpdnet", "no such weights")],
)
def test_what_cannot_deblur(method, said, pairs, tmp_path, capsys):
    file = save(tmp_path / "w.safetensors", {**SMALL, "input": "dual"})
    command = ["evaluate", "deblur", "--data", str(pairs), "--method", method]
    assert cli.main([*command, *(["--weights", str(file)] if method == "ifan" else [])]) == 2
    assert said in capsys.readouterr().err


def test_a_pair_that_lacks_a_picture(pairs, tmp_path):
    for view in ("blurred", "sharp"):
        (tmp_path / view).mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "blurred" / "a.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "sharp" / "b.png")
    with pytest.raises(InputError, match=r"a\.png: has no sharp picture"):
        evaluate_deblur.open_pairs(str(tmp_path)).load(0)
    Image.new("RGB", (40, 32)).save(tmp_path / "sharp" / "a.png")
    with pytest.raises(InputError, match="a: its views differ in size: blurred 32x32, sharp 40x32"):
        evaluate_deblur.open_pairs(str(tmp_path)).load(0)


# ------------------------------------------------------------------------------------------------------------ rendered
def test_agreement_counts_pairs():
    """By hand: printed a < b < c = d; measured b < a < c < d, a and b within their spread."""
    rows = [
        (label, {"PSNR [ifan]": scores, "SSIM [ifan]": [0.5, 0.5]}, {"PSNR": printed})
        for label, scores, printed in (
            *(("a", [20.0, 20.4], 1.0), ("b", [19.9, 20.3], 2.0)),
            *(("c", [25.0, 25.2], 3.0), ("d", [26.0, 26.2], 3.0)),
        )
    ]
    claims = tables_rendered.Claims("4.1", "t", rows)
    assert tables_rendered.agreement(claims) == (5, 4, 4, 4)
    found = tables_rendered.Found([claims], tables_rendered.Budget(3, 2), {"trained on": "x"})
    shown = rows_of(tables_rendered.markdown(found))
    assert (shown["a"]["PSNR"], shown["a"]["by seed"]) == (f"20.20 ± {math.sqrt(0.08):.2f}", "20.00, 20.40")
    assert [row["place"] for row in shown.values()] == ["3", "4", "2", "1"]
    assert [row["place printed"] for row in shown.values()] == ["4", "3", "1", "1"]
    assert "4 of 5 pairs of rows are in the printed order; of the 4" in tables_rendered.markdown(found)
    assert json.loads(tables_rendered.as_json(found))["tables"][0]["agreement"]["ordered"] == 4


def test_rows_are_trained_at_one_budget():
    """Configs of all rows: equal steps, data and optimiser; what differs is what the row is about."""
    roles = {
        row.role.partition("+")[0]
        for number in tables_rendered.NUMBERS
        for row in tables.open_table(number).rows
        if published.network(row.role) and row.role != "bdcs"
    }
    assert len(roles) == 18
    seen = {}
    for role in roles:
        config = tables_rendered.budgeted(role, 1, 60, ())
        used = ("name", "rate", "final_rate", "weight_decay", "schedule", "warmup_steps", "clip", "skip_nonfinite")
        shared = {name: config.optim[name] for name in used}
        kind = "deblur" if role in published.DEBLUR else "video"
        data = {name: config.data[name] for name in ("source", "size", "batch_size", "cache_mb")}
        seen.setdefault(kind, []).append((config.total_steps, config.seed, shared, data))
        models.create(config.model.name, **config.model.options)
    for kind, budgets in seen.items():
        assert all(budget == budgets[0] for budget in budgets), kind


def test_what_is_trained_is_not_trained_again(tmp_path, monkeypatch):
    from restore_jax import train

    calls = []

    def stub(config, folder):
        calls.append(config)
        return save(folder / "final.safetensors", {**SMALL, "filtering": config.model.options.get("filtering", "iac")})

    monkeypatch.setattr(train, "train", stub)
    held = tmp_path / "photos"
    held.mkdir()
    Image.fromarray(dead_leaves(np.random.default_rng(0), (210, 220))).save(held / "p.png")
    monkeypatch.setattr(tables_rendered, "SIDE", 32)
    budget = tables_rendered.Budget(5, 2)
    arguments = (("4.7",), budget, tmp_path / "work", (), str(held), evaluate.Options())
    found = tables_rendered.run(*arguments)
    assert len(calls) == 4
    ((fac, iac),) = [claims.rows for claims in found.claims]
    assert fac[1]["PSNR [ifan]"][0] == fac[1]["PSNR [ifan]"][1]  # the stub's weights are the same for every seed
    assert fac[1] != iac[1]
    again = tables_rendered.run(*arguments)
    assert len(calls) == 4
    assert again.claims == found.claims
    views = {path.name for path in next((tmp_path / "work").glob("held_out-*/pairs")).iterdir()}
    assert views == {"blurred", "sharp", "left", "right"}
    # Memory goes on from its backbone.
    path = tables_rendered.trained("basicvsr_memory", 0, budget, tmp_path / "work", (), evaluate.Options())
    assert path.exists()
    assert [config.model.name for config in calls[4:]] == ["basicvsr", "basicvsr"]
    assert calls[5].backbone.startswith(str(tmp_path / "work" / "basicvsr-0-"))
    assert calls[5].model.options.memory["keys"] == 32
