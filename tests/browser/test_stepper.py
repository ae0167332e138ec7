"""The stepper where it is used: in a JupyterLab, and as a page of its own opened from a file."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

import ebpflab as lab
from tests.view.programs import long_trace, recorded

from .lab import FLAGS, chromium, missing

pytestmark = pytest.mark.browser

CELL = """
from tests.view.programs import recorded, long_trace
from ebpflab.view.stepper import Stepper
stepper = Stepper({trace})
stepper
"""


@contextmanager
def static_page(path, trace, ready=".cell", page_of=None, witness=None, **options):
    """The static twin of a trace (or with ``page_of`` of several) in Chromium, from a file; fails if the page asks for
    anything or throws."""
    from playwright.sync_api import sync_playwright

    from ebpflab.view.html import trace_page

    if reason := missing():
        pytest.skip(reason)
    path.write_text(page_of(*trace) if page_of else trace_page(trace, witness=witness))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            page = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}).new_page()
            errors, asked = [], []
            page.on("pageerror", lambda e: errors.append(str(e)))
            page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
            page.on("request", lambda r: asked.append(r.url))
            page.goto(path.as_uri())
            page.wait_for_selector(f".ebpflab {ready}")
            yield page
            assert not errors
            assert asked == [path.as_uri()]
        finally:
            browser.close()


def at(page) -> int:
    return int(page.locator(".ebpflab .count b").inner_text().lstrip("#"))


def wait_step(page, step: int) -> None:
    page.wait_for_function("want => document.querySelector('.ebpflab .count b').textContent === `#${want}`", arg=step)


def run(lab, cell: int) -> None:
    lab.page.evaluate("index => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = index; }", cell)
    lab.command("notebook:run-cell")


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_in_jupyterlab(lab_page):
    with lab_page([CELL.format(trace="recorded('unlimited')"), "print(stepper.step, stepper.witness.get('pc', ''))",
                   "stepper.step = 4"]) as lab:
        page = lab.page
        run(lab, 0)
        page.wait_for_selector(".ebpflab .cell", timeout=60_000)

        # It opens at the error, which is marked in words and by sign, not by colour alone.
        assert at(page) == 13
        assert "rejected" in page.locator(".ebpflab .who").inner_text()
        assert page.locator(".ebpflab .row.wrong .mark").inner_text() == "✗"
        assert "R0 max value is outside" in page.locator(".ebpflab .verdict").inner_text()
        assert page.locator(".ebpflab .cell.blamed .name").inner_text() == "✗ R0"

        # Arrow keys belong to the stepper while it has the focus, and the notebook does not move.
        page.locator(".ebpflab .list").focus()
        selected = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
        cell = page.evaluate(selected)
        press(page, "ArrowLeft", "ArrowLeft")
        wait_step(page, 11)
        press(page, "Home")
        wait_step(page, 0)
        press(page, "ArrowDown", "ArrowDown", "ArrowUp", "ArrowRight")
        wait_step(page, 2)
        press(page, "End")
        wait_step(page, 13)
        assert page.evaluate(selected) == cell
        assert page.evaluate("() => document.activeElement.classList.contains('list')")
        assert lab.page.evaluate("() => document.querySelectorAll('.jp-Cell').length") == 3, "no cell was made or cut"

        # The slider, by keyboard too; Python hears of it.
        slider = page.locator(".ebpflab input[type=range]")
        slider.focus()
        press(page, "PageUp")
        wait_step(page, 0)
        slider.fill("3")
        wait_step(page, 3)
        changed = page.locator(".ebpflab .cell.changed")
        assert changed.count() == 1
        assert changed.locator(".name").inner_text() == "R8"
        assert changed.locator("del").inner_text() == "pkt(r=0)"
        assert changed.locator("ins").inner_text() == "pkt(off=14,r=0)"
        assert "packet pointer + 14, no byte proved yet" in changed.inner_text()
        page.wait_for_timeout(600)
        run(lab, 1)
        lab.settle()
        assert lab.outputs()[1].strip() == "3"

        # An input that breaks it is looked for when the reader asks; the rule's page is a link into the lab.
        page.get_by_role("button", name="Find an input that breaks it").click()
        page.wait_for_selector(".ebpflab .found strong", timeout=30_000)
        found = page.locator(".ebpflab .found").inner_text()
        assert "instruction 14 goes wrong: read of 8 bytes" in found and "Confirmed by the simulator" in found
        assert page.locator(".ebpflab .id a").first.get_attribute("href").endswith("docs/rejections.md#value-range")
        run(lab, 1)
        lab.settle()
        assert lab.outputs()[1].split() == ["3", "14"]

        # And Python can set it.
        run(lab, 2)
        wait_step(page, 4)

        assert page.evaluate(
            "() => [...document.querySelectorAll('.ebpflab :is(button, input, select, summary, [tabindex])')]"
            ".filter(e => !e.closest('[data-lm-suppress-shortcuts]')).length") == 0


def test_themes(lab_page):
    """Text stays readable on its ground in JupyterLab's light and dark theme (WCAG AA: contrast 4.5)."""
    with lab_page([CELL.format(trace="recorded('unlimited')")]) as lab:
        lab.run_all()
        page = lab.page
        page.wait_for_selector(".ebpflab .cell")
        grounds = set()
        for theme in ("light", "dark"):
            lab.theme(theme)
            found = page.evaluate(CONTRAST)
            assert found["worst"] >= 4.5, found
            grounds.add(found["ground"])
        assert len(grounds) == 2, "the ground follows the theme"


