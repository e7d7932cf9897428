"""Runs a notebook on a demo's folder and leaves nothing in it that changes from run to run.

python -m tests.notebooks.execute notebooks/01_first_survey.ipynb [demo]
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

SECONDS_A_CELL = 300  # the slowest takes some seconds; a busy machine is no failure


def execute(notebook: Path, demo: Path) -> nbformat.NotebookNode:
    """Return the notebook executed on the demo in `demo`, in the notebook's own folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    with tempfile.TemporaryDirectory() as aside:
        # Sockets that are files: no port is opened, not even on this machine.
        sockets = Config(KernelManager={"transport": "ipc", "ip": str(Path(aside) / "kernel")})
        client = NotebookClient(
            nbformat.read(notebook, as_version=4),
            config=sockets,
            kernel_name="python3",
            timeout=SECONDS_A_CELL,
            record_timing=False,
            resources={"metadata": {"path": str(notebook.parent)}},
        )
        # History and settings of the kernel stay out of the home of whoever runs this.
        env = {**os.environ, "KILNLIGHT_DEMO": str(demo.resolve()), "IPYTHONDIR": aside}
        return client.execute(env=env)


def save(notebook: Path, demo: Path) -> None:
    """Execute a notebook and replace its file."""
    made = execute(notebook, demo)
    made.metadata["language_info"] = {"name": "python"}  # not the version of this machine's Python
    nbformat.write(made, notebook)


if __name__ == "__main__":
    save(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "demo"))
