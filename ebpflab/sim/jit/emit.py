"""A program as LLVM IR: one native function for each of its functions.

``i64 f(ptr %S, i64 r1 … r5, i64 depth)``: ``%S`` is the shared state (``state``), the result r0. After a fault the
state says so and every caller returns at once. Memory is reached by simulated addresses through the page table;
stack, context and XDP packet at known offsets directly.
"""

from __future__ import annotations

from ...isa import bits
from ..codegen.facts import State, flow, successors
from ..decode import Code
from ..interp import MAY_GOTO_LIMIT
from ..machine import Program
from ..maps import Array, Hash
from ..memory import OFFSET, PAGE_BITS
from . import state as s
from .index import LONGEST_KEY, find_function
from .text import INTRINSICS, Writer, arithmetic, atomic, byte_order, condition, pointer

TAIL_CALL, LOOKUP = 12, 1
MAX_DIRECT = 1 << 20         # packet offsets up to here are added without a carry
ARGUMENTS = ", ".join(f"i64 %a{number}" for number in range(1, 6))
PARAMETERS = f"ptr noalias %S, {ARGUMENTS}, i64 %d"

#: branches marked with it go to their first target
WEIGHTS = '!0 = !{!"branch_weights", i32 1000, i32 1}'
#: ways to reach memory, by their numbers in ``Engine._reach``, and the place of the length that each goes by
READ, WRITE, LENIENT = range(3)
LENGTHS = (1, 2, 1)
#: simulated address -> host address; null after asking Python. {way}: one of the above; {at}: the length's place
REACH = """
define internal ptr @reach_{way}(ptr noalias %S, i64 %address, i64 %size) alwaysinline {{
  %page = lshr i64 %address, {page_bits}
  %lp = getelementptr i64, ptr %S, i64 {length}
  %length = load i64, ptr %lp
  %inside = icmp ult i64 %page, %length
  br i1 %inside, label %look, label %ask, !prof !0
look:
  %tp = getelementptr i64, ptr %S, i64 {table}
  %table = load ptr, ptr %tp
  %entry = getelementptr {{ptr, i32, i32}}, ptr %table, i64 %page
  %bp = getelementptr {{ptr, i32, i32}}, ptr %entry, i64 0, i32 {at}
  %bytes32 = load i32, ptr %bp
  %bytes = zext i32 %bytes32 to i64
  %host = load ptr, ptr %entry
  %offset = and i64 %address, {offset}
  %end = add nuw nsw i64 %offset, %size
  %ok = icmp ule i64 %end, %bytes
  br i1 %ok, label %found, label %ask, !prof !0
found:
  %place = getelementptr i8, ptr %host, i64 %offset
  ret ptr %place
ask:
  %asked = call i64 {ask}(ptr %S, i64 %address, i64 %size, i64 {way})
  %back = inttoptr i64 %asked to ptr
  ret ptr %back
}}
"""


class Emitter:
    """``text()`` is the module. ``callbacks`` are host addresses of Python functions: reach, helper, tail, packet."""

    def __init__(self, program: Program, states: dict[int, dict[int, State]], callbacks: dict[str, int], indexes):
        self.program, self.codes = program, program.image.codes
        self.callbacks, self.indexes, self.states = callbacks, indexes, states
        self.globals: dict[str, str] = {}

    def text(self) -> str:
        functions = [_Function(self, start).text() for start in self.program.image.functions]
        ways = (READ, WRITE, LENIENT) if self.program.image.lenient else (READ, WRITE)
        reach = [REACH.format(way=way, at=LENGTHS[way], page_bits=PAGE_BITS, offset=OFFSET, table=s.TABLE,
                              length=s.TABLE_LENGTH, ask=pointer(self.callbacks["reach"])) for way in ways]
        return "\n".join([INTRINSICS, WEIGHTS, *self.globals.values(), *reach, *functions])

    def find(self, found: Hash) -> str:
        """The look-up function of a hash map; made once a module."""
        name = f"@find_{found.id}"
        if name not in self.globals:
            self.globals[name] = find_function(name, found.spec.key_size, self.indexes(found))
        return name


def facts(program: Program) -> dict[int, dict[int, State]]:
    """What is known before each instruction, by function."""
    first = "xdp" if program.spec.type == "xdp" else "ctx"
    return {start: flow(program.image.codes, start, "" if start else first) for start in program.image.functions}


