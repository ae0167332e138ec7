"""Whatever a trace says, the browser is told exactly that."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.isa import Insn
from ebpflab.spec import ProgramSpec, SourceLine
from ebpflab.trace import Frame, Slot, State, Step, Trace, Value, Verdict
from ebpflab.verify import verify
from ebpflab.view.head import error_step
from ebpflab.view.payload import BRANCHES, CHUNK, KINDS, Payload

from . import decode
from .programs import SOURCES, long_trace, recorded, spec


def told(trace: Trace, chunk: int) -> list[tuple[State, State]]:
    payload = Payload(trace, chunk)
    _, back, _ = decode.columns(payload.columns(), len(trace.steps))
    return [pair for k in range(len(payload)) for pair in decode.states(payload.chunk(k), back)]


@pytest.mark.parametrize("chunk", [1, 3, CHUNK])
@pytest.mark.parametrize("name", SOURCES)
def test_states_arrive_as_they_were(name, chunk):
    trace = recorded(name)
    assert told(trace, chunk) == [(step.before, step.after) for step in trace.steps]


@pytest.mark.parametrize("name", SOURCES)
def test_columns(name):
    trace = recorded(name)
    pcs, back, flags = decode.columns(Payload(trace).columns(), len(trace.steps))
    for i, step in enumerate(trace.steps):
        assert pcs[i] == step.pc
        assert (i - back[i] if back[i] else None) == step.parent
        assert KINDS[flags[i] & 3] == step.kind
        assert BRANCHES[flags[i] >> 2 & 3] == step.branch


I64 = st.integers(-(1 << 63), (1 << 63) - 1)
U64 = st.integers(0, (1 << 64) - 1)
VALUES = st.builds(
    Value, type=st.sampled_from(["scalar", "fp", "pkt", "map_value_or_null", "mem"]), text=st.sampled_from(["a", "é"]),
    off=st.integers(-600, 600), value=U64, mask=st.sampled_from([0, 255, (1 << 64) - 1]), umin=U64, smin=I64, smax=I64,
    range=st.integers(-2, 99), size=st.integers(0, 99), precise=st.booleans(), frame=st.sampled_from([None, 0, 7]))
OFFS = st.integers(-64, -1).map(lambda n: 8 * n)
FRAMES = st.lists(st.tuples(
    st.dictionaries(st.integers(0, 10), VALUES, max_size=2),
    st.dictionaries(OFFS, st.tuples(st.text("mr0?", min_size=8, max_size=8), st.none() | VALUES), max_size=1),
    st.sampled_from(["", "cb"])), min_size=1, max_size=3)
STATES = st.builds(
    lambda frames, refs: State(tuple(
        Frame(n, regs, {off: Slot(off, *slot) for off, slot in stack.items()}, cb)
        for n, (regs, stack, cb) in enumerate(frames)), tuple(refs)),
    FRAMES, st.lists(st.integers(1, 5), max_size=2))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(STATES, STATES, st.integers(0, 3)), min_size=1, max_size=5), st.integers(1, 4))
def test_any_state_arrives_as_it_was(rows, chunk):
    """Also states that no verifier makes: frames that come and go, parents far back, numbers beyond 2^53."""
    steps = [Step(i, 0, "(95) exit", before, after, None if i == 0 else max(0, i - 1 - far))
             for i, (before, after, far) in enumerate(rows)]
    trace = Trace(ProgramSpec((Insn(0x95),)), Verdict("accept", "test"), steps)
    assert told(trace, chunk) == [(step.before, step.after) for step in steps]


def test_integers_beyond_a_double_travel_as_text():
    trace = recorded("counted")
    body = json.dumps([json.loads(Payload(trace).chunk(0)), Payload(trace).head()])

    def check(text):
        assert abs(int(text)) < 1 << 53
        return int(text)

    json.loads(body, parse_int=check)


def test_head_says_what_the_views_show():
    head = Payload(recorded("unlimited")).head()
    assert head["verdict"]["step"] == error_step(recorded("unlimited")) == head["steps"] - 1
    assert head["verdict"]["pc"] == 14
    assert head["verdict"]["words"].startswith("The access of 8 bytes through R0 can reach offset 65535")
    assert head["verdict"]["id"] == "value-range"
    rows = {row["pc"]: row for row in head["listing"]}
    assert 10 not in rows, "the second slot of a wide load is no row"
    assert rows[4]["to"] == "out"
    assert rows[15]["hits"] == 0 and rows[15]["label"] == "out"
    assert rows[15]["text"] == "(b7) r0 = 2", "what no step reached is disassembled"


def test_why_it_was_refused():
    reason = json.loads(Payload(recorded("unlimited")).reason())
    assert reason["id"] == "value-range" and reason["page"].endswith("docs/rejections.md#value-range")
    assert [link["role"] for link in reason["chain"]] == ["born", "born", "derived", "lost", "needed"]
    assert reason["need"]["allowed"] == [0, 8] and reason["need"]["known"] == [0, 65535]
    assert reason["fix"]["asm"] and reason["fix"]["c"]
    assert json.loads(Payload(recorded("counted")).reason()) is None


def test_where_an_access_lands():
    rows = {row["pc"]: row for row in Payload(recorded("counted")).head()["listing"]}
    assert rows[5]["access"] == [7, 0, 1] and rows[7]["access"] == [10, -4, 4]
    assert "access" not in rows[3]


def test_c_is_shown_as_a_file():
    """Lines hold up to the next one that is told; without the file's text only those that are known are shown."""
    trace = recorded("counted")
    lines = {0: SourceLine("a.c", 3, 1, "x = 1;"), 5: SourceLine("a.c", 9, 1, "y = 2;")}
    program = replace(trace.program, lines=lines, source="")
    steps = [replace(step, source=None) for step in trace.steps]
    head = Payload(replace(trace, program=program, steps=steps)).head()
    assert [row["source"]["line"] for row in head["listing"]][:6] == [3, 3, 3, 3, 3, 9]
    assert head["files"] == [{"file": "a.c", "lines": [[3, "x = 1;"], [9, "y = 2;"]]}]
    whole = replace(program, source="\n\n x = 1;\n\n\n\n\n\n y = 2;\n}")
    assert len(Payload(replace(trace, program=whole, steps=steps)).head()["files"][0]["lines"]) == 10
    assert Payload(trace).head()["files"] == [], "assembly is its own listing"


