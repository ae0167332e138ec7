"""Charts in a kernel without a page: still pictures, lifetimes, errors. The moving ones are in tests/browser."""

import re
import time

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from ebpflab.errors import SpecError
from ebpflab.spec import map_spec
from ebpflab.stream.maps import LabMap
from ebpflab.view import live

from ..browser.lab import ROOT, notebook
from ..mapsource import DictMap


def counts():
    m = LabMap(DictMap(map_spec("counts", "hash", "u32", "u64", 16)))
    m[6], m[17] = 5, 9
    return m


def wait_for(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_chart_stops_its_own_stream_and_leaves_another_alone():
    chart = live.watch(counts(), every=0.02)
    assert chart.stream.running
    chart.stop()
    assert not chart.stream.running and chart.state == "stopped"
    with counts().watch(every=0.02) as stream:
        chart = live.watch(stream)
        chart.close()
        assert stream.running
    wait_for(lambda: not chart._thread.is_alive())


def test_it_ends_with_its_stream_and_says_why():
    m = counts()
    chart = live.watch(m, every=0.01)
    wait_for(lambda: chart.stream.count > 2)
    m.target_map.die("the guest panicked")
    wait_for(lambda: chart.state == "failed")
    assert "panicked" in repr(chart) and "17" in chart.still()


def test_a_function_that_fails_or_gives_no_frame():
    chart = live.watch(lambda: 5, every=0.01)
    wait_for(lambda: chart.state == "failed")
    assert "not a DataFrame" in chart.stream.reason


@pytest.mark.parametrize(("what", "options", "said"), [
    (5, {}, "int cannot be watched"), (None, {"chart": "pie"}, "line, bar, hist"), (None, {"window": 1}, "history"),
    (None, {"bins": "log2"}, "histograms"), (None, {"every": 0}, "seconds"),
    (None, {"y": "zz"}, "no column of numbers"), (None, {"by": "zz"}, "no key column")])
def test_wrong_options_are_told_at_once_and_leave_nothing(what, options, said):
    m = counts()
    with pytest.raises(SpecError, match=said):
        live.watch(m if what is None else what, **options)
    reads = m.target_map.reads
    time.sleep(0.5)
    assert m.target_map.reads == reads


class Wire(live.Chart):
    """A chart whose messages are kept here instead of going to a page."""

    def __init__(self, *args, **options):
        self.wire = []
        super().__init__(*args, **options)

    def send(self, content, buffers=None):
        self.wire.append((content, buffers or []))

    def data(self):
        return [(head, buffers) for head, buffers in self.wire if head["op"] == "data"]


def test_a_page_that_stops_answering_gets_no_queue_and_then_all_at_once():
    m = counts()
    with m.watch(every=0.005) as stream:
        chart = Wire(stream, window=400)
        chart._receive(None, {"op": "ready", "view": "v", "bokeh": True}, [])
        wait_for(lambda: len(chart.data()) >= live.UNANSWERED)
        sent = len(chart.data())
        wait_for(lambda: stream.count > 3 * live.WAITING)
        assert len(chart.data()) == sent, "nothing more goes out"
        chart._receive(None, {"op": "ack", "view": "v", "seq": chart.sent, "painted": time.time()}, [])
        wait_for(lambda: len(chart.data()) > sent)
        head, (block,) = chart.data()[sent]
        assert head["mode"] == "reset" and len(block) == 8 * head["rows"] * len(head["columns"])
        assert head["rows"] > 3 * live.WAITING and "lost" not in chart.losses
        chart.stop()
    assert chart.wire[-1][0]["state"] == "stopped"


def test_the_rate_that_is_told_is_the_steady_one(monkeypatch):
    monkeypatch.setattr(live, "RATE_OVER", 1.0)
    chart = Wire(stream := counts().watch(every=0.1))
    with stream:
        for _ in range(8):      # a page that opens, loads its library and asks again
            chart._receive(None, {"op": "ready", "view": "v", "bokeh": True}, [])
        told, end = [], time.monotonic() + 20
        while not any("updates/s" in text for text in told[-1:]) and time.monotonic() < end:
            chart._receive(None, {"op": "ack", "view": "v", "seq": chart.sent, "painted": time.time()}, [])
            told = [head["text"] for head, _ in chart.wire if head["op"] == "status"]
            time.sleep(0.02)
        chart.stop()
    assert told[0].startswith("every 0.1 s"), "nothing is told of the first burst"
    assert 0 < float(told[-1].split()[0]) <= 11, told


def test_appends_make_up_the_history_without_hole_or_repetition():
    m = counts()
    with m.watch(every=0.005) as stream:
        chart = Wire(stream, window=1000)
        chart._receive(None, {"op": "ready", "view": "v", "bokeh": True}, [])
        times, seen, end = [], 0, time.monotonic() + 2
        while time.monotonic() < end:
            for head, (block,) in chart.data()[seen:]:
                seen += 1
                got = list(memoryview(block).cast("d"))[:head["rows"]]
                times = got if head["mode"] == "reset" else times + got
                chart._receive(None, {"op": "ack", "view": "v", "seq": head["seq"], "painted": time.time()}, [])
            time.sleep(0.01)
        chart.stop()
        batches = stream.reader(history=True).take(0)
    assert len(times) > 100
    expected = [batch.seconds - batches[0].seconds for batch in batches[:len(times)]]
    assert times == pytest.approx(expected, abs=1e-9)


NOTEBOOK = ["""
from ebpflab.spec import map_spec
from ebpflab.stream.maps import LabMap
from ebpflab.view import live
from tests.mapsource import DictMap
counts = LabMap(DictMap(map_spec("counts", "hash", "u32", "u64", 16)))
counts[6], counts[17] = 5, 9
""", "chart = live.watch(counts, chart='bar', every=0.05)\nchart", """
import time
counts[4711] = 77
time.sleep(0.3)
chart.stop()
"""]


def test_where_no_page_answers_a_still_picture_stands_in_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = nbformat.from_dict(notebook(NOTEBOOK))
    NotebookClient(made, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    output, = made.cells[1].outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert ">4711<" in output.data["text/html"], "the picture is the one at stop(), not the one at the start"
    assert len(output.data["text/html"]) < 10_000
    page, _ = HTMLExporter().from_notebook_node(made)
    assert ">4711<" in page
    body = page[page.index("<body"):]
    assert not re.search(r'(src|href)="https?://', body)
    assert len(nbformat.writes(made)) < 60_000, "no library in the notebook"
