"""The time-travel debugger where it is used: in a JupyterLab, and as a page of its own."""

from __future__ import annotations

import pytest

import ebpflab as lab
from ebpflab.view.debugging import debug_page
from tests.debugger.test_debugger import TEXT, UDP, step_of

from .test_stepper import static_page

pytestmark = pytest.mark.browser

CELLS = ["""
%load_ext ebpflab
from ebpflab import packets
prog = __import__("ebpflab").load('''""" + TEXT + """''', target="sim")
""", "%bpf_debug prog packets.udp(b'x' * 8)"]


def test_page(tmp_path):
    dbg = lab.debug(TEXT, UDP)
    dbg.go(step_of(dbg, "r2 = *(u8 *)(r6 +23)"))
    with static_page(tmp_path / "run.html", [dbg], page_of=debug_page) as page:
        assert "ran 31 instructions and returned 2 (XDP_PASS)" in page.inner_text(".verdict")
        changed = page.locator(".cell.changed")
        assert "17" in changed.locator(".value").inner_text() and "verifier: scalar(" in changed.inner_text()
        assert changed.locator("svg .was").count() == 1                  # the value, inside the claimed range
        page.locator('[data-byte="22"]').first.click()
        assert "from the start" in page.inner_text(".said")
        page.locator(".said button").click()                             # written next by …
        assert f"#{step_of(dbg, '*(u8 *)(r6 +22) = 9')}" in page.inner_text(".count")
        assert page.locator(".hexes .fresh").count() == 1 and "written by step" in page.inner_text(".said")
        assert page.locator(".runto").count() == 0                       # a page has nobody to ask


def test_in_the_lab(lab_page):
    with lab_page(CELLS) as opened:
        page = opened.page
        opened.run_all()
        page.wait_for_selector(".ebpflab .runto input")
        page.fill(".runto input", "depth == 1 and r6 == 77")
        page.press(".runto input", "Enter")
        page.wait_for_function(
            "document.querySelector('.ebpflab .line code')?.textContent.includes('*(u64 *)(r10 -8) = r6')")
        page.fill(".runto input", "r6 ==")
        page.press(".runto input", "Enter")
        page.wait_for_function("document.querySelector('.ebpflab .answer')?.textContent.includes('condition')")
