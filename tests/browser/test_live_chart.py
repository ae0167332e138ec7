"""Live charts in a real JupyterLab: they move, follow the theme, obey their buttons, and leave nothing running."""

import os
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

SOURCE = """
import math, random, threading, time
from ebpflab.spec import map_spec
from ebpflab.stream.maps import LabMap
from ebpflab.view import live
from tests.mapsource import DictMap
protocols = LabMap(DictMap(map_spec("protocols", "percpu_array", "u32", "u64", 256), 2))
flows = LabMap(DictMap(map_spec("flows", "hash", "struct { ipv4 src; be16 port; }",
                                "struct { u64 packets; u64 bytes; }", 256)))
latency = LabMap(DictMap(map_spec("latency", "array", "u32", "u64", 32)))
rnd = random.Random(1)
def traffic():
    tick = 0
    while True:
        tick += 1
        for protocol, pace in ((6, 60), (17, 30 + 25 * math.sin(tick / 15)), (1, 5)):
            counts = protocols[protocol]
            counts[tick % 2] += int(pace + rnd.random() * 5)
            protocols[protocol] = counts
        for host in range(13):
            key, more = (f"10.0.0.{host + 1}", 443), rnd.randrange(1, 20 * (host + 1))
            packets, size = flows.get(key, (0, 0))
            flows[key] = packets + more, size + more * 900
        for _ in range(20):
            slot = min(31, max(0, int(rnd.gauss(12, 3))))
            latency[slot] = latency[slot] + 1
        time.sleep(0.04)
threading.Thread(target=traffic, daemon=True).start()
time.sleep(0.2)
readers = lambda: sorted(t.name for t in threading.enumerate() if t.name.startswith("ebpflab-"))
"""
DATA = """() => {
    const source = Object.values(window.Bokeh.documents).at(-1).get_model_by_name('data');
    return Object.fromEntries(Object.entries(source.data).map(([name, column]) => [name, [...column].map(Number)]));
}"""


def shots(tmp_path) -> Path:
    return Path(os.environ.get("EBPFLAB_SCREENSHOTS") or tmp_path)


def wait_until_live(page, count=1):
    page.wait_for_function(
        "count => document.querySelectorAll('.ebpflab-chart[data-state=live] .plot > *').length >= count "
        "&& [...document.querySelectorAll('.ebpflab-chart .status')].every(e => /updates\\/s/.test(e.innerText))",
        arg=count, timeout=30_000)


def changes(page, seconds=5.0) -> None:
    first = page.evaluate(DATA)
    page.wait_for_function(f"first => JSON.stringify(({DATA})()) !== JSON.stringify(first)", arg=first,
                           timeout=seconds * 1000)


@pytest.mark.parametrize("kind", ["line", "bar", "hist"])
def test_each_kind_moves_in_light_and_dark(lab_page, tmp_path, kind):
    call = {"line": "live.watch(protocols, every=0.1, rate=True)",
            "bar": "live.watch(flows, chart='bar', y='bytes', every=0.1)",
            "hist": "live.watch(latency, chart='hist', every=0.1)"}[kind]
    with lab_page([SOURCE, f"chart = {call}\nchart"]) as lab:
        lab.run_all()
        wait_until_live(lab.page)
        lab.page.wait_for_timeout(2500)
        changes(lab.page)
        data = lab.page.evaluate(DATA)
        if kind == "line":
            assert len(data["t"]) == 300 and data["t"][-1] > data["t"][-5], "as long as its history, newest last"
            assert lab.page.locator(".ebpflab-chart .legend button").count() == 3
        elif kind == "bar":
            assert len(data["value"]) == 10 and data["value"] == sorted(data["value"], reverse=True)
            assert "and 3 smaller" in lab.page.locator(".ebpflab-chart .legend").inner_text()
        else:
            assert sum(data["count"]) > 100 and data["count"].index(max(data["count"])) in range(9, 15)
        colors = {}
        for theme in ("light", "dark"):
            lab.theme(theme)
            lab.page.wait_for_timeout(400)
            lab.page.locator(".ebpflab-chart").screenshot(path=shots(tmp_path) / f"chart-{kind}-{theme}.png")
            colors[theme] = lab.page.evaluate(
                "() => Object.values(window.Bokeh.documents).at(-1).roots()[0].left[0].major_label_text_color")
        assert str(colors["light"]) != str(colors["dark"]), "the figure's text follows the theme"