@pytest.mark.parametrize("name", SOURCES)
def test_a_walk_of_our_own_tells_its_outline(name):
    """Steps that are made when they are looked at: the outline and the states that are shared say the same."""
    trace = verify(spec(name))
    assert list(trace.outline()) == [(s.pc, s.parent, s.kind, s.branch) for s in trace.steps]
    assert told(trace, 3) == [(step.before, step.after) for step in verify(spec(name)).steps]
    assert trace.to_frame()["pc"].tolist() == [step.pc for step in trace.steps]


def test_of_assembly_only_the_comment_is_shown():
    rows = {row["pc"]: row for row in Payload(recorded("counted")).head()["listing"]}
    assert rows[0]["source"] == {"file": "counted.s", "line": 3, "text": "// data_end"}
    assert [pc for pc, row in rows.items() if row["source"]["text"]] == [0, 1]


def test_touched_tells_registers_and_stack():
    trace = recorded("counted")
    masks = memoryview(Payload(trace).touched()).cast("H")
    assert masks[0] == 1 << 6
    assert masks[7] == 1 << 11
    assert masks[11] == 0b1111, "the call sets R0 and clobbers R1 to R3"


def test_an_early_rejection_has_no_step():
    """A program that is refused before the first instruction is looked at."""
    trace = recorded("counted")
    early = replace(trace, steps=(), verdict=Verdict("reject", "Linux", "jump out of range from insn 4 to 99", pc=4))
    payload = Payload(early)
    assert len(payload) == 0 and payload.columns() == b"" and payload.touched() == b""
    assert payload.head()["verdict"]["step"] is None and payload.head()["verdict"]["pc"] == 4
    with pytest.raises(IndexError):
        payload.chunk(0)


def test_a_chunk_stands_alone_in_a_long_trace():
    trace = long_trace(200)
    payload = Payload(trace, 256)
    _, back, _ = decode.columns(payload.columns(), len(trace.steps))
    assert decode.states(payload.chunk(9), back) == [(s.before, s.after) for s in trace.steps[9 * 256:10 * 256]]
