"""A kernel's verifier log, read into a ``Trace``.

Levels 1 and 2 of Linux 5.10 … 7.3. A log is a walk through a tree, depth first; its lines are::

    func#1 @9                          subprogram 1 starts at instruction 9
    Live regs before insn:  …          a table (6.16 …); since 7.1 others before it (``stack use/def subprog#0``)
    0: R1=ctx() R10=fp0                cells of the state; "12: frame1: R0=0" in a called function
    ; int main() @ prog.c:12           source of what follows
    0: (b7) r1 = 0        ; R1=0       an instruction and the cells that it changed
    mark_precise: … regs=r1 …          backtracking
    caller: / callee: / returning from callee: / to caller at 5:      each followed by a full state
    from 9 to 11: R0=… R10=fp0         back to a branch that was put aside at 9
    18: safe     from 13 to 17: safe   an equal or wider state was proved here before
    Validating f() func#1...           a global function, on its own
    Verification failed: …             a diagnosis (7.3 …): see ``diagnosis``
    processed 13 insns (limit 1000000) max_states_per_insn 0 …

Every line becomes part of a step, of a step's notes, or of the verdict; what no rule knows is counted in
``Reader.unknown`` and kept as a note too.
"""

from __future__ import annotations

import re

from ..errors import EbpflabError
from ..spec import ProgramSpec, SourceLine
from .diagnosis import separate
from .model import Stats, Trace, Verdict
from .steps import Walk

_INSN = re.compile(r"(\d+): (\([0-9a-f]{2}\) [^;]*?|BUG_\w+)(?:\s*(;)(?: (?=frame|R|fp|refs|cb|async_cb)(.*))?)?$")
_AT = re.compile(r"(\d+):(.*)$")
_FROM = re.compile(r"from (\d+) to (\d+)(?: \(speculative execution\))?:(.*)$")
_LISTED = re.compile(r" *\d+: \([0-9a-f]{2}\) |arg JOIN insn ")
_LISTING = re.compile(r"subprog#\d+( \S+)?:( analyzing \(depth \d+\)\.\.\.)?$|stack use/def subprog#\d+ ")
_LIVE = re.compile(r" *(?:\d+ +)?(\d+): ([0-9.]{10}) \([0-9a-f]{2}\)")
_SOURCE = re.compile(r"; ?(.*?)(?: @ ([^ ]+):(\d+))?$")
_CALLER_AT = re.compile(r"to caller at (\d+):$")
_VALIDATING = re.compile(r"Validating (\S*)\(\) func#(\d+)\.\.\.$")
_SAFE_FUNC = re.compile(r"Func#\d+( \('.*'\))? is safe for any args that match its prototype$")
_PROCESSED = re.compile(
    r"(.*?)processed (\d+) insns(?: \(limit (\d+)\))?(?: max_states_per_insn (\d+) total_states (\d+)"
    r" peak_states (\d+) mark_read (\d+))?")
_TIME = re.compile(r"verification time (\d+) usec$")
_POINTS_AT = re.compile(r"\b(?:from insn|unreachable insn|at insn|invalid insn idx|insn) (\d+)")

#: lines about a step that change no state; kept as its notes
_NOTES = re.compile("|".join((
    r"mark_precise: ", r"last_idx \d+ first_idx", r"regs=\S* stack=\S* before \d+:",
    r"parent (?:didn't have|already had) ", r"parent state ", r"frame \d+: propagating ", r"propagating ",
    r"SCC (?:enter|exit|backedge)", r"\(\d+(?:,\d+)*\) (?:frame \d+ insn \d+ |live stack update done)",
    r"frame\d+ bpf_loop iteration limit reached", r"Func#\d+ \('.*'\) is global and assumed valid\.$",
    r"Func#\d+( \('.*'\))? is global and (?:has|valid)",
    r"reg type unsupported for arg#\d+ ", r"first insn where path of ", r"hitting? dead",
    r"falling back to path-insensitive", r"R\d is not a scalar$",
)))
#: lines before the first step or between functions; they stay in ``Trace.log``
_PREAMBLE = re.compile("|".join((
    r"func#\d+ @\d+$", r"Live regs before insn:$", r"Global function \S*\(\) doesn't return scalar\.",
    r"arg#\d+ reference type\('.*'\) size cannot be determined: -\d+$", r"insns processed",
    r"jump out of range from insn \d+ to \d+ is ok$", r"subprog \d+ ", r"topo_order\[\d+\] = ",
)))
#: errors of the checks on the whole program, after the last instruction was walked (``bpf_check``)
_AFTERWARDS = re.compile(
    r"combined stack size|the call stack of \d+ frames is too deep !|tail_calls are not allowed|"
    r"cannot mix|stack depth|program .* too (?:large|big)|failed to |insn \d+ cannot be patched")


