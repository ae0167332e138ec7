"""The fixture itself: cells run, themes switch, a request to another host is caught."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_cells_run_and_themes_switch(lab_page):
    with lab_page(["#md\n# Title", "21 * 2", "import ebpflab; ebpflab.__name__"]) as lab:
        lab.run_all()
        assert [text.strip() for text in lab.outputs()] == ["42", "'ebpflab'"]
        for name in ("dark", "light"):
            lab.theme(name)
            assert lab.page.evaluate("document.body.dataset.jpThemeLight") == str(name == "light").lower()


def test_a_request_to_another_host_fails_the_test(lab_page):
    cell = "from IPython.display import HTML\nHTML('<img src=\"https://example.invalid/x.png\">')"
    with pytest.raises(AssertionError, match="other hosts"), lab_page([cell]) as lab:
        lab.run_all()
        lab.page.wait_for_timeout(500)
