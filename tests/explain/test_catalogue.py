"""The catalogue: every entry is found by its own message and no other, and its program causes it here and in Linux."""

import re
from functools import cache
from pathlib import Path

import pytest

from ebpflab.errors import SpecError
from ebpflab.explain.catalogue import HARMS, KINDS, Entry, compiled, entries, entry, fill, find, matches
from ebpflab.explain.lessons import section
from ebpflab.verify import verify

ENTRIES = entries()
TRIGGERED = [each for each in ENTRIES if each.trigger or each.source]
#: no program causes these by itself: the mistake is the loader's
BY_THE_LOADER = {"map-fd", "func-info"}
SLOW = {"limit-instructions"}
PARAMETERS = [pytest.param(each, id=each.id, marks=[pytest.mark.slow] if each.id in SLOW else []) for each in TRIGGERED]
program = cache(lambda each: each.spec)
DOCS = Path(__file__).parents[2] / "docs" / "rejections.md"


def example(text: str) -> str:
    """A line that a message template describes."""
    values = {"number": "7", "hex": "ff", "word": "word", "sign": "+=", "insn": "ALU", "paren": "(0x0; 0xff)",
              "text": "some text", "line": " R1=ctx()", "ornull": "sock_or_null", "nonnull": "pkt_end", "sock": "sock"}
    return re.sub(r"<\w+(?::(\w+))?>", lambda token: values[token[1] or "number"], text)


def test_every_lesson_is_taught():
    places = {each.lesson: section(each.lesson) for each in ENTRIES}
    assert [lesson for lesson, place in places.items() if place is None] == []
    notebook, anchor = places["null-checks"]
    assert notebook.name == "02.06-null.ipynb" and anchor == "Null-checks"
    assert section("no-such-lesson") is None


def test_ids_are_unique_and_every_field_is_filled():
    for each in ENTRIES:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each.id)
        for text in (each.title, each.says, each.why, each.needs, each.known, each.asm, each.c, each.lesson):
            assert text.strip(), each.id
        assert each.harm in HARMS or " " in each.harm, each.id
    assert entry("packet-range").theme == "packet"
    with pytest.raises(SpecError, match="no rejection 'packet-rang'"):
        entry("packet-rang")


def test_every_entry_has_a_program_that_causes_it():
    assert {each.id for each in ENTRIES} - {each.id for each in TRIGGERED} == BY_THE_LOADER
    assert not [each.id for each in TRIGGERED if each.trigger and each.source]
    assert entry("map-fd").spec is None


@pytest.mark.parametrize("each", ENTRIES, ids=lambda e: e.id)
def test_every_message_of_an_entry_leads_to_it_alone(each: Entry):
    for message in each.messages:
        lines = tuple(example(message.text).split("\n"))
        assert [match.entry.id for match in matches(lines)] == [each.id], message.text


def test_messages_are_literal_but_for_their_placeholders():
    pattern = compiled("R<reg> pointer <sign:sign> pointer (<a>) R<reg>?")
    assert pattern.fullmatch("R1 pointer += pointer (-3) R1?")
    assert not pattern.fullmatch("R1 pointer += pointer (-3) R2?")
    assert not pattern.fullmatch("R1 pointer += pointer (x) R1?")
    assert set(KINDS) >= {"number", "word", "text"}


def test_the_longest_run_of_last_lines_decides():
    alone = find(("R2 offset is outside of the packet",))
    both = find(("a line before", "invalid access to packet, off=1 size=8, R2(id=0,off=1,r=8)",
                 "R2 offset is outside of the packet"))
    assert (alone.entry.id, both.entry.id) == ("packet-at-end", "packet-range")
    assert dict(both.parts) == {"off": 1, "size": 8, "reg": 2, "id": 0, "at": 1, "limit": 8}
    assert len(both.lines) == 2
    assert find(("more than one arg with ref_obj_id R2 2 2processed 8 insns (limit 1000000) max",)).entry.id \
        == "reference-two"
    assert find(("some line that no verifier prints",)) is None
    assert find(()) is None


def test_old_spellings_lead_to_the_same_entry():
    old = {"R0 invalid mem access 'inv'": "scalar-access", "Unreleased reference id=2 alloc_insn=6": "reference-leak",
           "At program exit the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)": "return-range",
           "unknown func bpf_xdp_adjust_head#44": "helper-type", "bpf_spin_unlock is missing": "lock-missing-unlock",
           "invalid stack off=-520 size=8": "stack-write-range",
           "invalid indirect read from stack R2 off -8+0 size 8": "stack-uninit"}
    for line, id in old.items():
        match = find((line,))
        assert match.entry.id == id
        assert match.message.until


def test_templates_leave_no_name_behind():
    assert fill("R$reg of $what: $n byte(s), $one byte(s)", {"reg": 2, "n": 8, "one": 1}) == "R2 of …: 8 bytes, 1 byte"


@pytest.mark.parametrize("each", PARAMETERS)
def test_our_verifier_rejects_the_trigger_with_the_entry_s_message(each: Entry):
    trace = verify(program(each), log_level=0)
    assert trace.verdict.result == "reject"
    assert [match.entry.id for match in matches(trace.verdict.error_lines)] == [each.id], trace.verdict.error_lines


@pytest.mark.kernel
@pytest.mark.parametrize("each", PARAMETERS)
def test_this_kernel_rejects_the_trigger_with_the_entry_s_message(local, each: Entry):
    trace = local.verify(program(each), log_level=1 if each.flow else 4)   # 4: statistics and errors only
    assert trace.verdict.result == "reject"
    assert [match.entry.id for match in matches(trace.verdict.error_lines)] == [each.id], trace.verdict.error_lines


def test_the_page_of_rejections_is_current():
    from ebpflab.explain.page import page

    assert DOCS.read_text() == page(), "python -m ebpflab.explain.page > docs/rejections.md"
