"""bench.py at a tiny size: what the table and the JSON hold and that they agree; nothing depends on time.

PyTorch need not be installed: a stand-in takes the place of tools/torch_ifan.py.
"""

import json
import statistics

import pytest

from restore_jax import cli, models
from restore_jax.bench import macs
from restore_jax.bench import networks as bench
from restore_jax.bench import programs as bench_programs

TINY = ["--size", "64x48", "--width", "4", "--filters", "2", "--repeats", "3"]
MEMORY = {False: {"process": 500_000_000, "run": 30_000_000}, True: {"process": 250_000_000, "run": 60_000_000}}
STAND_IN = """
def ifan_run(height, width, channels, filters, dtype):
    assert (height, width, channels, filters, dtype) == (48, 64, 4, 2, "float32")
    return lambda: sum(range(1000))

def iac_run(height, width, channels, filters, dtype):
    assert (height, width, channels, filters, dtype) == (6, 8, 16, 2, "float32")
    return lambda: sum(range(1000))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(what was printed, the JSON) of one run of everything."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "torch_ifan.py").write_text(STAND_IN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_programs, "torch_file", lambda: folder / "torch_ifan.py")
        patch.setattr(bench_programs, "why_no_torch", lambda: None)
        patch.setattr(bench, "fresh_memory", lambda settings, torch: MEMORY[torch])
        printed = []
        patch.setattr("builtins.print", lambda *words, end="\n", file=None, **_: file or printed.append(*words or [""]))
        assert cli.main(["bench", "ifan", "iac", "--torch", *TINY, "--json", str(folder / "bench.json")]) == 0
    return "\n".join(printed), json.loads((folder / "bench.json").read_text())


def test_every_program_is_there_once(ran):
    assert [(row["name"], row["size"]) for row in ran[1]["rows"]] == [
        ("3x3 convolution", "8x6x16"),
        ("3x3 convolution", "64x48x4"),
        ("IAC", "8x6x16 N=2"),
        ("predict and IAC", "8x6x16 N=2"),
        ("IAC, forward", "8x6x6x16 N=2"),
        ("IAC, gradient step", "8x6x6x16 N=2"),
        ("predict and IAC, forward", "8x6x6x16 N=2"),
        ("predict and IAC, gradient step", "8x6x6x16 N=2"),
        ("IAC, PyTorch", "8x6x16 N=2"),
        ("IFAN N=2 width 4", "64x48"),
        ("IFAN N=2 width 4, PyTorch", "64x48"),
    ]


def test_the_numbers_of_a_row_agree(ran):
    rows = ran[1]["rows"]
    for row in rows:
        assert len(row["seconds"]) == 3
        assert row["minimum"] == min(row["seconds"]) > 0
        assert row["median"] == statistics.median(row["seconds"])
        assert (row["compile_seconds"] is None) == row["name"].endswith("PyTorch")
        if row["macs"]:
            assert row["gflops"] * row["median"] == pytest.approx(2e-9 * row["macs"])
    plain = [row["share"] for row in rows if row["name"] == bench_programs.PLAIN]
    assert max(plain) == 1
    assert [row["share"] is None for row in rows] == [row["macs"] is None for row in rows]
    best = max(row["gflops"] for row in rows if row["name"] == bench_programs.PLAIN)
    assert all(row["share"] == pytest.approx(row["gflops"] / best) for row in rows if row["macs"])


def test_costs_are_those_of_the_networks(ran):
    cost = {row["name"]: row["macs"] for row in ran[1]["rows"]}
    assert cost["IFAN N=2 width 4"] == macs.restoring_macs(models.create("ifan", width=4, num_filters=2), 48, 64)
    assert cost["predict and IAC"] == 6 * 8 * 2 * 7 * 16 * 16
    assert cost["predict and IAC, forward"] == 8 * 6 * 6 * 2 * 7 * 16 * 16
    # The prediction twice (going back the bias is not needed again), then the gradients of code and kernel.
    assert 27 / 7 <= cost["predict and IAC, gradient step"] / cost["predict and IAC, forward"] <= 4
    assert cost["IAC"] is None


def test_ratios_are_those_of_the_rows(ran):
    median = {(row["name"], row["size"]): row["median"] for row in ran[1]["rows"]}
    pairs = {(r["of"], r["to"]): r for r in ran[1]["ratios"]}
    assert set(pairs) == {
        ("IAC", "IAC, PyTorch"),
        ("IAC, gradient step", "IAC, forward"),
        ("predict and IAC, gradient step", "predict and IAC, forward"),
        ("IFAN N=2 width 4", "IFAN N=2 width 4, PyTorch"),
    }
    for (of, to), pair in pairs.items():
        assert pair["time"] == pytest.approx(median[of, pair["size"]] / median[to, pair["size"]])
    network = pairs["IFAN N=2 width 4", "IFAN N=2 width 4, PyTorch"]
    assert (network["process"], network["run"]) == (2, 0.5)


def test_the_table_prints_the_rows(ran):
    lines = [line for line in ran[0].splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [len(line) for line in cells] == [10] * (2 + len(ran[1]["rows"]))
    assert set("".join(cells[1])) == {"-"}
    for line, row in zip(cells[2:], ran[1]["rows"], strict=True):
        assert line[:2] == [row["name"], row["size"]]
        assert float(line[2]) == pytest.approx(1e3 * row["median"], abs=0.0051)
        assert float(line[3]) == pytest.approx(1e3 * row["minimum"], abs=0.0051)
        assert (line[4] == "-") == (row["macs"] is None)
    assert cells[-2][8:] == ["30", "500"]
    assert cells[-1][8:] == ["60", "250"]


def test_the_machine_and_the_ratios_are_printed(ran):
    text, facts = ran[0], ran[1]["machine"]
    assert f"{facts['cores']} cores, jax {facts['jax']}" in text
    assert facts["device"] == "1 x cpu"
    assert text.count(": time ") == 4
    assert "memory 0.50 (whole process 2.00)" in text
    assert "no comparison" not in text


def test_memory_comes_from_a_process_of_its_own():
    memory = bench_programs.fresh_memory(bench_programs.Settings(64, 64, 4, 2, "float32"), torch=False)
    assert 0 < memory["run"] < memory["process"]
    assert memory["process"] > 50_000_000, "JAX alone takes more"


def test_a_failing_memory_process_is_told_in_one_line():
    with pytest.raises(RuntimeError, match=r"memory failed: .*float7") as raised:
        bench_programs.fresh_memory(bench_programs.Settings(64, 64, 4, 2, "float7"), torch=False)
    assert "\n" not in str(raised.value)


# -------------------------------------------------------------------------------------------------------------- options
@pytest.fixture
def asked(monkeypatch):
    """Records what would be measured."""
    calls = []
    row = {"name": bench_programs.PLAIN, "size": "1x1", "median": 1.0, "minimum": 1.0, "gflops": 1.0, "share": 1.0}
    row |= {"compile_seconds": None, "temp_bytes": None, "memory": None}
    monkeypatch.setattr(bench, "measure", lambda *arguments: calls.append(arguments) or [row])
    return calls


def test_the_defaults_are_the_published_network(asked):
    assert cli.main(["bench"]) == 0
    published = bench_programs.Settings(720, 1280, 32, 17, "float32")
    assert asked == [([published], ["ifan"], 5, False)]


def test_full_adds_a_size_and_options_arrive(asked):
    assert cli.main(["bench", "iac", "--full", "--dtype", "bfloat16", "--repeats", "2"]) == 0
    settings, what, repeats, torch = asked[0]
    assert [(s.width, s.height, s.dtype) for s in settings] == [(1280, 720, "bfloat16"), (1680, 1120, "bfloat16")]
    assert (what, repeats, torch) == (["iac"], 2, False)


@pytest.mark.parametrize("absent", ["torch", "file"])
def test_without_pytorch_it_says_why(asked, absent, monkeypatch, capsys, tmp_path):
    if absent == "torch":
        monkeypatch.setattr(bench_programs.importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(bench_programs.importlib.util, "find_spec", lambda name: "found")
        monkeypatch.setattr(bench_programs, "torch_file", lambda: tmp_path / "torch_ifan.py")
    assert cli.main(["bench", "--torch"]) == 0
    assert asked[0][3] is False
    reason = {"torch": "PyTorch is not installed", "file": "torch_ifan.py is missing"}[absent]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("no comparison with PyTorch: ")
    assert reason in last


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["everything"], "'everything' is none of ifan, iac"),
        (["--size", "1280"], "'1280' is not WIDTHxHEIGHT"),
        (["--size", "100x64"], "100x64: sides are multiples of 8"),
        (["--size", "8x64"], "8x64: sides are multiples of 8, at least 16"),
        (["--repeats", "0"], "'0' is not a whole number above 0"),
        (["--dtype", "float16"], "invalid choice: 'float16'"),
        (["--json", "/nowhere/bench.json"], "/nowhere/bench.json: its folder does not exist"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_bad_usage_is_one_line(asked, argv, message, capsys):
    assert cli.main(["bench", *argv]) == 2
    assert asked == []
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
