"""The verifier's log as a list of events, turned into the kernel's text only when somebody reads it.

The walk appends events (tuples or ready lines); ``Log.text`` renders them exactly as ``kernel/bpf/log.c`` and
``print_verifier_state`` print at log level 1 or 2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..isa.bits import U64
from . import tnum
from .scalar import S32_MAX, S32_MIN, S64_MAX, S64_MIN, U32, Scalar, s64
from .state import FUNCTION, Frame, Ref, Slot
from .value import (
    ADD_CONST,
    BASE,
    BTF_ID,
    DYNPTR,
    MAP_KEY,
    MAP_PTR,
    MAP_VALUE,
    MEM,
    NOT_INIT,
    PACKETS,
    SCALAR,
    STACK,
    Reg,
    type_name,
)

# kinds of events; a str is a line that is ready, an int an instruction that is walked
STATE, FULL, LATER, BLANK = range(4)

_AT_ONCE = 10_000                       # events that ``Log.tail`` spells before it looks whether they are enough
_ROLES = ("", " cb", " async_cb")       # how a line of a callback's state ends


def signed_text(number: int) -> str:
    """A signed number, in hexadecimal if it is large (``verbose_snum``)."""
    return str(number) if -0x8000 <= number <= 0x7FFF else f"{number & U64:#x}"


def unsigned_text(number: int) -> str:
    number &= U64
    return str(number) if number <= 0xFFFF else f"{number:#x}"


def _low(number: int) -> int:
    return number if -0x8000 <= number <= 0x7FFF else number & U32


@lru_cache(maxsize=1 << 12)
def ranges_text(n: Scalar) -> str:
    """``smin=0,smax=umax=255``: bounds that say something, equal ones joined (``print_scalar_ranges``)."""
    bounds = [("smin", n.smin, n.smin == S64_MIN), ("smax", n.smax, n.smax == S64_MAX),
              ("umin", n.umin, n.umin == 0), ("umax", n.umax, n.umax == U64),
              ("smin32", _low(n.s32_min), n.s32_min == S32_MIN), ("smax32", _low(n.s32_max), n.s32_max == S32_MAX),
              ("umin32", n.u32_min, n.u32_min == 0), ("umax32", n.u32_max, n.u32_max == U32)]
    omitted = [silent for _, _, silent in bounds]
    found = []
    for at, (name, number, _) in enumerate(bounds):
        if omitted[at]:
            continue
        signed = name[0] == "s"
        negative = signed and s64(number) < 0
        words = name + "="
        for later in range(at + 2, 8, 2):
            other, same, _ = bounds[later]
            if not omitted[later] and same & U64 == number & U64 and (other[0] == "s" and s64(same) < 0) == negative:
                omitted[later] = True
                words += other + "="
        found.append(words + (signed_text(s64(number)) if signed else unsigned_text(number)))
    return ",".join(found)


def reg_text(reg: Reg, frame: int, precise: bool = False) -> str:
    """A value as the kernel prints it (``print_reg_state``), for instance ``pkt(off=8,r=8)``."""
    type, n = reg.type, reg.num
    mark = "P" if precise and type == SCALAR else ""
    if type == SCALAR and n.mask == 0:
        return mark + signed_text(s64(n.value))
    text = mark + type_name(type)
    base = type & BASE
    if type == STACK:
        if reg.frameno != frame:
            text += f"[{reg.frameno}]"
        if n.mask == 0:
            return text + signed_text(s64(n.value + reg.off))
    if base == BTF_ID:
        text += str(reg.data)
    parts: list[str] = []
    if reg.id:
        parts.append(f"id={reg.id & ~ADD_CONST}" + (f"{reg.off:+d}" if reg.id & ADD_CONST else ""))
    if reg.ref:
        parts.append(f"ref_obj_id={reg.ref}")
    if base in (MAP_PTR, MAP_KEY, MAP_VALUE):
        bpf_map = reg.data
        if bpf_map.name:
            parts.append(f"map={bpf_map.name}")
        parts.append(f"ks={bpf_map.key_size},vs={bpf_map.value_size}")
    if type != SCALAR and reg.off:
        parts.append("off=" + signed_text(reg.off))
    if type in PACKETS:
        parts.append("r=" + unsigned_text(reg.data))
    if base == MEM:
        parts.append("sz=" + unsigned_text(reg.size))
    if type == DYNPTR:
        parts.append("type=" + reg.data.kind)
    if n.mask == 0:
        if n.value:
            parts.append("imm=" + signed_text(s64(n.value)))
    else:
        if ranges := ranges_text(n):
            parts.append(ranges)
        if n.mask != U64:
            parts.append("var_off=" + tnum.text((n.value, n.mask)))
    return f"{text}({','.join(parts)})"


def dynptr_text(reg: Reg) -> str:
    """A dynptr in its first slot. ``dynptr_id`` is no id: 6.18 prints that it is the first slot."""
    ref = f"ref_id={reg.ref}," if reg.ref else ""
    return f"dynptr_{reg.data.kind}(id={reg.id},{ref}dynptr_id=1)"


def second_of_dynptr(slot: Slot) -> bool:
    """A dynptr is shown once, where it begins."""
    return slot.types[7] == "d" and not slot.reg.data.first


def state_text(number: int, regs: list[Reg], stack: tuple, refs: tuple[Ref, ...], reg_mask: int = 0x7FF,
               slot_mask: int = -1, precise: int = 0, precise_slots: int = 0, role: int = FUNCTION) -> str:
    """`` R1=ctx() R10=fp0 fp-8=mmmmmmmm`` with the line's end (``print_verifier_state``)."""
    text = f" frame{number}:" if number else ""
    for at in range(11):
        if reg_mask >> at & 1 and regs[at].type != NOT_INIT:
            text += f" R{at}={reg_text(regs[at], number, precise >> at & 1 == 1)}"
    for at, slot in enumerate(stack):
        if not slot_mask >> at & 1 or slot.types == "????????" or second_of_dynptr(slot):
            continue
        text += f" fp-{8 * at + 8}="
        if slot.types[7] == "r":
            text += slot.types[:slot.types.index("r")] + reg_text(slot.reg, number, precise_slots >> at & 1 == 1)
        elif slot.types[7] == "d":
            text += dynptr_text(slot.reg)
        else:
            text += slot.types
    if refs and refs[0].id:         # a lock in a value that is addressed directly has no id
        text += " refs=" + ",".join(str(ref.id) for ref in refs if ref.id)
    return text + _ROLES[role] + "\n"


