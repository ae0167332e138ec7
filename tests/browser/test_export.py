"""A notebook that was run without a front end and exported: everything is in the page, with no network."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from .lab import FLAGS, ROOT, chromium, missing, notebook

CELLS = [
    "%load_ext ebpflab",
    "%%bpf counter --target sim\n.map counts array u32 u64 8\nr0 = 2\nexit",
    "counts[3] = 42\n%bpf_watch counts --chart bar --every 0.05",
    "%%bpf bad --target sim\nr0 = r5\nexit",
]


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_exported_notebook_shows_stepper_and_chart(tmp_path, monkeypatch, theme):
    if missing():
        pytest.skip(missing())
    from playwright.sync_api import sync_playwright

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = nbformat.from_dict(notebook(CELLS))
    NotebookClient(made, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    page_file = tmp_path / "exported.html"
    page_file.write_text(HTMLExporter(theme=theme).from_notebook_node(made)[0])
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            page = browser.new_page()
            page.goto(page_file.as_uri())
            page.wait_for_selector(".ebpflab .cell")
            assert page.locator(".ebpflab .verdict.accept").is_visible()
            assert "R5 !read_ok" in page.locator(".ebpflab .verdict.reject").inner_text()
            first = page.locator(".ebpflab").first
            first.locator(".list").focus()
            page.keyboard.press("ArrowRight")
            page.wait_for_function("() => document.querySelector('.ebpflab .count b').textContent === '#1'")
            assert page.locator(".jp-RenderedHTMLCommon svg text", has_text="42").first.is_visible()
            page.screenshot(path=tmp_path / f"exported-{theme}.png", full_page=True)
        finally:
            browser.close()