class _Function:
    def __init__(self, module: Emitter, start: int):
        self.module, self.start, self.codes = module, start, module.codes
        self.program = module.program
        self.states = module.states[start]
        self.main, self.xdp = start == 0, module.program.spec.type == "xdp"
        self.w = Writer()
        self.pending = 0
        self.leaders, self.heads = self._leaders()

    def _leaders(self) -> tuple[set[int], set[int]]:
        """First slots of basic blocks, and those that a jump back reaches."""
        leaders, heads = {self.start}, set[int]()
        for pc in self.states:
            code = self.codes[pc]
            following = successors(code)
            if code.kind in ("jmp", "jcond", "ja"):
                leaders.update(following)
            heads.update(target for target in following if target <= pc)
        return leaders, heads

    def text(self) -> str:
        w = self.w
        w.put(f"define i64 @f{self.start}({PARAMETERS}) {{")
        w.start("entry")
        for name in [*[f"r{number}" for number in range(11)], "n", "pk", "pl", "pa", "cx", "cl", "loops", "why"]:
            w.put(f"%{name} = alloca {'ptr' if name in ('pk', 'cx') else 'i64'}")
        for number in range(10):
            w.put(f"store i64 {f'%a{number}' if 1 <= number <= 5 else 0}, ptr %r{number}")
        w.put(f"store i64 {MAY_GOTO_LIMIT}, ptr %loops")
        at = w.op(f"getelementptr i64, ptr %S, i64 {s.FRAME_POINTERS}")
        w.put(f"store i64 {w.op(f'load i64, ptr {self._of_depth(at)}')}, ptr %r10")
        at = w.op(f"getelementptr i64, ptr %S, i64 {s.STACKS}")
        self.stack = w.op(f"load ptr, ptr {self._of_depth(at)}")
        w.put(f"call void @llvm.memset.p0.i64(ptr align 16 {self.stack}, i8 0, i64 {bits.STACK_SIZE}, i1 false)")
        w.put(f"store ptr {w.state(s.CONTEXT, 'ptr')}, ptr %cx")
        w.put(f"store i64 {w.state(s.CONTEXT_LENGTH)}, ptr %cl")
        self._reload()
        w.go(f"L{self.start}")
        for pc in sorted(self.states):
            self._instruction(pc)
        if any(target >= len(self.codes) for pc in self.states for target in successors(self.codes[pc])):
            w.start(f"L{len(self.codes)}")
            self.pending = 0
            self._why(s.FELL_OFF, len(self.codes) - 1)
        self._ends()
        w.put("}")
        return "\n".join(w.lines)

    def _of_depth(self, base: str) -> str:
        return self.w.op(f"getelementptr i64, ptr {base}, i64 %d")

    def _reload(self) -> None:
        """What others may have changed: the budget and the packet's place."""
        w = self.w
        w.put(f"store i64 {w.state(s.BUDGET)}, ptr %n")
        w.put(f"store ptr {w.state(s.PACKET, 'ptr')}, ptr %pk")
        w.put(f"store i64 {w.state(s.PACKET_LENGTH)}, ptr %pl")
        w.put(f"store i64 {w.state(s.PACKET_ADDRESS)}, ptr %pa")

    def _settle(self) -> str:
        """Deduct what was executed since; the instructions left."""
        w = self.w
        left = w.op(f"sub i64 {w.op('load i64, ptr %n')}, {self.pending}")
        w.put(f"store i64 {left}, ptr %n")
        self.pending = 0
        return left

    def _ends(self) -> None:
        """Where faults lead: registers and reason go to the state."""
        w = self.w
        w.start("fault")
        w.set_state(s.FAULT, w.op("load i64, ptr %why"))
        w.set_state(s.PROGRAM, str(self.program.id))
        w.set_state(s.BUDGET, w.op("load i64, ptr %n"))
        for number in range(11):
            w.set_state(s.REGISTERS + number, w.op(f"load i64, ptr %r{number}"))
        w.go("out")
        w.start("out")
        w.put("ret i64 0")

    def _why(self, kind: int, pc: int) -> None:
        self.w.put(f"store i64 {kind << s.KIND_AT | self.pending << s.PENDING_AT | pc}, ptr %why")
        self.w.go("fault")

    def _expect(self, ok: str, kind: int, pc: int) -> None:
        """Go on if ``ok``, else fault."""
        w, good, bad = self.w, self.w.label(), self.w.label()
        w.put(f"br i1 {ok}, label %{good}, label %{bad}, !prof !0")
        w.start(bad)
        self._why(kind, pc)
        w.start(good)

    # -- instructions -------------------------------------------------------------------------

    def _instruction(self, pc: int) -> None:
        w, code, known = self.w, self.codes[pc], self.states[pc]
        if pc in self.leaders:
            w.start(f"L{pc}")
            self.pending = 0
            if pc in self.heads:
                self._expect(w.op(f"icmp sge i64 {w.op('load i64, ptr %n')}, 0"), s.ENDLESS, pc)
        self.pending += 1
        kind = code.kind
        if kind == "alu":
            self._alu(code, known)
        elif kind == "end":
            byte_order(w, code)
        elif kind == "lddw":
            w.set(code.dst, str(code.value))
        elif kind == "ldx":
            self._load(code, known)
        elif kind in ("st", "stx"):
            self._store(code, known)
        elif kind == "atomic":
            self._atomic(code, known)
        elif kind == "ld":
            self._packet(code)
        elif kind == "call":
            self._call(code, known)
        elif kind == "exit":
            w.set_state(s.BUDGET, self._settle())
            w.put(f"ret i64 {w.register(0)}")
            return
        elif kind == "ja":
            self._settle()
            w.go(f"L{code.target}")
            return
        else:
            self._settle()
            w.branch(self._taken(code), f"L{code.target}", f"L{code.next}")
            return
        if code.next in self.leaders or code.next >= len(self.codes):
            self._settle()
            w.go(f"L{min(code.next, len(self.codes))}")

    def _taken(self, code: Code) -> str:
        w = self.w
        if code.kind != "jcond":
            return condition(w, code)
        left = w.op(f"sub i64 {w.op('load i64, ptr %loops')}, 1")
        w.put(f"store i64 {left}, ptr %loops")
        return w.op(f"icmp slt i64 {left}, 0")

    def _alu(self, code: Code, known: State) -> None:
        kind, offset = known[code.dst]
        if (code.verb == "add" and kind == "pkt" and code.op.source == "k" and code.op.width == 64
                and 0 <= offset < MAX_DIRECT and code.value < MAX_DIRECT):
            # no carry: packets lie below 2**32; so LLVM sees the bounds that the program checks
            w = self.w
            w.set(code.dst, w.op(f"add nuw nsw i64 {w.register(code.dst)}, {code.value}"))
        else:
            arithmetic(self.w, code)

    def _load(self, code: Code, known: State) -> None:
        w, size = self.w, code.op.bytes
        kind, offset = known[code.src]
        if kind == "xdp" and size == 4 and code.verb == "mem" and offset + code.off in (0, 4):
            # data and data_end, which only move when the packet does
            value = w.op("load i64, ptr %pa")
            if offset + code.off:
                value = w.op(f"add nuw nsw i64 {value}, {w.op('load i64, ptr %pl')}")
            w.set(code.dst, value)
            return
        place = self._place(code, code.src, known, LENIENT if self.program.image.lenient else READ)
        value = w.op(f"load i{size * 8}, ptr {place}, align 1")
        if code.verb == "memsx":
            w.set(code.dst, w.op(f"sext i{size * 8} {value} to i64"))
        else:
            w.set(code.dst, value, size * 8)

    def _store(self, code: Code, known: State) -> None:
        w, width = self.w, code.op.bytes * 8
        value = w.register(code.src, width) if code.op.source == "x" else str(code.value & ((1 << width) - 1))
        w.put(f"store i{width} {value}, ptr {self._place(code, code.dst, known, WRITE)}, align 1")

    def _atomic(self, code: Code, known: State) -> None:
        w = self.w
        base = code.src if code.verb == "load_acquire" else code.dst
        if code.op.bytes > 1:
            low = w.op(f"and i64 {self._address(base, code.off)}, {code.op.bytes - 1}")
            self._expect(w.op(f"icmp eq i64 {low}, 0"), s.MISALIGNED, code.pc)
        atomic(w, code, self._place(code, base, known, READ if code.verb == "load_acquire" else WRITE))

    def _address(self, register: int, off: int) -> str:
        value = self.w.register(register)
        return self.w.op(f"add i64 {value}, {off}") if off else value

    def _place(self, code: Code, base: int, known: State, way: int) -> str:
        """The host address of an access, checked."""
        w, size = self.w, code.op.bytes
        kind, offset = known[base]
        at = offset + code.off
        if kind == "fp" and 0 <= bits.STACK_SIZE + at <= bits.STACK_SIZE - size:
            return w.op(f"getelementptr i8, ptr {self.stack}, i64 {bits.STACK_SIZE + at}")
        if at >= 0 and (kind in ("pkt", "ctx") or (kind == "xdp" and way != WRITE)):
            buffer, length = ("%pk", "%pl") if kind == "pkt" else ("%cx", "%cl")
            ok = w.op(f"icmp ule i64 {at + size}, {w.op(f'load i64, ptr {length}')}")
            self._expect(ok, s.ACCESS, code.pc)
            return w.op(f"getelementptr i8, ptr {w.op(f'load ptr, ptr {buffer}')}, i64 {at}")
        return self._reach(self._address(base, code.off), size, way, code.pc)

    def _reach(self, address: str, size: int, way: int, pc: int) -> str:
        w = self.w
        place = w.op(f"call ptr @reach_{way}(ptr %S, i64 {address}, i64 {size})")
        self._expect(w.op(f"icmp ne ptr {place}, null"), s.ACCESS, pc)
        return place

    # -- calls --------------------------------------------------------------------------------

    def _arguments(self) -> str:
        return ", ".join(f"i64 {self.w.register(number)}" for number in range(1, 6))

    def _call(self, code: Code, known: State) -> None:
        w = self.w
        if code.verb == "local":
            self._expect(w.op(f"icmp ult i64 %d, {bits.MAX_CALL_FRAMES - 1}"), s.TOO_DEEP, code.pc)
            w.set_state(s.BUDGET, self._settle())
            deeper = w.op("add i64 %d, 1")
            result = w.op(f"call i64 @f{code.target}(ptr %S, {self._arguments()}, i64 {deeper})")
            self._reload()
            good, ok = w.label(), w.op(f"icmp eq i64 {w.state(s.FAULT)}, 0")
            w.put(f"br i1 {ok}, label %{good}, label %out, !prof !0")
            w.start(good)
            w.set(0, result)
        elif code.imm == TAIL_CALL:
            self._tail(code)
        elif code.imm == LOOKUP and self._native_lookup(code, known):
            return
        else:
            w.set(0, self._python("helper", code, f"i64 {code.imm}"))

    def _python(self, name: str, code: Code, first: str, arguments: str = "") -> str:
        """A call of Python: ``first`` (what), program and depth, ``arguments`` (r1 … r5)."""
        w = self.w
        w.set_state(s.BUDGET, self._settle())
        where = w.op(f"or i64 %d, {self.program.id << 8}")
        result = w.op(f"call i64 {pointer(self.module.callbacks[name])}(ptr %S, {first}, i64 {where}, "
                      f"{arguments or self._arguments()})")
        self._reload()
        self._expect(w.op(f"icmp eq i64 {w.state(s.FAULT)}, 0"), s.CALLED, code.pc)
        return result

    def _tail(self, code: Code) -> None:
        w, gone, back = self.w, self.w.label(), self.w.label()
        target = self._python("tail", code, "i64 0")
        w.branch(w.op(f"icmp ne i64 {target}, 0"), gone, back)
        w.start(gone)
        function = w.op(f"inttoptr i64 {target} to ptr")
        result = w.op(f"call i64 {function}(ptr %S, i64 {w.register(1)}, i64 0, i64 0, i64 0, i64 0, i64 %d)")
        w.put(f"ret i64 {result}")
        w.start(back)

    def _packet(self, code: Code) -> None:
        """LD_ABS and LD_IND: inside the packet here, anything else in Python."""
        w, size = self.w, code.op.bytes
        slow, join = w.label(), w.label()
        self._settle()
        index = w.register(code.src) if code.verb == "ind" else "0"
        if self.xdp:
            w.go(slow)
        else:
            low = w.op(f"trunc i64 {w.op(f'add i64 {index}, {code.imm}')} to i32")
            offset = w.op(f"sext i32 {low} to i64")
            inside, fast = w.label(), w.label()
            w.branch(w.op(f"icmp sge i64 {offset}, 0"), inside, slow)
            w.start(inside)
            ok = w.op(f"icmp ule i64 {w.op(f'add i64 {offset}, {size}')}, {w.op('load i64, ptr %pl')}")
            w.branch(ok, fast, slow)
            w.start(fast)
            place = w.op(f"getelementptr i8, ptr {w.op('load ptr, ptr %pk')}, i64 {offset}")
            value = w.op(f"load i{size * 8}, ptr {place}, align 1")
            if size > 1:
                value = w.op(f"call i{size * 8} @llvm.bswap.i{size * 8}(i{size * 8} {value})")
            w.set(0, value, size * 8)
            w.go(join)
        w.start(slow)
        result = self._python("packet", code, f"i64 {code.pc}", f"i64 {index}" + ", i64 0" * 4)
        outside, found = w.label(), w.label()
        w.branch(w.op(f"icmp ne i64 {w.state(s.OUTSIDE)}, 0"), outside, found)
        w.start(outside)
        w.put("ret i64 0")
        w.start(found)
        w.set(0, result)
        w.go(join)
        w.start(join)

    # -- maps ---------------------------------------------------------------------------------

    def _native_lookup(self, code: Code, known: State) -> bool:
        """bpf_map_lookup_elem on an array or hash that is known here, without leaving native code."""
        kind, address = known[1]
        # only the program's own maps: another's address, however it came by it, may die before the program does
        found = next((one for one in self.program.maps.values() if kind == "k" and one.address == address), None)
        if not isinstance(found, Array) and not (type(found) is Hash and found.spec.key_size <= LONGEST_KEY):
            return False
        w, size = self.w, found.spec.key_size
        where, off = known[2]
        join, slow = w.label(), w.label()
        self._settle()
        if where == "fp" and 0 <= bits.STACK_SIZE + off <= bits.STACK_SIZE - size:
            key = w.op(f"getelementptr i8, ptr {self.stack}, i64 {bits.STACK_SIZE + off}")
        else:
            key, there = w.op(f"call ptr @reach_{READ}(ptr %S, i64 {w.register(2)}, i64 {size})"), w.label()
            w.branch(w.op(f"icmp ne ptr {key}, null"), there, slow)
            w.start(there)
        if isinstance(found, Array):
            self._array_element(found, key, join, slow)
        else:
            self._hash_value(found, key, join)
        w.start(slow)     # a bad key, or an element that no program touched yet
        w.set(0, self._python("helper", code, f"i64 {code.imm}"))
        w.go(join)
        w.start(join)
        return True

    def _array_element(self, found: Array, key: str, join: str, slow: str) -> None:
        w = self.w
        inside, outside, table, there = (w.label() for _ in range(4))
        index = w.op(f"zext i32 {w.op(f'load i32, ptr {key}, align 1')} to i64")
        w.branch(w.op(f"icmp ult i64 {index}, {found.spec.max_entries}"), inside, outside)
        w.start(outside)
        w.set(0, "0")
        w.go(join)
        w.start(inside)
        first = str(found.first[0])
        if found.per_cpu:
            name = f"@first_{found.id}"
            values = ", ".join(f"i64 {page}" for page in found.first)
            self.module.globals[name] = f"{name} = private constant [{len(found.first)} x i64] [{values}]"
            first = w.op(f"load i64, ptr {w.op(f'getelementptr i64, ptr {name}, i64 {w.state(s.CPU)}')}")
        page = w.op(f"add i64 {w.op(f'mul i64 {index}, {found.pages}')}, {first}")
        w.set(0, w.op(f"shl i64 {page}, {PAGE_BITS}"))
        w.branch(w.op(f"icmp ult i64 {page}, {w.state(s.TABLE_LENGTH)}"), table, slow)
        w.start(table)
        entry = w.op(f"getelementptr {{ptr, i64}}, ptr {w.state(s.TABLE, 'ptr')}, i64 {page}")
        host = w.op(f"load ptr, ptr {entry}")
        w.put(f"br i1 {w.op(f'icmp ne ptr {host}, null')}, label %{there}, label %{slow}, !prof !0")
        w.start(there)
        w.go(join)

    def _hash_value(self, found: Hash, key: str, join: str) -> None:
        w = self.w
        copy = w.state(s.CPU) if found.per_cpu else "0"
        w.set(0, w.op(f"call i64 {self.module.find(found)}(ptr {key}, i64 {copy})"))
        w.go(join)
