"""What sees the whole machine is not attached to a host's kernel, and the error says what to do."""

import pytest

from ebpflab.errors import Unsupported
from ebpflab.kernel import guest

from .sources import counting

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(("type", "how"), [
    ("kprobe", {"place": "do_unlinkat"}), ("kprobe", {"place": "do_unlinkat", "kind": "kretprobe"}),
    ("kprobe", {"path": "/bin/sh", "function": "main"}), ("tracepoint", {"place": "sched:sched_switch"}),
    ("raw_tracepoint", {"place": "sched_switch"}), ("perf_event", {"place": "cpu-clock"})])
def test_tracing_needs_a_guest(kernel, type, how):
    before = kernel.session.handles()
    with counting(kernel, type, 0) as prog, pytest.raises(Unsupported) as caught:
        prog.attach(**how)
    assert "only in a guest" in str(caught.value) and "%bpf_target qemu" in str(caught.value)
    assert kernel.session.handles() == before


def test_a_guest_is_known_by_its_mark(monkeypatch, tmp_path):
    assert not guest.ours()
    mark = tmp_path / "ebpflab-guest"
    monkeypatch.setattr(guest, "MARK", mark)
    guest.ours.cache_clear()
    try:
        assert not guest.ours()
        mark.write_text("something else")
        guest.ours.cache_clear()
        assert not guest.ours()
        mark.write_text(guest.WORDS + "\n")
        guest.ours.cache_clear()
        assert guest.ours()
    finally:
        guest.ours.cache_clear()
