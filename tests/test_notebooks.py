"""The notebooks, executed from first cell to last with tiny settings; stored without outputs."""

import nbformat
import pytest

from tests.places import ROOT

COLAB = ROOT / "colab"
# What replaces the values of the cell tagged "parameters" ({run}: a fresh folder), and what the notebook then prints.
TINY = {
    "train_ifan": (
        {
            "STEPS": 4,
            "OVERRIDES": ["--config.data.batch_size=2", "--config.data.size=32", "--config.camera.num_layers=4"],
            "WORKDIR": "{run}",
        },
        ("wrote {run}/final.safetensors", " dB -> "),
    ),
    "quickstart": (
        {"SIDE": 64, "FRAMES": 3, "FRAME": 16},
        (" dB -> ", "(3, 16, 16, 3) -> (3, 64, 64, 3)"),
    ),
    "deblur": ({"SIDE": 64}, (" dB -> ", "'image': (1, 64, 64, 3)")),
    "defocus_map": ({"SIDE": 96}, ("(96, 96, 3)", "(96, 96)}")),
    "reference_memory": (
        {"SIDE": 16, "FRAMES": 2, "EPOCHS": 1, "WEIGHTS": "absent"},
        ("random weights instead", "epoch 1: ", "memory, adapted: "),
    ),
    "refvsr": ({"SIDE": 16, "FRAMES": 3}, ("(3, 16, 16, 3)", " dB outside", "frame 3: (64, 64, 3) uint8")),
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
    settings, printed = TINY[name]
    run = str(tmp_path / "run")
    for key, value in settings.items():
        assert f"{key} = " in parameters.source
        value = value.replace("{run}", run) if isinstance(value, str) else value
        parameters.source += f"\n{key} = {value!r}"
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # conftest's, under which training is slow
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(COLAB)}}).execute()
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    for line in printed:
        assert line.replace("{run}", run) in text
