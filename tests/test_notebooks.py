"""The notebooks, executed from first cell to last with tiny settings; stored without outputs."""

import pathlib

import nbformat
import pytest

COLAB = pathlib.Path(__file__).parent.parent / "colab"
# What replaces the values of the cell tagged "parameters".
TINY = {
    "train_ifan": {
        "STEPS": 4,
        "OVERRIDES": ["--config.data.batch_size=2", "--config.data.size=32", "--config.render.num_layers=6"],
    },
}


def test_every_notebook_is_tested():
    assert {path.stem for path in COLAB.glob("*.ipynb")} == set(TINY)


@pytest.mark.parametrize("name", TINY)
def test_it_runs_from_first_cell_to_last(name, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    notebook = nbformat.read(COLAB / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        assert cell.cell_type != "code" or (cell.outputs == [] and cell.execution_count is None)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    values = {**TINY[name], "WORKDIR": str(tmp_path / "run")}
    assert all(f"{key} = " in parameters.source for key in values)
    parameters.source += "".join(f"\n{key} = {value!r}" for key, value in values.items())
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(COLAB)}}).execute()
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert f"wrote {tmp_path / 'run' / 'final.safetensors'}" in text
    assert " dB -> " in text