# Lowest contrast of text that carries meaning against the nearest opaque ground.
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
  let worst = { worst: 99 };
  const parts = ".who, .facts, .verdict code, .verdict p, .insn:not(.never) .text, .pc, .count, .name, .value, .words, "
    + ".error span";
  for (const e of document.querySelectorAll(parts.split(", ").map((p) => ".ebpflab " + p).join(", "))) {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < worst.worst) worst = { worst: contrast, where: e.className, text: e.textContent };
  }
  return { ...worst, ground: getComputedStyle(document.querySelector(".ebpflab")).backgroundColor };
}"""


def test_paths_visits_and_links(tmp_path):
    with static_page(tmp_path / "counted.html", recorded("counted")) as page:
        page.locator(".ebpflab .list").focus()
        assert at(page) == 0
        # The last step is on the side path of instruction 4: up leads to the branch, not to the step before.
        press(page, "End")
        wait_step(page, 21)
        press(page, "ArrowUp")
        wait_step(page, 20)
        assert "from #4 by jump taken" in page.locator(".ebpflab .way").inner_text()
        press(page, "ArrowUp")
        wait_step(page, 4)
        assert page.locator(".ebpflab .way").inner_text().split() == "jump not taken → #5 jump taken → #20".split()
        page.get_by_role("button", name="#20").click()
        wait_step(page, 20)
        # Visits of instruction 19.
        assert "visit 2 of 2" in page.locator(".ebpflab .way").inner_text()
        page.locator(".ebpflab .list").focus()
        press(page, "[")
        wait_step(page, 18)
        press(page, "]")
        wait_step(page, 20)
        # What is not on this path is dimmed; the labels stand in the listing.
        off = page.locator(".ebpflab .row.insn.off .pc").all_inner_texts()
        assert off == [str(pc) for pc in (5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18)]
        assert page.locator(".ebpflab .row.label").inner_text() == "short:"
        assert page.locator(".ebpflab .source", has_text="// data_end").count() == 1
        # The list of steps shows where a path continues.
        page.get_by_role("button", name="Steps").click()
        assert page.locator(".ebpflab .row.step").count() == 22
        tags = page.locator(".ebpflab .row.step .tag").all_inner_texts()
        assert tags == ["from 13, #12", "from 4, #4"]
        page.locator(".ebpflab .row.step").nth(6).click()
        wait_step(page, 6)


def test_filters(tmp_path):
    with static_page(tmp_path / "counted.html", recorded("counted")) as page:
        page.get_by_label("Which steps").select_option("changes of R3")
        page.wait_for_timeout(100)
        page.locator(".ebpflab .list").focus()
        seen = []
        for _ in range(4):
            press(page, "ArrowRight")
            seen.append(at(page))
        assert seen == [5, 6, 11, 11]
        page.get_by_label("Which steps").select_option("changes of the stack")
        page.wait_for_timeout(100)
        page.locator(".ebpflab .list").focus()
        press(page, "ArrowLeft")
        wait_step(page, 7)


def test_pictures(tmp_path):
    with static_page(tmp_path / "counted.html", recorded("counted")) as page:
        page.locator(".ebpflab input[type=range]").fill("6")
        scales = page.locator(".ebpflab .cell.changed .scale")
        titles = [scales.nth(i).get_attribute("title") for i in range(scales.count())]
        assert titles == ["unsigned: 0 to 3; before: 0 to 255",
                          "bits 63 … 0: 0 known to be 1, 62 known to be 0, 2 not known"]
        # A cell that did not change opens on demand, by keyboard.
        name = page.locator(".ebpflab [data-cell=R7]")
        assert name.get_attribute("aria-expanded") == "false"
        name.focus()
        press(page, "Enter")
        assert page.locator(".ebpflab [data-cell=R7]").get_attribute("aria-expanded") == "true"
        assert page.evaluate("() => document.activeElement.dataset.cell") == "R7"
        title = page.locator(".ebpflab .ruler").get_attribute("title")
        assert title == "points at byte 0; 14 proved bytes of the packet"
    with static_page(tmp_path / "unlimited.html", recorded("unlimited")) as page:
        ruler = page.locator(".ebpflab .cell.blamed .ruler")
        assert ruler.get_attribute("title") == "touches 8 bytes from bytes 0 to 65535; 16 bytes of the map's value"
        assert ruler.locator(".outside").count() == 1


def test_why(tmp_path):
    """The chain of proof leads to its steps; needed against known in numbers; the fixes."""
    with static_page(tmp_path / "unlimited.html", recorded("unlimited"), ready=".chain") as page:
        assert page.locator(".ebpflab .who .tag").inner_text() == "value-range"
        links = page.locator(".ebpflab .chain button")
        assert links.evaluate_all("all => all.map(e => Number(e.dataset.step))") == [5, 9, 10, 12, 13]
        assert links.locator(".means").all_inner_texts()[-2:] == ["knowledge is lost", "is needed here"]
        links.nth(3).click()
        wait_step(page, 12)
        assert links.nth(3).get_attribute("aria-current") == "step"
        press(page, "C", "C", "c")
        wait_step(page, 10)
        assert page.locator(".ebpflab .row .mark.role").count() == 3, "marked in the program, but here and at the error"
        page.get_by_label("Which steps").select_option("chain of proof")
        page.locator(".ebpflab .list").focus()
        press(page, "ArrowLeft", "ArrowLeft")
        wait_step(page, 5)
        assert page.locator(".ebpflab .lanes .span").all_inner_texts() == ["0 … 8", "0 … 65535"]
        assert page.locator(".ebpflab .fix pre").first.inner_text().startswith("if r6 > 8 goto out")
        assert page.locator(".ebpflab .fix .what").all_inner_texts() == ["assembly", "C"]
        assert "ebpflab.explain.witness" in page.locator(".ebpflab .found").inner_text()
        assert page.locator(".ebpflab a").count() == 0, "nothing leads out of a page that may lie anywhere"


def test_a_page_with_its_witness(tmp_path):
    from ebpflab.explain import witness
    from tests.view.programs import spec

    found = witness(spec("unlimited"), recorded("unlimited"))
    with static_page(tmp_path / "broken.html", recorded("unlimited"), ready=".hex", witness=found) as page:
        assert f"{len(found.packet)} bytes" in page.locator(".ebpflab .found").inner_text()
        assert "".join(page.locator(".ebpflab .hex b").all_inner_texts()) == found.packet.hex().replace("00", "")


def test_keys(tmp_path):
    with static_page(tmp_path / "counted.html", recorded("counted")) as page:
        page.locator(".ebpflab .list").focus()
        press(page, "j", "j", "j", "k")
        wait_step(page, 2)
        press(page, "n")        # step 2 gives R8 its value, step 3 the next one
        wait_step(page, 3)
        press(page, "End")
        page.locator(".ebpflab [data-cell=R7]").press("Enter")
        press(page, "N")        # the register opened last
        wait_step(page, 4)
        assert page.locator(".ebpflab [role=dialog]").is_hidden()
        press(page, "?")
        assert "next change of this register" in page.get_by_role("dialog", name="Keys").inner_text()
        press(page, "Escape")
        assert page.locator(".ebpflab [role=dialog]").is_hidden()
        press(page, "s")
        assert page.locator(".ebpflab .row.step.here").count() == 1
        active = page.locator(".ebpflab .list").get_attribute("aria-activedescendant")
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"


C_LINES = ["int counted(struct xdp_md *ctx)", "{", "    if (data + 14 > data_end)", "        return 1;",
           "    key = *data & 3;", "    return 2;", "}"]


def test_c_beside_assembly(tmp_path):
    from dataclasses import replace

    from ebpflab.spec import SourceLine

    trace = recorded("counted")
    lines = {pc: SourceLine("counted.c", line, 1, C_LINES[line - 1].strip()) for pc, line in ((0, 3), (5, 5), (17, 6))}
    steps = tuple(replace(step, source=None) for step in trace.steps)
    trace = replace(trace, steps=steps, program=replace(trace.program, lines=lines, source="\n".join(C_LINES)))
    with static_page(tmp_path / "c.html", trace) as page:
        assert page.locator(".ebpflab .row.c").count() == len(C_LINES)
        assert page.locator(".ebpflab .row.c.here .pc").inner_text() == "3"
        assert page.locator(".ebpflab .row.insn.kin .pc").all_inner_texts() == ["1", "2", "3", "4"]
        page.locator(".ebpflab .row.c").nth(4).click()
        wait_step(page, 5)
        assert page.locator(".ebpflab .row.c.here .text").inner_text().strip() == "key = *data & 3;"
        assert "counted.c:5" in page.locator(".ebpflab .now .from").inner_text()


def test_two_side_by_side(tmp_path):
    """The first difference is said, marked and opened; other spelling is none."""
    from ebpflab.trace import klog
    from ebpflab.view.html import pair_page

    a = recorded("counted")
    known, less = "smax=umax=smax32=umax32=3,var_off=(0x0; 0x3)", "smax=umax=smax32=umax32=255,var_off=(0x0; 0xff)"
    b = klog.parse(a.log.replace(known, less), a.program, ok=True, by="Linux 5.10.0")
    with static_page(tmp_path / "two.html", (a, b), page_of=pair_page) as page:
        assert at(page) == 6
        assert "First difference at step #6" in page.locator(".ebpflab .parting").inner_text()
        assert page.locator(".ebpflab .side").all_inner_texts() == ["Linux 6.18.0", "Linux 5.10.0"]
        assert page.locator(".ebpflab .cell.apart .name").all_inner_texts() == ["≠ R3", "≠ R3"]
        page.locator(".ebpflab .list").focus()
        press(page, "ArrowLeft")
        page.wait_for_function("() => !document.querySelector('.ebpflab .cell.apart')")
        press(page, "e")
        page.wait_for_selector(".ebpflab .cell.apart")
        assert at(page) == 6
    with static_page(tmp_path / "same.html", (a, lab.verify(a.program)), page_of=pair_page) as page:
        assert "knew the same at each" in page.locator(".ebpflab .parting").inner_text()
        for step in range(22):
            page.locator(".ebpflab input[type=range]").fill(str(step))
            page.wait_for_timeout(30)
            assert page.locator(".ebpflab .cell.apart").count() == 0


def test_two_in_jupyterlab(lab_page):
    """Both sides fetch what they need, and stay in step."""
    cell = CELL.replace("Stepper({trace})", "Stepper.compare(long_trace(1500), long_trace(1499))")
    with lab_page([cell]) as lab:
        lab.run_all()
        page = lab.page
        page.wait_for_selector("text=There is no step #23985 here", timeout=60_000)
        for step in (15_000, 23_984):
            page.locator(".ebpflab input[type=range]").fill(str(step))
            for pane in (0, 1):
                page.wait_for_function("([pane, step]) => document.querySelectorAll('.ebpflab .state')[pane]"
                                       ".querySelector('[role=status]').textContent.startsWith(`Step ${step},`)",
                                       arg=[pane, step], timeout=30_000)


def test_frames(tmp_path):
    with static_page(tmp_path / "loop.html", recorded("loop")) as page:
        page.locator(".ebpflab input[type=range]").fill("4")
        assert page.locator(".ebpflab .frames button").all_inner_texts() == ["0", "1"]
        assert "R6" not in page.locator(".ebpflab .cell .name").all_inner_texts()
        page.locator(".ebpflab .frames button").first.click()
        assert "R6" in page.locator(".ebpflab .cell .name").all_inner_texts()


def test_screen_readers_are_told(tmp_path):
    with static_page(tmp_path / "counted.html", recorded("counted")) as page:
        page.locator(".ebpflab .list").focus()
        press(page, *["ArrowRight"] * 3)
        told = page.locator(".ebpflab [aria-live]").inner_text()
        assert told == "Step 3, instruction 3: (07) r8 += 14. R8 is packet pointer + 14, no byte proved yet"
        assert page.locator(".ebpflab input[type=range]").get_attribute("aria-valuetext") == (
            "step 3 of 21, instruction 3: (07) r8 += 14")
        nameless = page.evaluate(
            "() => [...document.querySelectorAll('.ebpflab :is(button, input, select, summary)')].filter("
            "e => !(e.getAttribute('aria-label') || e.textContent.trim())).length")
        assert nameless == 0


def test_unsupported_is_not_shown_as_a_rejection(tmp_path):
    from dataclasses import replace

    from ebpflab.trace import Verdict

    stopped = replace(recorded("counted"), verdict=Verdict("unsupported", "ebpflab", "spin locks", pc=12))
    with static_page(tmp_path / "unclear.html", stopped) as page:
        assert page.locator(".ebpflab .sign").inner_text() == "?"
        assert page.locator(".ebpflab .row.unclear .mark").inner_text() == "?"
        assert page.locator(".ebpflab .row.error").inner_text() == "? spin locks"
        text = page.locator(".ebpflab").inner_text().lower()
        assert "rejected" not in text and "✗" not in text


def test_rejected_before_the_first_step(tmp_path):
    from dataclasses import replace

    from ebpflab.trace import Verdict

    verdict = Verdict("reject", "Linux", "jump out of range from insn 4 to 99", pc=4)
    with static_page(tmp_path / "early.html", replace(recorded("counted"), steps=(), verdict=verdict),
                     ready=".row.wrong") as page:
        assert page.locator(".ebpflab .row.insn").count() == 20
        assert page.locator(".ebpflab .row.wrong .pc").inner_text() == "4"
        assert page.locator(".ebpflab .controls").count() == 0
        page.locator(".ebpflab .list").focus()
        press(page, "ArrowRight", "End", "e")
        page.locator(".ebpflab .row.insn").nth(3).click()


def test_dark_page_follows_the_system(tmp_path):
    with static_page(tmp_path / "dark.html", recorded("counted"), color_scheme="dark") as page:
        assert page.evaluate(CONTRAST)["worst"] >= 4.5
        assert page.evaluate(CONTRAST)["ground"] == "rgb(20, 24, 29)"


def test_exported_notebook(lab_page, lab_server, tmp_path):
    """HTML in an output, and a notebook exported without widget state: the static twin takes the widget's place."""
    import subprocess
    import sys

    from playwright.sync_api import sync_playwright

    html = ("from IPython.display import HTML\nfrom ebpflab.view.html import trace_page\n"
            "HTML(trace_page(recorded('counted'), embed=True))")
    with lab_page([CELL.format(trace="recorded('unlimited')"), html]) as lab:
        lab.run_all()
        lab.page.locator(".ebpflab .cell").nth(6).wait_for()
        assert lab.page.locator(".ebpflab .count").all_inner_texts() == ["#13 / 13", "#0 / 21"]
        lab.command("docmanager:save")
    saved = lab_server.folder / "test_exported_notebook.ipynb"
    subprocess.run([sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--log-level=ERROR", str(saved)],
                   check=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            page = browser.new_page()
            page.goto(saved.with_suffix(".html").as_uri())
            page.locator(".ebpflab .cell").nth(6).wait_for()
            assert page.locator(".ebpflab .count").all_inner_texts() == ["#13 / 13", "#0 / 21"]
            page.locator(".ebpflab .list").first.focus()
            press(page, "ArrowLeft")
            assert page.locator(".ebpflab .count").first.inner_text() == "#12 / 13"
        finally:
            browser.close()


def test_without_scripts_the_text_is_there(tmp_path):
    from playwright.sync_api import sync_playwright

    from ebpflab.view.html import trace_page

    path = tmp_path / "bare.html"
    path.write_text(trace_page(recorded("unlimited")))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            page = browser.new_context(java_script_enabled=False).new_page()
            page.goto(path.as_uri())
            assert page.locator("pre").inner_text().startswith("✗ rejected  unlimited (xdp), by Linux 6.18.0")
        finally:
            browser.close()


def test_a_hundred_thousand_steps(lab_page, capsys):
    """States come on demand; the page holds a few dozen rows; jumps are measured and printed."""
    with lab_page([CELL.format(trace="long_trace(6250)")]) as lab:
        page = lab.page
        began = time.monotonic()
        lab.run_all()
        page.wait_for_selector(".ebpflab .cell", timeout=60_000)
        opened = time.monotonic() - began
        assert page.locator(".ebpflab .count").inner_text() == "#0 / 100000"
        trace = long_trace(6250)
        times = {"at once": [], "fetched": []}
        for name, steps in (("at once", (99_991, 40_000, 77_777)), ("fetched", (12_345, 100_000, 55_555, 65_432))):
            for step in steps:
                times[name].append(round(page.evaluate(JUMP, step)))
                names = page.locator(".ebpflab .cell .name").all_inner_texts()
                values = page.locator(".ebpflab .cell .value :is(ins, span:not(.arrow))").all_inner_texts()
                shown = dict(zip(names, values, strict=True))
                assert shown == {name: cell.text for name, cell in trace.steps[step].after.cells()}
            page.wait_for_timeout(5000)
        page.get_by_role("button", name="Steps").click()
        assert page.locator(".ebpflab .row").count() < 100
        near = [round(page.evaluate(JUMP, 65_432 + n)) for n in range(1, 9)]
        with capsys.disabled():
            print(f"\n100,001 steps: opened in {opened:.1f} s (making and parsing the log included); jumps right after "
                  f"opening {times['at once']} ms, later {times['fetched']} ms, to a neighbour {near} ms")


# Milliseconds from moving the slider until the state of that step is painted.
JUMP = """(step) => new Promise((done) => {
  const slider = document.querySelector(".ebpflab input[type=range]");
  const cells = document.querySelector(".ebpflab .cells"), status = document.querySelector(".ebpflab [aria-live]");
  const began = performance.now();
  slider.value = step;
  slider.dispatchEvent(new Event("input"));
  const look = () => status.textContent.startsWith(`Step ${step},`) && !cells.classList.contains("waiting")
    ? requestAnimationFrame(() => done(performance.now() - began)) : setTimeout(look, 1);
  look();
})"""


def test_as_high_as_the_program_needs(tmp_path):
    short = lab.verify("r0 = 2\nexit")
    with static_page(tmp_path / "short.html", short) as page:
        page.wait_for_function("() => document.querySelector('.ebpflab .panes').style.getPropertyValue('--need')")
        page.wait_for_timeout(200)
        panes, state = page.locator(".ebpflab .panes"), page.locator(".ebpflab .state")
        low = panes.bounding_box()["height"]
        assert low < 260
        assert state.evaluate("e => e.scrollHeight <= e.clientHeight")      # and nothing is out of sight
        page.locator(".ebpflab .list").focus()
        press(page, "ArrowRight", "ArrowLeft")
        page.wait_for_timeout(200)
        assert panes.bounding_box()["height"] >= low                        # it does not shrink under the reader
    with static_page(tmp_path / "long.html", recorded("unlimited")) as page:
        page.wait_for_timeout(400)
        assert 300 < page.locator(".ebpflab .panes").bounding_box()["height"] <= 600
