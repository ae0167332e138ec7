"""A recorded run, walked backwards: registers, memory, who wrote what."""

from ebpflab.asm import assemble
from ebpflab.sim import Machine, packets
from ebpflab.sim.history import record

TEXT = """
.map seen hash u32 u64 8
    r6 = *(u32 *)(r1 + 0)
    r7 = *(u32 *)(r1 + 4)
    r3 = r6
    r3 += 34
    if r3 > r7 goto out
    r2 = *(u8 *)(r6 + 23)
    *(u32 *)(r10 - 4) = r2
    *(u64 *)(r10 - 16) = 1
    r1 = seen ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_map_update_elem
    *(u8 *)(r6 + 22) = 9
    r1 = seen ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = 5
    lock *(u64 *)(r0 + 0) += r1
    call twice
out:
    r0 = 2
    exit
twice:
    r6 = 77
    *(u64 *)(r10 - 8) = r6
    r0 = 3
    exit
"""
UDP = packets.udp(b"x" * 8)


def at(history, text):
    """The one step of the instruction whose source line says this."""
    found = [step for step in history.steps if step.source and text in step.source.text]
    assert len(found) == 1, text
    return found[0]


def test_walking_back():
    program = Machine().load(assemble(TEXT, type="xdp"))
    history = record(program, UDP)
    plain = program.run(UDP)
    assert history.fault is None and history.result.retval == plain.retval == 2
    assert len(history) == plain.insns == history.result.insns

    store = at(history, "*(u8 *)(r6 + 22) = 9")
    ttl = store.regs[6] + 22
    assert history.read(store.index, ttl, 1) == b"\x40"
    assert history.read(store.index + 1, ttl, 1) == b"\x09"
    assert history.read(len(history), ttl, 1) == b"\x09"
    assert history.writer(len(history), ttl) is store and history.writer(store.index, ttl) is None
    assert history.describe(ttl) == "packet+22"

    change = history.changes("seen")
    assert [(step.source.text.strip(), event.old, event.new) for step, event in change] == [
        ("call bpf_map_update_elem", None, (1).to_bytes(8, "little"))]
    add = at(history, "lock *(u64 *)")
    value = add.regs[0]
    assert history.read(0, value, 8) is None                       # the entry is not there yet
    assert history.read(add.index, value, 8) == (1).to_bytes(8, "little")
    assert history.read(add.index + 1, value, 8) == (6).to_bytes(8, "little")
    assert history.writer(len(history), value, 8) is add


def test_registers_and_frames():
    history = record(Machine().load(assemble(TEXT, type="xdp")), UDP)
    inner = at(history, "*(u64 *)(r10 - 8) = r6")
    assert inner.depth == 1 and inner.regs[6] == 77
    assert history.setter(inner.index, 6) is at(history, "r6 = 77")
    assert history.setter(inner.index, 1) is None                  # an argument: it came with the frame
    last = history.steps[-1]
    assert last.depth == 0 and last.regs[6] != 77
    assert history.setter(last.index, 6) is history.steps[0]
    after = history.steps[history.steps.index(at(history, "r0 = 3")) + 2]
    assert after.depth == 0 and history.setter(after.index, 0) is at(history, "call twice")
    stack = inner.regs[10] - 8
    assert history.read(inner.index, stack, 8) == bytes(8)
    assert history.read(inner.index + 1, stack, 8) == (77).to_bytes(8, "little")


def test_breakpoints_and_hits():
    text = "r0 = 0\nl:\nr0 += 1\nif r0 < 10 goto l\nexit"
    history = record(Machine().load(assemble(text, type="xdp")), UDP)
    assert history.hits() == {0: 1, 1: 10, 2: 10, 3: 1}
    assert [step.regs[0] for step in history.visits(1, when=lambda step: step.regs[0] > 7)] == [8, 9]


def test_a_fault_ends_the_history():
    history = record(Machine().load(assemble("r6 = 5\nr0 = *(u64 *)(r6 + 0)\nexit", type="xdp")), UDP)
    assert history.result is None and history.fault.pc == 1 == history.steps[-1].pc
    assert history.setter(history.fault.pc, 6).pc == 0
    endless = record(Machine().load(assemble("l:\ngoto l\nexit", type="xdp")), UDP, limit=100)
    assert len(endless) == 100 and "budget" in endless.fault.what


def test_packets_that_move():
    text = """
    r6 = r1
    r7 = *(u32 *)(r1 + 0)
    *(u8 *)(r7 + 20) = 1
    r2 = 14
    call bpf_xdp_adjust_head
    r8 = *(u32 *)(r6 + 0)
    *(u8 *)(r8 + 6) = 2
    r0 = 2
    exit"""
    program = Machine().load(assemble(text, type="xdp"))
    history = record(program, bytes(64))
    call = at(history, "call bpf_xdp_adjust_head")
    old = call.regs[7]
    assert history.read(call.index, old + 20, 1) == b"\1"
    assert history.read(call.index + 1, old + 20, 1) is None
    new = history.steps[-1].regs[8]
    assert history.read(call.index, new, 1) is None
    assert history.read(call.index + 1, new + 6, 1) == b"\1"       # the same byte, seen from the new start
    assert history.read(len(history), new + 6, 1) == b"\2"
    assert program.run(bytes(64)).data == history.result.data