def frame_text(frame: Frame, refs: tuple[Ref, ...]) -> str:
    """All of a frame."""
    return state_text(frame.number, frame.regs, frame.stack, refs, precise=frame.precise,
                      precise_slots=frame.precise_slots, role=frame.role)


class Log:
    """Events at a log level; 0 keeps none. ``line(pc)`` gives an instruction's text for rendering."""

    def __init__(self, level: int, line: Callable[[int], str]):
        self.level = level
        self.line: Callable[[int], str] = lru_cache(maxsize=None)(line)
        self.events: list = []
        self.after_insn = -1        # how many events there were right after the last instruction's own

    def write(self, text: str) -> None:
        if self.level:
            self.events.append(text)

    def insn(self, pc: int) -> None:
        self.events.append(pc)
        self.after_insn = len(self.events)

    def changed(self, pc: int, frame: Frame, regs: list[Reg], refs: tuple[Ref, ...], reg_mask: int,
                slot_mask: int) -> None:
        """What the instruction changed, on its own line if nothing came between (``print_insn_state``)."""
        same = self.after_insn == len(self.events)
        self.events.append((STATE, pc, same, frame.number, regs, frame.stack, refs, reg_mask, slot_mask, frame.role))

    def full(self, prefix: str, frame: Frame, refs: tuple[Ref, ...]) -> None:
        """All of a frame, after ``prefix``."""
        self.events.append((FULL, prefix, frame.number, frame.regs[:], frame.stack, refs,
                            frame.precise, frame.precise_slots, frame.role))

    def later(self, text: Callable[..., str], *about: Any) -> None:
        """``text(*about)``, when somebody reads it; ``about`` must stay as it is."""
        self.events.append((LATER, text, about))

    def cut(self, length: int) -> None:
        """Forget what came after ``length`` events: log level 1 shows only the path that failed.

        The kernel cuts bytes: if a state came after the last instruction that stays, a blank already stood in the
        place of its line's end.
        """
        after = self.events[length] if length < len(self.events) else None
        blank = isinstance(after, tuple) and after[0] == STATE and after[2]
        del self.events[length:]
        if self.after_insn != length:
            self.after_insn = -1
            if blank:
                self.events.append((BLANK,))

    def text(self) -> str:
        return "".join(self._pieces(self.events))

    def tail(self, size: int) -> tuple[str, bool]:
        """The last whole lines of up to ``size`` characters, and are they all? What came before is not spelled."""
        end, found, length = len(self.events), [], 0
        while end and length <= size:
            begin = max(end - _AT_ONCE, 0)
            while begin and not isinstance(self.events[begin], int):    # what follows may be part of its line
                begin -= 1
            found.append("".join(self._pieces(self.events[begin:end])))
            length += len(found[-1])
            end = begin
        text = "".join(reversed(found))
        if length <= size:
            return text, True
        return text[text.find("\n", length - size - 1) + 1:], False

    def _pieces(self, events: list) -> list[str]:
        out: list[str] = []
        for event in events:
            if isinstance(event, str):
                out.append(event)
            elif isinstance(event, int):
                out.append(f"{event}: {self.line(event)}\n")
            elif event[0] == BLANK:
                out[-1] = out[-1][:-1] + " "
            elif event[0] == STATE:
                _, pc, same, number, regs, stack, refs, reg_mask, slot_mask, role = event
                if same:
                    before = out.pop()
                    width = (max(len(before) + 4, 40) + 7) // 8 * 8 - len(before) - 1
                    out.append(before[:-1] + " " * width + ";")
                else:
                    out.append(f"{pc}:")
                out.append(state_text(number, regs, stack, refs, reg_mask, slot_mask, role=role))
            elif event[0] == FULL:
                _, prefix, number, regs, stack, refs, precise, precise_slots, role = event
                out.append(prefix + state_text(number, regs, stack, refs, 0x7FF, -1, precise, precise_slots, role))
            else:
                _, text, about = event
                out.append(text(*about))
        return out
