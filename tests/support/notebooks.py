"""Run a notebook from top to bottom, and read what it shows."""

import os
from typing import TYPE_CHECKING

from core.settings import Settings
from infra.paths import PROJECT

if TYPE_CHECKING:
    from nbformat import NotebookNode


def executed(name: str, settings: Settings) -> "list[NotebookNode]":
    """Return the code cells with their outputs. Raise CellExecutionError if a cell fails."""
    # At the top of the file, these imports would take more than a second in each test worker.
    import nbformat
    from nbclient import NotebookClient

    path = PROJECT / "notebooks" / name
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    # As in JupyterLab, the kernel runs in the notebook's folder, whose modules it imports.
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place)
    client.execute(env=os.environ | settings.environment())
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: "NotebookNode", form: str) -> list[str]:
    return [each.data[form] for each in cell.outputs if form in each.get("data", {})]


def printed(cells: "list[NotebookNode]") -> list[str]:
    return [output.text for cell in cells for output in cell.outputs if "text" in output]
