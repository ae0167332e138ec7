"""The shape of a program before any value is known: functions, reachability, loops, live registers.

Everything here is static and runs once: ``add_subprog``, ``check_subprogs``, ``check_cfg``,
``compute_postorder``, ``compute_scc``, ``compute_live_registers`` of the kernel, with their messages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from ..abi import HELPER_IDS
from ..abi.helpers import HELPERS
from ..isa import Insn, bits

_JUMPS = (bits.JMP, bits.JMP32)
_WIDE = bits.LD | bits.IMM | bits.DW
_PACKET_CHANGERS = frozenset(row.number for row in HELPERS.values() if row.changes_packet)
#: helpers that call a function of the program before they return, and those that have it called later
_CALL_BACK = frozenset(HELPER_IDS[name] for name in ("for_each_map_elem", "find_vma", "loop", "user_ringbuf_drain"))
_CALL_LATER = frozenset((HELPER_IDS["timer_set_callback"],))


class Refused(Exception):
    """The program is rejected before the walk; ``lines`` as the kernel logs them, ``errno`` positive."""

    def __init__(self, *lines: str, errno: int = 22):
        super().__init__(lines[-1] if lines else "")
        self.lines, self.errno = lines, errno


class Shape:
    """What the static passes found, indexed by instruction slot.

    prune    a path may be compared with earlier ones here; ``force`` where it must be kept
    jump     arriving here is recorded, so that the path can be walked backwards
    calls_callback  a helper is called that calls a function of the program
    scc      number of the loop that the instruction is in, 0 for none
    live     bit mask of registers that may be read before they are written
    traced   see ``precision.find_traced``
    starts   first slot of each function; ``postorder`` their instructions, callees' ranges by ``orders``

    ``changes_packet``, ``might_sleep`` (callees included), ``has_tail_call`` and ``has_ld_abs`` are by function.
    """

    def __init__(self, insns: Sequence[Insn]):
        count = len(insns)
        self.insns = insns
        self.starts: list[int] = []
        self.exception = 0      # function that is called when an exception is thrown, 0 for none
        self.prune, self.force, self.jump = [False] * count, [False] * count, [False] * count
        self.calls_callback = [False] * count
        self.scc = [0] * count
        self.live = [0] * count
        self.traced: list[int] = []
        self.successors: list[tuple[int, ...]] = [()] * count
        self.postorder: list[int] = []
        self.orders: list[tuple[int, int]] = []
        self.changes_packet: list[bool] = []
        self.might_sleep: list[bool] = []
        self.has_tail_call: list[bool] = []
        self.has_ld_abs: list[bool] = []

    def sub_at(self, pc: int) -> int:
        """Number of the function that holds an instruction."""
        return bisect_right(self.starts, pc) - 1

    def end(self, sub: int) -> int:
        return self.starts[sub + 1] if sub + 1 < len(self.starts) else len(self.insns)


def target(insn: Insn, pc: int) -> int:
    """Where a jump or local call goes."""
    return pc + 1 + (insn.imm if insn.opcode in (bits.JMP32 | bits.JA, bits.JMP | bits.CALL) else insn.off)


def is_call(insn: Insn, src: int) -> bool:
    return insn.opcode == bits.JMP | bits.CALL and insn.src == src


def is_function(insn: Insn) -> bool:
    """A wide load of a function's address."""
    return insn.opcode == _WIDE and insn.src == bits.PSEUDO_FUNC


def find_functions(shape: Shape, exception: int) -> None:
    """Collect the functions' first instructions (``add_subprog_and_kfunc``); ``exception`` is that of the exception
    callback, 0 for none."""
    count = len(shape.insns)
    starts = {0}
    for pc, insn in enumerate(shape.insns):
        if is_call(insn, bits.CALL_LOCAL) or is_function(insn):
            start = pc + 1 + insn.imm
            if not 0 <= start < count:
                raise Refused("call to invalid destination")
            starts.add(start)
            if len(starts) > 256:
                raise Refused("too many subprograms", errno=7)
    if exception:
        starts.add(exception)
    shape.starts = sorted(starts)
    shape.exception = shape.starts.index(exception)


