"""restore-jax bench vsr: what it states, and one line for what it cannot measure."""

import json

import pytest

from restore_jax import cli
from restore_jax.bench import video as bench_vsr


def test_it_streams_and_states_time_and_memory(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")
    monkeypatch.setattr(bench_vsr, "NETWORKS", {"small": {"mid_channels": 4, "num_blocks": 1}})
    monkeypatch.setattr(bench_vsr, "PUBLISHED", {("small", 16, 16): (1.6, 1.4)})
    out = tmp_path / "bench.json"
    assert cli.main(["bench", "vsr", "--size", "16x16", "--frames", "2", "--json", str(out)]) == 0
    line = capsys.readouterr().out
    assert line.startswith("refvsr small 16x16, window of 7: ")
    assert line.endswith("the published PyTorch network took 1.6 s, 1.4 GB\n")
    found = json.loads(out.read_text())
    assert len(found["seconds"]) == 2
    assert 0 < max(found["seconds"]) < found["first_seconds"]  # which compiles
    assert found["peak_bytes"] > 1e8
    assert found["gflops_plain"] > 0


@pytest.mark.parametrize("size", ["16", "8x16", "20x16", "axb"])
def test_sizes_that_do_not_fit(size, capsys):
    assert cli.main(["bench", "vsr", "--size", size]) == 2
    error = capsys.readouterr().err
    assert error.startswith("restore-jax bench vsr: ")
    assert error.count("\n") == 1