class Reader:
    """Goes through a log once. ``unknown`` holds the lines that no rule knows and that are no error."""

    def __init__(self, log: str, spec: ProgramSpec):
        self.log, self.spec = log, spec
        self.walk = Walk(spec, old=_is_old(log), whole=_prints_whole_states(log))
        self.messages: list[str] = []       # free text since the last line of a known form
        self.unknown: list[str] = []
        self.stats = Stats()
        self.ended = False          # the line of statistics was read
        self.between = False        # a global function was done, no other one begun

    def read(self) -> None:
        walk = self.walk
        expects = ""        # what the next state line with a leading blank is of: caller, callee, returned, back
        in_table = in_listing = False
        insn, alone = _INSN.match, _AT.match
        for line in self.log.splitlines():
            if not line:
                continue
            first = line[0]
            if in_listing and _LISTED.match(line):
                continue            # a table of 7.1 and later: it stays in Trace.log
            in_listing = False
            if "0" <= first <= "9":
                if match := insn(line):
                    self.known()
                    pc, text, told, cells = match.groups()
                    walk.insn(int(pc), text)
                    if told:
                        walk.delta(cells or "")
                    continue
                if match := alone(line):
                    pc, rest = int(match[1]), match[2]
                    if rest == " safe":
                        self.known()
                        walk.safe(pc)
                        continue
                    if _is_state(rest):
                        self.known()
                        walk.state_at(pc, rest)
                        continue
            elif first == " ":
                if in_table and (match := _LIVE.match(line)):
                    walk.live[int(match[1])] = frozenset(at for at, mark in enumerate(match[2]) if mark != ".")
                    continue
                if expects:
                    walk.full(expects, line)
                    expects = ""
                    continue
                if _is_state(line):     # before 5.17, what a branch left behind
                    self.known()
                    walk.state_after(line)
                    continue
            elif first == "m" and line.startswith("mark_precise: "):    # most lines of long logs
                if self.messages:
                    self.known()
                walk.note(line)
                continue
            elif first == ";":
                walk.source = _source_line(line)
                continue
            elif first == "f" and (match := _FROM.match(line)):
                self.known()
                came, pc, rest = match.groups()
                walk.back(int(came), int(pc), rest)
                continue
            elif line in ("caller:", "callee:", "returning from callee:"):
                self.known()
                expects = line
                continue
            elif match := _CALLER_AT.match(line):
                expects = "to caller"
                continue
            in_table = line == "Live regs before insn:"
            if in_listing := _LISTING.match(line) is not None:
                continue
            self.other(line)
        self.known(final=True)
        walk.finish()

    def other(self, line: str) -> None:
        """A line that is neither an instruction nor a state."""
        if _NOTES.match(line):
            self.known()
            self.walk.note(line)
        elif _VALIDATING.match(line) or _SAFE_FUNC.match(line):
            self.known()
            self.walk.new_function(line)
            self.between = line.startswith("Func")
        elif line.startswith("stack depth "):      # level 4: statistics, after the error
            pass
        elif _PREAMBLE.match(line):
            self.known()
        elif match := _PROCESSED.match(line):
            if match[1]:    # some messages of the kernel lack their line end
                self.messages.append(match[1])
            self.stats = _stats(match, self.stats)
            self.ended = True
        elif match := _TIME.match(line):
            self.stats = Stats(usec=int(match[1]))
        else:
            self.messages.append(line)

    def known(self, final: bool = False) -> None:
        """A line of a known form: free text before it was no verdict, so it belongs to the step then open."""
        if self.messages and not final:
            for line in self.messages:
                self.unknown.append(line)
                self.walk.note(line)
            self.messages.clear()


def parse(log: str, spec: ProgramSpec, *, ok: bool, by: str, errno: int = 0) -> Trace:
    """The Trace of a kernel's verifier log (level 1 or 2).

    ``ok`` is what the system call said, ``by`` names the kernel, ``errno`` is its positive error number.
    The verdict's ``error_lines`` are the last lines of free text, ``pc`` the instruction that was walked then or
    that the text names. Raises EbpflabError if a register is spelt as no kernel spells it.
    """
    reader = Reader(log, spec)
    try:
        reader.read()
    except ValueError as error:
        raise EbpflabError(f"this is no verifier log that ebpflab knows: {error}",
                           hint="logs of log_level 1 and 2 of Linux 5.10 and later can be read") from error
    walk = reader.walk
    errors, diagnoses = ((), ()) if ok else separate(reader.messages)
    pc = None
    if not ok:
        again = any(line.startswith("infinite loop detected") for line in errors)
        pc = walk.reject(reader.between or _afterwards(errors), _named_pc(errors), again)
        if pc is None:
            pc = next((each.at.pc for each in diagnoses if each.at), None)
    elif reader.messages:
        walk.trailing(reader.messages)
    verdict = Verdict("accept" if ok else "reject", by, errors[-1] if errors else "", errors, pc, errno, reader.stats,
                      diagnoses)
    truncated = bool(log) and not (reader.ended or (not ok and bool(errors) and not walk.steps))
    return Trace(spec, verdict, tuple(walk.steps), log, truncated)


def _is_state(rest: str) -> bool:
    return not rest.strip() or rest.startswith((" R", " fp", " frame", " refs", " cb", " async_cb"))


def _afterwards(errors: tuple[str, ...]) -> bool:
    return any(_AFTERWARDS.match(line) for line in errors)


def _named_pc(errors: tuple[str, ...]) -> int | None:
    for line in errors:
        if match := _POINTS_AT.search(line):
            return int(match[1])
    return None


def _source_line(line: str) -> SourceLine:
    text, file, number = _SOURCE.match(line).groups()
    return SourceLine(file or "", int(number or 0), 1, text)


def _stats(match: re.Match, before: Stats) -> Stats:
    numbers = [None if group is None else int(group) for group in match.groups()[1:]]
    return Stats(numbers[0], numbers[1] or 1_000_000, *numbers[2:], usec=before.usec)


_HEAD = 1 << 16     # characters that tell the age of a log


def _is_old(log: str) -> bool:
    """Printed before 6.7: every pointer shows its offset."""
    head = log[:_HEAD]
    return "=inv" in head or bool(re.search(r"R1(?:_\w+)?=\w+\([^)]*\boff=0,imm=0\)", head))


def _prints_whole_states(log: str) -> bool:
    """Before 5.17 a state line holds all cells, not only what changed."""
    head = log[:_HEAD]
    return bool(re.search(r"=(?:ctx|inv)\(id=0", head)) and not re.search(r"^\d+: \(..\) .*; R\d", head, re.M)