def check_functions(shape: Shape) -> None:
    """Jumps stay inside their function, and each ends with exit or jump (``check_subprogs``)."""
    insns, starts = shape.insns, shape.starts
    for sub in range(len(starts)):
        start, end = starts[sub], shape.end(sub)
        packet = tail = ld_abs = False
        for pc in range(start, end):
            insn = insns[pc]
            cls, code = insn.opcode & 7, insn.opcode & 0xF0
            if insn.opcode == bits.JMP | bits.CALL and insn.src == 0:
                tail |= insn.imm == HELPER_IDS["tail_call"]
                packet |= insn.imm in _PACKET_CHANGERS
            if cls == bits.LD and insn.opcode & 0xE0 in (bits.ABS, bits.IND):
                ld_abs = True
            if cls in _JUMPS and code not in (bits.EXIT, bits.CALL):
                goal = target(insn, pc)
                if not start <= goal < end:
                    raise Refused(f"jump out of range from insn {pc} to {goal}")
            if pc == end - 1 and insn.opcode not in (bits.JMP | bits.EXIT, bits.JMP | bits.JA, bits.JMP32 | bits.JA):
                raise Refused("last insn is not an exit or jmp")
        shape.changes_packet.append(packet)
        shape.might_sleep.append(False)
        shape.has_tail_call.append(tail)
        shape.has_ld_abs.append(ld_abs)


def find_successors(shape: Shape) -> None:
    """Where control may go, fall-through first (``bpf_insn_successors``); calls return to the next instruction."""
    for pc, insn in enumerate(shape.insns):
        cls, code = insn.opcode & 7, insn.opcode & 0xF0
        after = pc + (2 if insn.opcode == _WIDE else 1)
        if cls not in _JUMPS or code == bits.CALL:
            shape.successors[pc] = (after,)
        elif code == bits.EXIT:
            shape.successors[pc] = ()
        elif code == bits.JA:
            shape.successors[pc] = (target(insn, pc),)
        else:
            shape.successors[pc] = (after, target(insn, pc))


_DISCOVERED, _EXPLORED = 0x10, 0x20
_FALL, _BRANCH = 1, 2


def check_reachable(shape: Shape, sleeps: Callable[[int], bool]) -> None:
    """Depth-first walk: every instruction must be reachable, and points to prune and record at are marked
    (``check_cfg``). ``sleeps`` says whether a helper may sleep."""
    insns, count = shape.insns, len(shape.insns)
    seen = [0] * count
    stack: list[int] = []

    def push(pc: int, goal: int, edge: int) -> bool:
        """Follow an edge; True if there is something new behind it."""
        if seen[pc] >= _DISCOVERED | edge:
            return False
        if not 0 <= goal < count:
            raise Refused(f"jump out of range from insn {pc} to {goal}")
        if edge == _BRANCH:
            shape.prune[goal] = shape.jump[goal] = True
        if seen[goal] == 0:
            seen[pc] = _DISCOVERED | edge
            seen[goal] = _DISCOVERED
            stack.append(goal)
            return True
        if seen[goal] == _EXPLORED:
            seen[pc] = _DISCOVERED | edge
        return False

    def visit_call(pc: int, size: int, local: bool) -> bool:
        if push(pc, pc + size, _FALL):
            return True
        if pc + size < count:
            shape.prune[pc + size] = shape.jump[pc + size] = True
        if not local:
            return False
        goal = pc + 1 + insns[pc].imm
        shape.prune[pc] = True
        caller, callee = shape.sub_at(pc), shape.sub_at(goal)
        shape.changes_packet[caller] |= shape.changes_packet[callee]
        shape.might_sleep[caller] |= shape.might_sleep[callee]
        return push(pc, goal, _BRANCH)

    def visit(pc: int) -> bool:
        insn = insns[pc]
        cls, code = insn.opcode & 7, insn.opcode & 0xF0
        if is_function(insn):
            return visit_call(pc, 2, True)
        if cls not in _JUMPS:
            return push(pc, pc + (2 if insn.opcode == _WIDE else 1), _FALL)
        if code == bits.EXIT:
            return False
        if code == bits.CALL:
            if insn.src == bits.CALL_HELPER:
                if insn.imm in _CALL_LATER:
                    shape.prune[pc] = True
                if insn.imm in _CALL_BACK:
                    shape.calls_callback[pc] = shape.force[pc] = shape.prune[pc] = shape.jump[pc] = True
                if sleeps(insn.imm):
                    shape.might_sleep[shape.sub_at(pc)] = True
            return visit_call(pc, 1, insn.src == bits.CALL_LOCAL)
        if code == bits.JA:
            if insn.opcode & bits.X:
                raise Refused()
            goal = target(insn, pc)
            if push(pc, goal, _FALL):
                return True
            shape.prune[goal] = shape.jump[goal] = True
            return False
        shape.prune[pc] = True
        if code == bits.JCOND:
            shape.force[pc] = True
        return push(pc, pc + 1, _FALL) or push(pc, pc + insn.off + 1, _BRANCH)

    for root in (0, shape.starts[shape.exception]):
        if not seen[root]:
            seen[root] = _DISCOVERED
            stack.append(root)
        while stack:
            pc = stack[-1]
            if not visit(pc):
                seen[pc] = _EXPLORED
                stack.pop()
    pc = 0
    while pc < count:
        if seen[pc] != _EXPLORED:
            raise Refused(f"unreachable insn {pc}")
        if insns[pc].opcode == _WIDE:
            if seen[pc + 1]:
                raise Refused(f"jump into the middle of ldimm64 insn {pc}")
            pc += 1
        pc += 1