def test_buttons_rerun_and_closing(lab_page):
    cells = [SOURCE, "chart = live.watch(protocols, every=0.05, rate=True)\nchart", "print(readers(), chart.state)",
             "time.sleep(3)"]
    with lab_page(cells) as lab:
        page = lab.page
        lab.run(0)
        lab.run(1)
        wait_until_live(page)

        # a running cell does not stop the chart
        page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 3;"
                      " window.jupyterapp.commands.execute('notebook:run-cell'); }")
        page.wait_for_timeout(500)
        changes(page, 1.0)
        changes(page, 1.0)
        assert "[*]" in page.locator(".jp-InputPrompt").all_inner_texts()[3]
        lab.settle()

        # pause holds the picture, resume brings what came meanwhile
        page.get_by_role("button", name="Pause").click()
        page.wait_for_selector(".ebpflab-chart[data-state=paused]")
        page.wait_for_timeout(300)
        held = page.evaluate(DATA)
        page.wait_for_timeout(700)
        assert page.evaluate(DATA)["t"] == held["t"]
        page.get_by_role("button", name="Resume").click()
        page.wait_for_selector(".ebpflab-chart[data-state=live]")
        changes(page)
        after = [time for time in page.evaluate(DATA)["t"] if time > held["t"][-1]]
        assert after[0] - held["t"][-1] < 0.5, "no hole where it was paused"

        # a series can be hidden
        chip = page.locator(".ebpflab-chart .legend button").first
        chip.click()
        assert chip.get_attribute("aria-pressed") == "false"

        # the cell again: one reader, not two
        for _ in range(2):
            lab.run(1)
            wait_until_live(page)
        names = lab.run(2)
        assert names.count("ebpflab-protocols") == 1 and names.count("ebpflab-chart-") == 1, names

        # stop
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector(".ebpflab-chart[data-state=stopped]")
        page.wait_for_timeout(300)
        assert lab.run(2).strip() == "[] stopped"

        # closing the output ends the reader
        lab.run(1)
        wait_until_live(page)
        page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1;"
                      " window.jupyterapp.commands.execute('notebook:clear-cell-output'); }")
        page.wait_for_selector(".ebpflab-chart", state="detached")
        for _ in range(20):
            page.wait_for_timeout(500)
            if (said := lab.run(2).strip()) == "[] stopped":
                break
        assert said == "[] stopped"


def test_a_dead_target_is_told_and_a_reload_brings_the_chart_back(lab_page):
    cells = [SOURCE, "chart = live.watch(protocols, every=0.05)\nchart",
             "protocols.target_map.die('the guest panicked')"]
    with lab_page(cells) as lab:
        page = lab.page
        lab.run(0)
        lab.run(1)
        wait_until_live(page)
        lab.command("docmanager:save")
        saved = page.evaluate("() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.toJSON())")
        assert len(saved) < 60_000, "no library in the notebook"
        page.reload()
        wait_until_live(page)
        changes(page)
        lab.run(2)
        page.wait_for_selector(".ebpflab-chart[data-state=failed]", timeout=10_000)
        assert re.search("the guest panicked", page.locator(".ebpflab-chart .reason").inner_text())


def test_a_chart_whose_kernel_was_restarted_says_so_and_its_cell_can_be_run_again(lab_page):
    with lab_page([SOURCE, "chart = live.watch(protocols, every=0.1)\nchart"]) as lab:
        page = lab.page
        lab.run(0)
        lab.run(1)
        wait_until_live(page)
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        page.wait_for_selector(".ebpflab-chart[data-state=silent]", timeout=30_000)
        assert "restarted" in page.locator(".ebpflab-chart .reason").inner_text()
        lab.run(0)
        lab.run(1)
        wait_until_live(page)
        changes(page)


def test_run_all_with_a_long_cell_behind_the_chart(lab_page):
    """The page cannot ask for anything while the kernel is busy: the chart comes and moves all the same."""
    with lab_page([SOURCE, "chart = live.watch(protocols, every=0.1, rate=True)\nchart", "time.sleep(12)"]) as lab:
        page = lab.page
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        wait_until_live(page)
        for _ in range(3):
            changes(page, 2.0)
        assert "[*]" in page.locator(".jp-InputPrompt").all_inner_texts()[2], "still busy"
        lab.settle()
        changes(page)
