"""The first notebook as a new user meets it: opened in JupyterLab, run, stepped through, watched.

The screenshots go to EBPFLAB_SCREENSHOTS if that is set (``make screenshots``), else to the test's own folder.
"""

import os
from pathlib import Path

import pytest

from .lab import LabServer, lab_page, missing

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00.00-start-here.ipynb"


@pytest.mark.browser
def test_a_new_user_sees_a_program_verified_and_a_chart_that_moves(tmp_path):
    if missing():
        pytest.skip(missing())
    shots = Path(os.environ.get("EBPFLAB_SCREENSHOTS") or tmp_path)
    with LabServer(tmp_path) as server:
        server.put(NOTEBOOK.name, NOTEBOOK)
        with lab_page(server, NOTEBOOK.name) as lab:
            page = lab.page
            page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
            watch_the_chart(page, shots)
            lab.settle()
            stepper = page.locator(".ebpflab:has(input[type=range])").first
            stepper.scroll_into_view_if_needed()
            before = stepper.inner_text()
            stepper.locator("[tabindex='0'], input[type=range]").first.focus()
            page.keyboard.press("ArrowRight")
            page.wait_for_function("([el, was]) => el.innerText !== was", arg=[stepper.element_handle(), before])

            counter = page.locator(".ebpflab:has(input[type=range])").nth(2)
            counter.locator("[tabindex='0'], input[type=range]").first.focus()
            for _ in range(8):  # to where the key is put on the stack
                page.keyboard.press("ArrowRight")
            assert counter.locator(".cell.changed").count(), "the step changed something, and it is marked"
            counter.evaluate("el => el.scrollIntoView({block: 'center'})")
            page.wait_for_timeout(300)
            page.screenshot(path=shots / "start-here.png")
            counter.screenshot(path=shots / "stepper.png")

            assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count()


def watch_the_chart(page, shots) -> None:
    """While the notebook still runs: the picture changes."""
    chart = page.locator(".ebpflab-chart").first
    chart.wait_for(timeout=60_000)
    chart.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    first = chart.screenshot()
    for _ in range(40):
        page.wait_for_timeout(250)
        if chart.screenshot() != first:
            break
    else:
        raise AssertionError("the live chart did not move")
    chart.screenshot(path=shots / "chart.png")
