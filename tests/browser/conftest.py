"""One JupyterLab for all browser tests of a run; each test opens its own page on its own notebook."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

from .lab import LabServer, missing, notebook
from .lab import lab_page as open_page


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    with LabServer(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@pytest.fixture
def lab_page(lab_server, request):
    """``with lab_page(path_or_cells) as lab``: a notebook file, or a list of cell sources, open in JupyterLab."""

    @contextmanager
    def page(source: Path | str | list[str], **options):
        name = f"{request.node.name.replace('/', '_').replace('[', '-').replace(']', '')}.ipynb"
        lab_server.put(name, notebook(source) if isinstance(source, list) else Path(source))
        with open_page(lab_server, name, **options) as lab:
            yield lab

    return page
