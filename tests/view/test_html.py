"""The static twin: one file that needs nothing else."""

import re
from html.parser import HTMLParser

import pytest

from ebpflab.stream import cells
from ebpflab.view.html import pair_page, static_data, trace_page
from ebpflab.view.stepper import STATIC_STEPS, WIDGET, Stepper
from ebpflab.view.text import pair_text

from .programs import SOURCES, long_trace, recorded

NAMESPACES = {"http://www.w3.org/2000/svg"}


class Loads(HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "poster")]


@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_fetched(name, embed):
    page = trace_page(recorded(name), embed=embed)
    loads = Loads()
    loads.feed(page)
    assert not loads.found
    assert set(re.findall(r"https?://[^\s\"'<>)]*", page)) <= NAMESPACES
    assert not re.search(r"@import|url\(|\bimport\s*[({\"']|\bfetch\(|XMLHttpRequest|WebSocket", page)


def test_a_page_and_a_fragment():
    page, fragment = trace_page(recorded("counted")), trace_page(recorded("counted"), embed=True)
    assert page.startswith("<!doctype html>") and fragment.startswith("<div")
    assert "<html" not in fragment and fragment in page
    assert "<pre>✓ accepted  counted" in fragment, "readable without scripts"


def test_names_cannot_break_out():
    from dataclasses import replace

    trace = recorded("counted")
    evil = replace(trace, program=replace(trace.program, name="</script><script>alert(1)</script>"))
    page = trace_page(evil)
    assert "<script>alert" not in page
    assert page.count("</script>") == trace_page(trace).count("</script>")


def test_the_widget_carries_its_twins(monkeypatch):
    data = Stepper(recorded("unlimited"))._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert WIDGET not in data, "no page runs this cell"
    monkeypatch.setattr(cells, "current", lambda: "the cell that JupyterLab runs")
    data = Stepper(recorded("unlimited"))._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert WIDGET in data
    assert data["text/plain"].startswith("✗ rejected")
    assert data["text/html"] == trace_page(recorded("unlimited"), embed=True)


def test_a_long_trace_is_not_copied_into_the_notebook():
    trace = long_trace(STATIC_STEPS // 16 + 1)
    data = Stepper(trace)._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert "text/html" not in data
    assert len(data["text/plain"]) < 100_000


def test_a_page_has_a_limit():
    """Of a trace that is too long for a page the states around the verdict are kept."""
    trace = long_trace(200)
    size = len(static_data(trace, 0)["chunks"][0])
    chunks = static_data(trace, len(trace.steps) - 1, room=int(1.5 * size))["chunks"]
    assert [chunk is not None for chunk in chunks] == [False, False, True, True]


def test_a_witness_is_found_and_kept_for_the_page():
    stepper = Stepper(recorded("unlimited"))
    found = stepper.find_witness()
    assert found and stepper.witness["found"] and stepper.witness["packet"] == found.packet.hex()
    data = stepper._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert data["text/html"] == trace_page(recorded("unlimited"), embed=True, witness=found)


def test_two_walks_and_their_twins():
    a, b = recorded("counted"), recorded("unlimited")
    pair = Stepper.compare(a, b)
    assert pair.difference.kind == "cells" and pair.step == pair.difference.step == pair.apart["step"]
    data = pair._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert data["text/plain"] == pair_text(a, b, pair.difference)
    assert f"First difference, at step {pair.step}" in data["text/plain"]
    assert data["text/html"] == pair_page(a, b, embed=True)
    same = Stepper.compare(a, a)
    assert same.apart == {} and "knew the same" in same._text()


def test_step_stays_inside():
    stepper = Stepper(recorded("unlimited"))
    assert stepper.step == 13, "it opens at the error"
    stepper.step = 999
    assert stepper.step == 13
    stepper.step = -4
    assert stepper.step == 0
