"""The time-travel debugger: going, stopping, looking; the run as a trace."""

import pytest

import ebpflab as lab
from ebpflab.debugger import Debugger
from ebpflab.errors import SpecError, Unsupported
from ebpflab.sim import packets

TEXT = """
.map seen hash u32 u64 8
.map total array u32 u64 2
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
    *(u32 *)(r10 - 4) = 1
    r1 = total ll
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


@pytest.fixture
def dbg() -> Debugger:
    return lab.debug(TEXT, UDP)


def step_of(dbg, text):
    """The step of the one instruction that says this."""
    found = [step.index for step in dbg.trace.steps if text in step.text]
    assert len(found) == 1, text
    return found[0]


def test_the_run_is_a_trace(dbg):
    trace = dbg.trace
    assert trace.ok and trace.verdict.error == "returned 2 (XDP_PASS)" and trace.verdict.stats.processed == len(dbg)
    assert str(trace) == f"prog: run by the simulator after {len(dbg)} steps: returned 2 (XDP_PASS)"
    load = trace.steps[step_of(dbg, "r2 = *(u8 *)(r6 +23)")]
    assert load.changed == ("R2",) and load.after.frame.regs[2].const == 17
    assert load.before.frame.regs[6].text == "packet(off=0,len=50)" and load.branch == "fall"
    store = trace.steps[step_of(dbg, "*(u64 *)(r10 -16) = 1")]
    assert store.after.frame.stack[-16].value.const == 1
    called = trace.steps[step_of(dbg, "r6 = 77")]
    assert len(called.before.frames) == 2 and set(called.before.frame.regs) == {1, 2, 3, 4, 5, 10}
    assert called.before.frame.regs[2].text == "fp[0]-4" and called.before.frames[0].stack[-8].value.const == 1 << 32
    frame = dbg.to_frame()
    assert len(frame) == len(dbg) and frame["R2"][load.index] == "17"


def test_going_both_ways(dbg):
    assert dbg.step(3).at == 3 and dbg.back().at == 2 and dbg.back(9).at == 0 and dbg.go(-1).at == len(dbg) - 1
    assert dbg.step(5).at == len(dbg) and dbg.insn == "" and "returned 2" in str(dbg)
    call = step_of(dbg, "call pc+2")
    assert dbg.go(call).over().insn.endswith("r0 = 2") and dbg.back().depth == 1
    assert dbg.go(call).step().out().insn.endswith("r0 = 2")


def test_stopping(dbg):
    dbg.break_at(5, when="w2 != 17")
    assert dbg.run().at == 5 and dbg.run().at == len(dbg) and dbg.run_back().at == 5 and dbg.run_back().at == 0
    dbg.breakpoints.clear()
    dbg.break_at("twice")
    assert dbg.run().at == step_of(dbg, "r6 = 77")
    dbg.breakpoints.clear()
    dbg.break_at(":9")
    assert dbg.go(0).run().trace.steps[dbg.at].source.line == 9
    dbg.breakpoints.clear()
    dbg.break_at(when='depth == 1 and r6 == 77 and at("fp-8") != b"\\0" * 8')
    assert dbg.run().insn.endswith("r0 = 3")


@pytest.mark.parametrize(("place", "culprit", "value"), [
    ("seen", "call bpf_map_update_elem", {(17).to_bytes(4, "little"): (1).to_bytes(8, "little")}),
    ("seen[17]", "call bpf_map_update_elem", (1).to_bytes(8, "little")),
    ("total[1]", "lock *(u64 *)", (5).to_bytes(8, "little")),
    ("total[1][0:1]", "lock *(u64 *)", b"\5"),
    ("packet[22]", "*(u8 *)(r6 +22) = 9", b"\x09"),
    ("r7", "r7 = *(u32 *)", None),
])
def test_watching_a_place_and_who_wrote_it(dbg, place, culprit, value):
    dbg.watch(place)
    assert dbg.run().at == step_of(dbg, culprit) + 1
    if value is not None:
        assert dbg.read(place) == value
    assert dbg.who(place).index == dbg.at - 1
    assert dbg.run().at == len(dbg)
    assert dbg.run_back().at == step_of(dbg, culprit) + 1
    assert dbg.back().read(place) != value
    assert dbg.go(0).who(place) is None


def test_a_write_of_the_same_value_can_be_watched():
    dbg = lab.debug("r1 = 7\n*(u64 *)(r10 - 8) = r1\n*(u64 *)(r10 - 8) = r1\nr0 = 0\nexit", UDP)
    dbg.watch("fp-8")
    dbg.watch("fp-8", writes=True)
    assert [dbg.run().at, dbg.run().at, dbg.run().at] == [2, 3, len(dbg)]


def test_places(dbg):
    dbg.go(step_of(dbg, "r1 = 5"))
    assert dbg.read("w0") == dbg.read("r0") & 0xFFFF_FFFF
    assert dbg.read("fp-4:4") == (1).to_bytes(4, "little") and dbg.read("*(u8 *)(r6 + 22)") == b"\x09"
    assert dbg.read("packet") == UDP[:22] + b"\x09" + UDP[23:] and dbg.read("packet[12:14]") == b"\x08\0"
    assert dbg.read("ctx.ingress_ifindex") == (1).to_bytes(4, "little") and len(dbg.read("ctx")) == 24
    assert dbg.read("packet[60:64]") is None and dbg.read("seen[3]") is None
    assert dbg.read("total") == {(0).to_bytes(4, "little"): bytes(8), (1).to_bytes(4, "little"): bytes(8)}
    for wrong, hint in (("r11", "places"), ("nothing[3]", "seen"), ("ctx.mark", "data_end"), ("seen[x]", "")):
        with pytest.raises(SpecError) as caught:
            dbg.read(wrong)
        assert hint in str(caught.value)


@pytest.mark.parametrize(("text", "says"), [
    ("r1 >", "column"), ("r12 == 3", "r12"), ("1 / 0", "division"), ('at("nowhere")', "no place"),
    ("open('x')", "open"),
])
def test_conditions_that_are_none(dbg, text, says):
    with pytest.raises(SpecError) as caught:
        dbg.break_at(when=text)
        dbg.run()
    assert says in str(caught.value)
    with pytest.raises(SpecError):
        dbg.break_at(99)
    with pytest.raises(SpecError):
        dbg.break_at("no_label")


def test_why_a_value_is_what_it_is(dbg):
    dbg.go(step_of(dbg, "*(u64 *)(r10 -16) = 1"))
    steps = [link.step for link in dbg.why("fp-8").links]
    assert [dbg.trace.steps[at].text for at in steps[:2]] == [
        "(71) r2 = *(u8 *)(r6 +23)", "(63) *(u32 *)(r10 -4) = r2"]


def test_a_fault_is_the_last_step():
    loaded = lab.target("sim").load(lab.assemble("r6 = 5\nr0 = *(u64 *)(r6 + 0)\nexit"), unsafe=True)
    with loaded:
        dbg = loaded.debug(UDP)
    assert not dbg.trace.ok and dbg.trace.verdict.result == "fault" and dbg.trace.steps[-1].kind == "rejected"
    assert dbg.go(-1).insn.startswith("1:") and "NULL" in str(dbg.step())


def test_tail_calls_join_the_programs():
    sim = lab.target("sim")
    first = lab.assemble(".map table prog_array u32 u32 1\nr2 = table ll\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit",
                         name="first")
    second = lab.assemble(".map counts array u32 u64 1\nr1 = counts ll\nr0 = 2\nexit", name="second")
    with sim.load(second) as other, sim.load(first) as one:
        one.maps["table"].update(bytes(4), other)
        dbg = one.debug(UDP)
    assert dbg.trace.verdict.error == "returned 2 (XDP_PASS)"
    assert [step.pc for step in dbg.trace.steps] == [0, 2, 3, 6, 8, 9]
    assert dbg.trace.program.functions[6] == "second" and "map[counts]" in dbg.trace.steps[3].text
    assert all(claim is not None and not claim.outside for claim in dbg.claims)


def test_only_the_simulator_debugs():
    with lab.load("r0 = 2\nexit", target="sim") as prog:
        assert prog.debug(UDP).run().at == 2
    if lab.available("local"):
        with lab.load("r0 = 2\nexit", target="local") as prog, pytest.raises(Unsupported, match="simulator"):
            prog.debug(UDP)
