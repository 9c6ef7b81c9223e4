"""The examples run as they are, and notebooks show progress and complete settings: all in real kernels."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
KERNEL = "this-environment"
TIMEOUT = 300


@pytest.fixture
def kernel_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a kernel of this environment; all files of Jupyter and IPython are in the test's folder."""
    spec = tmp_path / "jupyter" / "kernels" / KERNEL / "kernel.json"
    spec.parent.mkdir(parents=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": launch, "display_name": "Python", "language": "python"}), "utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter" / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter" / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return KERNEL


@pytest.fixture
def kernel(kernel_name: str) -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name=kernel_name, startup_timeout=TIMEOUT)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run_in(kernel: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """Return the messages that the code shows."""
    messages: list[dict[str, Any]] = []
    reply = kernel.execute_interactive(code, timeout=TIMEOUT, output_hook=messages.append, allow_stdin=False)
    assert reply["content"]["status"] == "ok", reply["content"]
    return messages


def texts(messages: list[dict[str, Any]]) -> str:
    """Return what the messages show as text."""
    contents = [message["content"] for message in messages]
    return "".join(content.get("text", "") + content.get("data", {}).get("text/plain", "") for content in contents)


def outputs_of(notebook: nbformat.NotebookNode, source: str) -> list[dict[str, Any]]:
    """Return the outputs of the only code cell whose last line is the source."""
    (cell,) = [cell for cell in notebook.cells if cell.source.splitlines()[-1] == source]
    return [output for output in cell.outputs if output.output_type == "execute_result"]


def test_there_is_a_notebook() -> None:
    assert EXAMPLES / "quickstart.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert notebook.metadata.kernelspec.name == "python3"


def test_the_notebook_runs_and_shows_metrics_tables_and_plots(kernel_name: str, tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    folder = tmp_path / "empty"
    folder.mkdir()
    NotebookClient(
        notebook, kernel_name=kernel_name, timeout=TIMEOUT, resources={"metadata": {"path": folder}}
    ).execute()

    (result,) = outputs_of(notebook, "result")
    assert "<td>finetune, epoch " in result["data"]["text/html"]
    (metrics,) = outputs_of(notebook, "result.metrics")
    assert "'test/accuracy': 0." in metrics["data"]["text/plain"]
    (comparison,) = outputs_of(notebook, "tinybench.compare([result.run_id, second.run_id])")
    assert comparison["data"]["text/html"].count("<table>") == 2
    assert " minus " in comparison["data"]["text/html"]
    (prediction,) = outputs_of(notebook, "prediction")
    assert "probabilities" in prediction["data"]["text/html"]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert (folder / "mlflow.db").is_file()


def test_the_script_trains_its_backbone(tmp_path: Path) -> None:
    script = shutil.copy(EXAMPLES / "own_backbone.py", tmp_path)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    line, last = done.stdout.splitlines()[-2:]
    accuracy, low, high = (
        float(number) for number in line.translate(str.maketrans(",[]", "   ")).split() if "." in number
    )
    assert line.startswith("Test accuracy ")
    assert 0.5 < low <= accuracy <= high
    assert last.startswith("Run ")
    assert (tmp_path / "small_residual.keras").is_file()


def test_a_notebook_shows_the_progress_of_a_training(kernel: BlockingKernelClient) -> None:
    run_in(kernel, "import tinybench")
    short = "phases='scratch', scratch_epochs=2, data_per_class=20, track_costs='off', track_pictures=False"
    messages = run_in(kernel, f"result = tinybench.train('quickstart', {short})")
    shown = [
        message for message in messages if message["msg_type"] in ("stream", "display_data", "update_display_data")
    ]
    assert "smallcnn on digits" in texts(shown)
    assert "scratch" in texts(shown)
    silent = "tinybench.train('quickstart', run_callbacks=tinybench.RunCallbacks(), " + short + ");"
    assert "smallcnn on digits" not in texts(run_in(kernel, silent))


@pytest.mark.parametrize("function", ["train", "finetune", "sweep"])
def test_the_tab_key_completes_settings(kernel: BlockingKernelClient, function: str) -> None:
    run_in(kernel, "import tinybench")
    reply = kernel.complete(f"tinybench.{function}(head_", reply=True, timeout=TIMEOUT)
    assert "head_dropout=" in reply["content"]["matches"]
