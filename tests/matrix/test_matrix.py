"""One program on several kernels: the rows, where they part, and what is said of a place that is not there."""

import os

import pytest

from ebpflab import assemble, matrix
from ebpflab.errors import SpecError
from ebpflab.targets.registry import open_target
from ebpflab.vm import image
from tests.vm.conftest import XDP_COUNT, needs_qemu

COUNT = assemble(XDP_COUNT, type="xdp", name="count")
#: reads where a number points to
BAD = assemble("r2 = *(u32 *)(r1 + 12); r0 = *(u8 *)(r2 + 0); exit", type="xdp", name="bad")


def privileged() -> None:
    if os.getuid():
        pytest.skip("loading on this kernel needs root")


@pytest.fixture(scope="module")
def both():
    privileged()
    return matrix.run(COUNT, ["sim", "local"], repeat=10)


@pytest.mark.kernel
def test_rows_say_what_each_place_said(both):
    sim, local = both
    assert (sim.kernel, local.kernel) == ("sim", "local") and both.reference == "sim"
    assert sim.result == local.result == "accept" and sim.retval == local.retval == 2
    assert sim.verdict == "XDP_PASS" and both.agree
    assert local.release == os.uname().release.split("-")[0] and local.usec > 0
    assert sim.xlated is None and sim.usec is None
    assert local.xlated >= len(COUNT.bytes) and local.jited > 0 and sim.run_ns > 0
    assert sim.trace.verdict.by != local.trace.verdict.by


@pytest.mark.kernel
def test_sizes_are_what_bpftool_would_say(both):
    with open_target("local") as target, target.load(COUNT) as loaded:
        info = loaded.info()
    assert (both["local"].xlated, both["local"].jited) == (info["xlated_len"], info["jited_len"])


@pytest.mark.kernel
def test_a_frame_has_a_row_a_kernel(both):
    frame = both.frame()
    assert list(frame.index) == ["sim", "local"]
    assert frame.loc["local", "xlated"] == both["local"].xlated
    assert frame["xlated"].isna().tolist() == [True, False]
    assert frame.loc["sim", "difference"] == ""
    assert "trace" not in frame


@pytest.mark.kernel
def test_a_rejection_has_the_kernels_words_and_place():
    privileged()
    found = matrix.run(BAD, ["local", "sim"])
    assert [row.result for row in found] == ["reject", "reject"] and found.reference == "local"
    assert all(row.pc == 1 and "invalid mem access" in row.error and row.trace for row in found)
    assert all(row.run_ns is None and row.xlated is None for row in found)
    with open_target("local") as target:
        assert target.session.handles() == []


@pytest.mark.kernel
def test_a_type_without_a_test_run_says_why():
    privileged()
    found = matrix.run(assemble("r0 = 0; exit", type="kprobe", name="probe"), ["local"])
    assert found["local"].result == "accept" and found["local"].run_ns is None
    assert "TEST_RUN" in found["local"].unrun and found["local"].unrun in str(found)


def test_views_hold_every_row_and_are_escaped():
    found = matrix.run(assemble("r0 = 2; exit", type="xdp", name="x"), ["sim"])
    html = found._repr_html_()
    assert html.count("<tr") == 2 and "XDP_PASS" in html and "accept" in html
    row = matrix.Row("<b>", error="<script>alert(1)</script>", result="absent")
    html = matrix.Matrix(COUNT, (row,), "<b>")._repr_html_()
    assert "<script>" not in html and "<b>" not in html and "&lt;script&gt;" in html
    assert str(found).splitlines()[0].startswith("kernel") and "✓ accept" in str(found)


def test_a_place_that_cannot_be_had_is_a_row(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = matrix.run(COUNT, ["sim", "6.1"])
    assert found["6.1"].result == "absent" and "not installed" in found["6.1"].error
    assert found["6.1"].trace is None and found.parting(found["6.1"]) == ""
    assert "not installed" in str(found)
    with pytest.raises(SpecError, match=r"no trace of 6\.1"):
        found.difference("6.1")
    with pytest.raises(KeyError, match=r"there are sim, 6\.1"):
        found["6.2"]


@pytest.mark.parametrize(("kernels", "options", "words"), [
    ([], {}, "needs kernels"), (["sim", "sim"], {}, "each once"),
    (["sim"], {"reference": "local"}, "none of the kernels"), (["7.9"], {}, "neither a kernel nor a target")])
def test_wrong_questions_are_told(kernels, options, words):
    with pytest.raises(SpecError, match=words):
        matrix.run(COUNT, kernels, **options)


@pytest.mark.vm
@pytest.mark.slow
def test_every_kernel_series():
    """All kernels of the matrix, one guest after the other; they part where the kernels really changed."""
    needs_qemu()
    if image.missing():
        pytest.skip(f"building an image needs {' '.join(image.missing())}")
    said = []
    found = matrix.run(COUNT, ["sim", *image.RECIPES], progress=lambda text, fraction: said.append(fraction))
    assert [row.result for row in found] == ["accept"] * 5, str(found)
    assert found.agree and {row.verdict for row in found} == {"XDP_PASS"}
    for kernel in ("5.10", "6.1", "6.12"):
        assert found[kernel].release.startswith(kernel + ".")
    assert len({row.release for row in found}) == 5
    newest = tuple(map(int, found["newest"].release.split(".")[:2]))
    assert newest > (6, 12)
    # a lookup with a constant key that an array surely has is not null: known to the kernel since 6.15
    assert found.difference("6.1").cells[0].fields == ("type",)
    assert all(row.usec and row.jited and row.run_ns for row in found if row.kernel != "sim")
    assert said == sorted(said)
