"""A real JupyterLab and a real Chromium for tests: nothing is mocked, nothing leaves this machine.

::

    with LabServer(tmp_path) as server:
        server.put("demo.ipynb", notebook(["1 + 1"]))
        with lab_page(server, "demo.ipynb") as lab:
            lab.run_all()
            lab.page.locator(".jp-OutputArea-output").first.screenshot(path="demo.png")

``lab_page`` fails at its end if the page asked any host but this one for anything.  One Playwright per page,
not per session: its sync API leaves an event loop in the thread, and other tests want their own.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ("127.0.0.1", "localhost", "::1", "")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
SETTINGS = {
    # Without virtual scrolling every cell is in the page, whether in sight or not.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
READY = """() => {
  const session = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  return session?.isReady && session.session?.kernel?.status === 'idle';
}"""


def missing() -> str:
    """Why a browser test cannot run here, "" if it can."""
    if chromium() is None:
        return "no Chromium on PATH (Debian: apt-get install chromium)"
    for module in ("jupyterlab", "anywidget", "bokeh", "playwright"):
        try:
            __import__(module)
        except ImportError:
            return f"Python package {module} is not installed (extras: lab, dev)"
    return ""


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def notebook(cells: Sequence[str]) -> dict:
    """A notebook of code cells; a cell that starts with ``#md`` is Markdown."""
    out = []
    for number, source in enumerate(cells):
        cell = {"id": f"cell{number}", "metadata": {}, "source": source.removeprefix("#md").lstrip("\n")}
        out.append({**cell, "cell_type": "markdown"} if source.startswith("#md")
                   else {**cell, "cell_type": "code", "execution_count": None, "outputs": []})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": out, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


class LabServer:
    """JupyterLab on 127.0.0.1, a free port and a random token; its files, settings and kernels live in ``home``.

    ``url`` ends without a slash. ``folder`` holds the notebooks. Closing ends the server and its kernels.
    """

    def __init__(self, home: Path, *, env: Mapping[str, str] | None = None, timeout: float = 60):
        self.home, self.folder, self.token = home, home / "notebooks", secrets.token_hex(16)
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        places = {name: str(home / name.lower()) for name in (
            "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        for name, content in SETTINGS.items():
            file = Path(places["JUPYTERLAB_SETTINGS_DIR"]) / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content))
        self.log = home / "jupyterlab.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
                 f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0",
                 f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.folder}",
                 "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=",
                 "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                 "--LabApp.extension_manager=readonly"],
                stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, start_new_session=True,
                env={**os.environ, **places, "PYTHONPATH": path, **(env or {})})
        try:
            self._await(timeout)
        except BaseException:
            self.close()
            raise

    def _await(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                with urlopen(f"{self.url}/api?token={self.token}", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def put(self, name: str, content: dict | Path) -> Path:
        """Place a notebook (nbformat dict or a file) in the server's folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.read_text() if isinstance(content, Path) else json.dumps(content))
        return path

    def close(self) -> None:
        """End the server (it ends its kernels), then what is left of its process group."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)

    def __enter__(self) -> LabServer:
        return self

    def __exit__(self, *exc) -> None:
        self.close()


@dataclass
class Lab:
    """A notebook open in JupyterLab. ``page`` is Playwright's; ``outside`` the requests to other hosts,
    ``errors`` uncaught exceptions of the page, ``console`` its console lines."""

    page: object
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def command(self, name: str, args: dict | None = None):
        """Execute one of JupyterLab's commands (``notebook:run-all-cells``) and wait for it."""
        return self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
                                  [name, args or {}])

    def run_all(self, timeout: float = 120) -> None:
        """Run every cell and wait until all are done."""
        self.page.evaluate("() => { window.ranAll = false; window.jupyterapp.commands.execute("
                           "'notebook:run-all-cells').finally(() => { window.ranAll = true; }); }")
        self.page.wait_for_function("() => window.ranAll", timeout=timeout * 1000)

    def run(self, index: int, timeout: float = 60) -> str:
        """Run code cell ``index`` (0 is the first code cell) and return its output's text."""
        self.page.evaluate("""index => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            const codes = notebook.widgets.map((w, i) => [w, i]).filter(([w]) => w.model.type === 'code');
            notebook.activeCellIndex = codes[index][1];
            window.ranCell = false;
            window.jupyterapp.commands.execute('notebook:run-cell').finally(() => { window.ranCell = true; });
        }""", index)
        self.page.wait_for_function("() => window.ranCell", timeout=timeout * 1000)
        return self.outputs()[index]

    def settle(self, timeout: float = 120) -> None:
        """Wait until no cell runs or is queued (its prompt is a number or empty, not ``[*]``)."""
        self.page.wait_for_timeout(300)
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
            ".some(e => e.textContent.includes('*'))", timeout=timeout * 1000)

    def theme(self, name: str) -> None:
        """``light`` or ``dark``."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {name.capitalize()}"})
        self.page.wait_for_function(
            "want => document.body.dataset.jpThemeLight === want", arg=str(name == "light").lower(), timeout=20_000)
        self.page.wait_for_timeout(300)

    def outputs(self) -> list[str]:
        """The text of each cell's output, in order."""
        return self.page.evaluate(
            "() => [...document.querySelectorAll('.jp-CodeCell')].map(cell => "
            "[...cell.querySelectorAll('.jp-OutputArea-output')].map(e => e.innerText).join('\\n'))")


@contextmanager
def lab_page(server: LabServer, notebook_name: str, *, width: int = 1280, height: int = 900,
             allow_errors: bool = False) -> Iterator[Lab]:
    """``notebook_name`` open in the server's JupyterLab, kernel idle. See the module for what is checked at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            context = browser.new_context(viewport={"width": width, "height": height})
            page = context.new_page()
            lab = Lab(page)

            def gate(route):
                if _local(route.request.url):
                    route.continue_()
                else:
                    route.abort()

            context.route(lambda url: not _local(url), gate)
            page.on("request", lambda r: None if _local(r.url) else lab.outside.append(r.url))
            page.on("websocket", lambda w: None if _local(w.url) else lab.outside.append(w.url))
            page.on("pageerror", lambda e: lab.errors.append(str(e)))
            page.on("console", lambda m: lab.console.append(f"{m.type}: {m.text}"))
            page.goto(f"{server.url}/doc/tree/{notebook_name}?token={server.token}&reset")
            page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
            page.wait_for_function(READY, timeout=60_000)
            yield lab
            assert not lab.outside, f"the page asked other hosts: {lab.outside}"
            assert allow_errors or not lab.errors, f"errors in the page: {lab.errors}"
        finally:
            browser.close()


def _local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or (parts.hostname or "") in LOCAL