def order(shape: Shape) -> None:
    """Each function's instructions in postorder, successors before predecessors (``compute_postorder``)."""
    state = [0] * len(shape.insns)
    for start in shape.starts:
        first = len(shape.postorder)
        stack = [start]
        while stack:
            top = stack[-1]
            if state[top] & _EXPLORED:
                shape.postorder.append(top)
                stack.pop()
                continue
            state[top] |= _DISCOVERED | _EXPLORED
            for goal in shape.successors[top]:
                if not state[goal]:
                    stack.append(goal)
                    state[goal] |= _DISCOVERED
        shape.orders.append((first, len(shape.postorder)))


def find_loops(shape: Shape) -> None:
    """Number the strongly connected components that are loops (Tarjan's algorithm, ``compute_scc``)."""
    count = len(shape.insns)
    gone = count + 1
    number, low = [0] * count, [0] * count
    next_number = next_scc = 1
    for root in range(count):
        if number[root]:
            continue
        stack: list[int] = []
        walk = [root]
        while walk:
            at = walk[-1]
            if not number[at]:
                number[at] = low[at] = next_number
                next_number += 1
                stack.append(at)
            for goal in shape.successors[at]:
                if not number[goal]:
                    walk.append(goal)
                    break
                low[at] = min(low[at], low[goal])
            else:
                walk.pop()
                if low[at] < number[at]:
                    continue
                loop = stack[-1] != at or at in shape.successors[at]
                while True:
                    member = stack.pop()
                    low[member] = gone
                    if loop:
                        shape.scc[member] = next_scc
                    if member == at:
                        break
                next_scc += loop


def _reads_writes(insn: Insn, arity: Callable[[int], int]) -> tuple[int, int]:
    """Bit masks of the registers that an instruction reads and writes (``compute_insn_live_regs``)."""
    cls, code, mode = insn.opcode & 7, insn.opcode & 0xF0, insn.opcode & 0xE0
    src, dst = 1 << insn.src, 1 << insn.dst
    second = src if insn.opcode & bits.X else 0
    if cls == bits.LD:
        return (0, dst) if insn.opcode == _WIDE else (0xFFFF, 0)
    if cls == bits.LDX:
        return src, dst
    if cls == bits.ST:
        return dst, 0
    if cls == bits.STX:
        if mode == bits.MEM or insn.imm == bits.STORE_REL:
            return dst | src, 0
        if insn.imm == bits.CMPXCHG:
            return 1 | dst | src, 1
        if insn.imm == bits.LOAD_ACQ:
            return src, dst
        return dst | src, src if insn.imm & bits.FETCH else 0
    if cls in (bits.ALU, bits.ALU64):
        if code == bits.END:
            return dst, dst
        if code == bits.MOV:
            return second, dst
        return dst | second, dst
    if code in (bits.JA, bits.JCOND):
        return 0, 0
    if code == bits.EXIT:
        return 1, 0
    if code == bits.CALL:
        arguments = arity(insn.imm) if insn.src == bits.CALL_HELPER else 5
        return ((1 << arguments + 1) - 1) & ~1, 0x3F
    return dst | second, 0


def find_live(shape: Shape, arity: Callable[[int], int]) -> None:
    """Registers that may be read later, before each instruction (``compute_live_registers``).

    ``arity`` says how many registers a helper reads.
    """
    effects = [_reads_writes(insn, arity) for insn in shape.insns]
    live = shape.live
    changed = True
    while changed:
        changed = False
        for pc in shape.postorder:
            reads, writes = effects[pc]
            after = 0
            for goal in shape.successors[pc]:
                after |= live[goal]
            before = after & ~writes | reads
            if before != live[pc]:
                live[pc] = before
                changed = True
