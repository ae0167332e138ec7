"""Small programs, one for each rule of the verifier, with what it says of them.

``PROGRAMS`` has rows (name, program, expected): the program in assembly, and ``ACCEPT`` or the last line before the
rejection.  ``STATES`` has rows (name, program, instruction, register, text): what is known of a register after the
instruction, as the kernel prints it.  ``test_rules`` puts both to our verifier, ``test_kernel`` to this machine's.
"""

from ebpflab.asm import assemble
from ebpflab.spec import ProgramSpec

ACCEPT = ""

MAPS = """
.map few array u32 u64 4 flags=4096
.map arrays array_of_maps u32 u32 1 inner=few
.map array array u32 u64 4
.map hash hash u32 u64 8
.map ring ringbuf 4096
.map progs prog_array u32 u32 2
"""

#: a value of ``array`` in r0, or null
LOOKUP = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = array ll
    call bpf_map_lookup_elem
"""
HASH_LOOKUP = LOOKUP.replace("array", "hash")
#: the same for an element that surely exists is not null; from a hash map it may be
VALUE = HASH_LOOKUP + """
    if r0 != 0 goto +1
    exit
"""
#: start of the packet in r2, end in r3, context in r6
PACKET = """
    r6 = r1
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
"""
#: an unknown number in r0
UNKNOWN = "call bpf_get_prandom_u32\n"
DONE = "r0 = 0\nexit\n"
#: the value of ``array`` in r6
IN_R6 = LOOKUP + "r6 = r0\n"


def at(regno: int, off: int) -> str:
    """A pointer into the stack."""
    return f"r{regno} = r10\nr{regno} += {off}\n"


def local(off: int) -> str:
    """A dynptr at fp + off of what r6 points to."""
    return "r1 = r6\nr2 = 8\nr3 = 0\n" + at(4, off) + "call bpf_dynptr_from_mem\n"


def reserve(off: int) -> str:
    return "r1 = ring ll\nr2 = 8\nr3 = 0\n" + at(4, off) + "call bpf_ringbuf_reserve_dynptr\n"


def data(off: int) -> str:
    """A slice of the dynptr at fp + off in r0, or null."""
    return at(1, off) + "r2 = 0\nr3 = 8\ncall bpf_dynptr_data\n"


def discard(off: int) -> str:
    return at(1, off) + "r2 = 0\ncall bpf_ringbuf_discard_dynptr\n"


def program(text: str) -> ProgramSpec:
    return assemble(MAPS + text)


PROGRAMS = [
    # ---- control flow
    ("the least", "r0 = 0\nexit", ACCEPT),
    ("no exit", "r0 = 0", "last insn is not an exit or jmp"),
    ("not reachable", "r0 = 0\nexit\nr0 = 1\nexit", "unreachable insn 2"),
    ("jump out of range", "r0 = 0\ngoto +7\nexit", "jump out of range from insn 1 to 9"),
    ("endless in one instruction", "r0 = 0\nl: goto l\nexit", "unreachable insn 2"),
    ("bounded loop", "r1 = 0\nl: r1 += 1\nif r1 < 10 goto l\n" + DONE, ACCEPT),
    ("may_goto leaves in the end", "r6 = 0\nl: may_goto done\nr6 += 1\ngoto l\ndone: " + DONE, ACCEPT),
    ("may_goto counts what is relied on", VALUE + "r6 = 0\nl: may_goto done\nr6 += 1\ngoto l\n"
     "done: r0 += r6\nr0 = *(u8 *)(r0 + 0)\n" + DONE, "R0 min value is outside of the allowed memory range"),
    ("may_goto to itself", "r0 = 0\nl: may_goto l\nexit", "old state: R0=0 R1=ctx() R10=fp0"),
    ("loop without progress", "r1 = 0\nl: r2 = 1\nif r1 != 1 goto l\n" + DONE, "old state: R1=P0 R2=1 R10=fp0"),
    ("jump into a wide load", "r0 = 0\nif r0 == 0 goto +1\nr1 = 5 ll\nexit", "jump into the middle of ldimm64 insn 2"),
    # ---- initialisation and result
    ("r0 never written", "exit", "R0 !read_ok"),
    ("register never written", "r0 = r4\nexit", "R4 !read_ok"),
    ("arguments do not survive a call", UNKNOWN + "r0 = r1\nexit", "R1 !read_ok"),
    ("r6 survives a call", "r6 = 1\n" + UNKNOWN + "r0 = r6\nexit", ACCEPT),
    ("frame pointer is read only", "r10 = 1\n" + DONE, "frame pointer is read only"),
    ("pointer as result", "r0 = r10\nexit", ACCEPT),
    ("any result of an XDP program", UNKNOWN + "exit", ACCEPT),
    # ---- arithmetic
    ("division by constant zero", "r0 = 1\nr0 /= 0\nexit", "div by zero"),
    ("shift too far", "r0 = 1\nr0 <<= 64\nexit", "invalid shift 64"),
    ("narrow shift too far", "r0 = 1\nw0 <<= 32\nexit", "invalid shift 32"),
    ("pointer multiplied", "r1 *= 2\n" + DONE, "R1 pointer arithmetic with *= operator prohibited"),
    ("narrow arithmetic on a pointer", "w1 += 2\n" + DONE, "R1 32-bit pointer arithmetic prohibited"),
    ("two pointers added", "r2 = r10\nr2 += r1\n" + DONE, "R2 pointer += pointer prohibited"),
    ("pointer taken from a number", "r2 = 1\nr2 -= r1\n" + DONE, "R2 tried to subtract pointer from scalar"),
    ("offset too large", "r2 = r10\nr2 += 0x40000000\n" + DONE,
     "math between fp pointer and 1073741824 is not allowed"),
    ("unbounded number added to a pointer",
     UNKNOWN + "r0 <<= 32\nr2 = r10\nr2 += r0\n" + DONE,
     "math between fp pointer and register with unbounded min value is not allowed"),
    ("arithmetic before the null check", HASH_LOOKUP + "r0 += 8\nexit",
     "R0 pointer arithmetic on map_value_or_null prohibited, null-check it first"),
    # ---- stack
    ("read before write", "r0 = *(u64 *)(r10 - 8)\nexit", ACCEPT),
    ("beyond the stack", "*(u64 *)(r10 - 520) = 0\n" + DONE, "invalid write to stack R10 off=-520 size=8"),
    ("above the stack", "*(u64 *)(r10 + 0) = 0\n" + DONE, "invalid write to stack R10 off=0 size=8"),
    ("misaligned stack", "*(u64 *)(r10 - 12) = 0\n" + DONE, "misaligned stack access off 0+0+-12 size 8"),
    ("part of a spilled pointer", "*(u64 *)(r10 - 8) = r1\nr0 = *(u32 *)(r10 - 8)\nexit",
     "invalid size of register fill"),
    ("narrow spill of a pointer", "*(u32 *)(r10 - 8) = r1\n" + DONE, "invalid size of register spill"),
    ("pointer back from the stack", "*(u64 *)(r10 - 8) = r1\nr2 = *(u64 *)(r10 - 8)\nr0 = *(u32 *)(r2 + 0)\n" + DONE,
     ACCEPT),
    ("variable offset into the stack",
     UNKNOWN + "r0 &= 8\nr2 = r10\nr2 += -16\nr2 += r0\n*(u64 *)(r2 + 0) = 1\n" + DONE, ACCEPT),
    ("variable offset out of the stack",
     UNKNOWN + "r0 &= 24\nr2 = r10\nr2 += -16\nr2 += r0\n*(u64 *)(r2 + 0) = 1\n" + DONE,
     "invalid variable-offset write to stack R2 var_off=(0x0; 0x18) off=-16 size=8"),
    # ---- context
    ("field of the context", "r0 = *(u32 *)(r1 + 16)\nexit", ACCEPT),
    ("beyond the context", "r0 = *(u32 *)(r1 + 24)\nexit", "invalid bpf_context access off=24 size=4"),
    ("context with an offset", "r1 += 8\nr0 = *(u32 *)(r1 + 0)\nexit",
     "dereference of modified ctx ptr R1 off=8 disallowed"),
    ("writing the context", "*(u32 *)(r1 + 0) = 1\n" + DONE, "invalid bpf_context access off=0 size=4"),
    ("no pointer at all", "r1 = 8\nr0 = *(u32 *)(r1 + 0)\nexit", "R1 invalid mem access 'scalar'"),
    # ---- maps
    ("no null check", HASH_LOOKUP + "r0 = *(u64 *)(r0 + 0)\nexit", "R0 invalid mem access 'map_value_or_null'"),
    ("null check", VALUE + "r0 = *(u64 *)(r0 + 0)\nexit", ACCEPT),
    ("known element of an array", LOOKUP + "r0 = *(u64 *)(r0 + 0)\nexit", ACCEPT),
    ("beyond the value", VALUE + "r0 = *(u64 *)(r0 + 8)\nexit", "R0 min value is outside of the allowed memory range"),
    ("index unchecked", VALUE + "r1 = *(u64 *)(r0 + 0)\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\nexit",
     "math between map_value pointer and register with unbounded min value is not allowed"),
    ("index of 32 bits unchecked", VALUE + "r1 = *(u32 *)(r0 + 0)\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\nexit",
     "R0 unbounded memory access, make sure to bounds check any such access"),
    ("index of 16 bits may be negative",
     VALUE + "r1 = *(s16 *)(r0 + 0)\nif r1 s> 7 goto +2\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\n" + DONE,
     "R0 min value is negative, either use unsigned index or do a if (index >=0) check."),
    ("index checked", VALUE + "r1 = *(u64 *)(r0 + 0)\nif r1 > 7 goto +2\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\n" + DONE,
     ACCEPT),
    ("index checked one too few",
     VALUE + "r1 = *(u64 *)(r0 + 0)\nif r1 > 8 goto +2\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\n" + DONE,
     "R0 max value is outside of the allowed memory range"),
    ("index checked signed",
     VALUE + "r1 = *(u64 *)(r0 + 0)\nif r1 s> 7 goto +2\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\n" + DONE,
     "math between map_value pointer and register with unbounded min value is not allowed"),
    ("key is not initialised", "r2 = r10\nr2 += -4\nr1 = hash ll\ncall bpf_map_lookup_elem\n" + DONE, ACCEPT),
    # ---- dynptrs
    ("dynptr where only half of it fits", IN_R6 + local(-8) + DONE, "Dynptr has to be an uninitialized dynptr"),
    ("dynptr not at a whole slot", IN_R6 + local(-20) + DONE, "Dynptr has to be an uninitialized dynptr"),
    ("dynptr at the frame's end", IN_R6 + local(0) + DONE, "Dynptr has to be an uninitialized dynptr"),
    ("dynptr below the stack", IN_R6 + local(-520) + DONE, "invalid write to stack R4 off=-520 size=8"),
    ("dynptr deeper than the stack so far", data(-64) + DONE, "Expected an initialized dynptr as arg #0"),
    ("dynptr at one of two places", IN_R6 + local(-16) + UNKNOWN + "r0 &= 16\n" + at(1, -32)
     + "r1 += r0\nr2 = 0\nr3 = 8\ncall bpf_dynptr_data\n" + DONE, "Expected an initialized dynptr as arg #0"),
    ("dynptr over the halves of two",
     IN_R6 + local(-32) + local(-16) + local(-24) + data(-24) + data(-16) + DONE,
     "Expected an initialized dynptr as arg #0"),
    ("dynptr over half of another, both gone",
     IN_R6 + local(-32) + local(-24) + data(-24) + data(-32) + DONE, "Expected an initialized dynptr as arg #0"),
    ("spilled slice of a dynptr that is overwritten",
     IN_R6 + local(-16) + data(-16) + "*(u64 *)(r10 - 24) = r0\n*(u8 *)(r10 - 1) = 0\n"
     "r1 = *(u64 *)(r10 - 24)\nif r1 == 0 goto +1\nr0 = *(u8 *)(r1 + 0)\n" + DONE, "R1 invalid mem access 'scalar'"),
    ("slice of another dynptr stays", IN_R6 + local(-16) + local(-32) + data(-32) + "*(u64 *)(r10 - 16) = 0\n"
     "if r0 == 0 goto +1\nr0 = *(u64 *)(r0 + 0)\n" + DONE, ACCEPT),
    ("dynptr filled by a helper that takes any size", IN_R6 + local(-16) + UNKNOWN + "r0 &= 7\nr2 = r0\n" + at(1, -16)
     + "r3 = r6\ncall bpf_probe_read_kernel\n" + DONE, "invalid read from stack R1 off -16+0 size 7"),
    ("dynptr as a key", IN_R6 + local(-16) + at(2, -16) + "r1 = hash ll\ncall bpf_map_lookup_elem\n" + DONE,
     "invalid read from stack R2 off -16+0 size 4"),
    ("reservation in a slot never written", reserve(-16) + discard(-16) + "r0 = *(u64 *)(r10 - 16)\nexit", ACCEPT),
    ("slice of a reservation compared again",
     reserve(-16) + data(-16) + "r7 = r0\n" + discard(-16) + "r0 = 0\nif r7 == 0 goto +1\nr0 = *(u8 *)(r7 + 0)\nexit",
     "R7 invalid mem access 'scalar'"),
    ("slice spilled and written over", reserve(-32) + data(-32) + "*(u64 *)(r10 - 16) = r0\n*(u8 *)(r10 - 15) = 7\n"
     + discard(-32) + DONE, "func bpf_ringbuf_discard_dynptr#200 reference has not been acquired before"),
    ("slice spilled in the topmost slot and written over",
     reserve(-32) + data(-32) + "*(u64 *)(r10 - 8) = r0\n*(u8 *)(r10 - 7) = 7\n" + discard(-32) + DONE, ACCEPT),
    ("two kinds of dynptr on two paths",
     IN_R6 + UNKNOWN + "if r0 == 0 goto l\n" + local(-16) + "goto m\nl: " + reserve(-16)
     + "m: " + discard(-16) + DONE, "arg 1 is an unacquired reference"),
    ("a member of the map itself", "r1 = hash ll\nr0 = *(u32 *)(r1 + 76)\nexit", ACCEPT),
    ("past a member of the map itself", "r1 = hash ll\nr0 = *(u32 *)(r1 + 33)\nexit",
     "access beyond the end of member excl (mend:36) in struct bpf_map with off 33 size 4"),
    ("between the members of the map itself", "r1 = hash ll\nr0 = *(u32 *)(r1 + 36)\nexit",
     "struct bpf_map doesn't have field at offset 36"),
    ("half of a pointer in the map itself", "r1 = hash ll\nr0 = *(u32 *)(r1 + 40)\nexit",
     "cannot access ptr member ops with moff 40 in struct bpf_map with off 40 size 4"),
    ("a number for a map", "r1 = 0\nr2 = r10\ncall bpf_map_lookup_elem\n" + DONE, "R1 type=scalar expected=map_ptr"),
    ("the wrong map", "r2 = progs ll\nr1 = hash ll\nr3 = 0\ncall bpf_tail_call\n" + DONE,
     "R1 type=map_ptr expected=ctx"),
    ("tail call through a hash map", "r2 = hash ll\nr3 = 0\ncall bpf_tail_call\n" + DONE,
     "expected prog array map for tail call"),
    ("tail call", "r2 = progs ll\nr3 = 0\ncall bpf_tail_call\n" + DONE, ACCEPT),
    # ---- packet
    ("packet unchecked", PACKET + "r0 = *(u8 *)(r2 + 0)\nexit", "R2 offset is outside of the packet"),
    ("packet checked", PACKET + "r4 = r2\nr4 += 14\nif r4 > r3 goto +1\nr0 = *(u8 *)(r2 + 13)\n" + DONE, ACCEPT),
    ("packet checked one too few", PACKET + "r4 = r2\nr4 += 14\nif r4 > r3 goto +1\nr0 = *(u8 *)(r2 + 14)\n" + DONE,
     "R2 offset is outside of the packet"),
    ("packet checked the wrong way", PACKET + "r4 = r2\nr4 += 14\nif r4 < r3 goto +1\nr0 = *(u8 *)(r2 + 0)\n" + DONE,
     "R2 offset is outside of the packet"),
    ("packet after the head moved",
     PACKET + "r7 = r2\nr4 = r2\nr4 += 14\nif r4 > r3 goto +4\nr1 = r6\nr2 = 4\ncall bpf_xdp_adjust_head\n"
     "r0 = *(u8 *)(r7 + 0)\n" + DONE, "R7 invalid mem access 'scalar'"),
    ("arithmetic on the packet's end", PACKET + "r3 += 1\n" + DONE, "R3 pointer arithmetic on pkt_end prohibited"),
    # ---- helpers
    ("no such helper", "call 9999\n" + DONE, "invalid func unknown#9999"),
    ("helper of other programs", "call bpf_skb_load_bytes\n" + DONE,
     "program of this type cannot use helper bpf_skb_load_bytes#26"),
    ("size unbounded", UNKNOWN + "r2 = r0\nr1 = r10\nr1 += -8\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_csum_diff\n" + DONE,
     "R2 min value is negative, either use unsigned or 'var &= const'"),
    # ---- references
    ("reservation submitted",
     "r1 = ring ll\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto +3\nr1 = r0\nr2 = 0\n"
     "call bpf_ringbuf_submit\n" + DONE, ACCEPT),
    ("reservation lost",
     "r1 = ring ll\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\n" + DONE,
     "BPF_EXIT instruction in main prog would lead to reference leak"),
    ("reservation submitted twice",
     "r1 = ring ll\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto +7\nr6 = r0\nr1 = r0\nr2 = 0\n"
     "call bpf_ringbuf_submit\nr1 = r6\nr2 = 0\ncall bpf_ringbuf_submit\n" + DONE,
     "R1 type=scalar expected=ringbuf_mem"),
    # ---- functions
    ("function", "r1 = 2\ncall f\nexit\nf:\nr0 = r1\nr0 += 1\nexit", ACCEPT),
    ("function that writes its caller's stack",
     "r1 = r10\nr1 += -8\ncall f\nr0 = *(u64 *)(r10 - 8)\nexit\nf:\n*(u64 *)(r1 + 0) = 1\nr0 = 0\nexit", ACCEPT),
    ("pointer to a dead frame", "call f\nr0 = *(u64 *)(r0 + 0)\nexit\nf:\nr0 = r10\nexit",
     "cannot return stack pointer to the caller"),
    ("a number plus a pointer keeps the number's frame", "r2 = 0\n*(u64 *)(r10 - 8) = r2\ncall f\nexit\nf:\n"
     "*(u64 *)(r10 - 8) = r1\nr6 = -8\nr6 += r10\nr1 = *(u64 *)(r6 + 0)\nr0 = *(u32 *)(r1 + 0)\nexit",
     "R1 invalid mem access 'scalar'"),
    ("functions call each other", "call f\nexit\nf:\ncall g\nexit\ng:\ncall f\nexit",
     "the call stack of 9 frames is too deep"),
    ("constant key of an array that may be smaller", LOOKUP.replace("array", "arrays") + "if r0 == 0 goto +5\n"
     "r1 = r0\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\n" + DONE,
     "R0 invalid mem access 'map_value_or_null'"),
    # ---- atomics
    ("atomic on the stack", "*(u64 *)(r10 - 8) = 0\nr2 = 1\nlock *(u64 *)(r10 - 8) += r2\n" + DONE, ACCEPT),
    ("atomic on the context", "r2 = 1\nlock *(u32 *)(r1 + 0) += r2\n" + DONE,
     "BPF_ATOMIC stores into R1 ctx is not allowed"),
    ("atomic misaligned", VALUE + "r1 = 1\nlock *(u32 *)(r0 + 2) += r1\n" + DONE,
     "misaligned value access off 0+0+2 size 4"),
]

STATES = [
    ("masked", UNKNOWN + "r0 &= 12\nexit", 1, 0, "scalar(smin=smin32=0,smax=umax=smax32=umax32=12,var_off=(0x0; 0xc))"),
    ("shifted", UNKNOWN + "r0 &= 7\nr0 <<= 3\nexit", 2, 0,
     "scalar(smin=smin32=0,smax=umax=smax32=umax32=56,var_off=(0x0; 0x38))"),
    ("constants folded", "r0 = 6\nr0 *= 7\nexit", 1, 0, "42"),
    ("narrow result is zero extended", "r0 = -1\nw0 += 0\nexit", 1, 0, "0xffffffff"),
    ("one byte", "*(u64 *)(r10 - 8) = 0x1234\nr0 = *(u8 *)(r10 - 8)\nexit", 1, 0, "52"),
    ("byte swapped", "r0 = 0x1234\nr0 = be16 r0\nexit", 1, 0, "13330"),
    ("sign extended", "r1 = 0xff\nr0 = (s8)r1\nexit", 1, 0, "-1"),
    ("less than", UNKNOWN + "if r0 < 10 goto +1\nr0 = 1\nexit", 1, 0,
     "scalar(umin=10)"),
    ("less than itself", UNKNOWN + "if r0 >= r0 goto +1\nr0 = 1\nexit", 1, 0, "scalar(umin=1,umax=0xfffffffffffffffe)"),
    ("spilled and back", UNKNOWN + "r0 &= 3\n*(u64 *)(r10 - 8) = r0\nr2 = *(u64 *)(r10 - 8)\n" + DONE, 3, 2,
     "scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=3,var_off=(0x0; 0x3))"),
    ("packet after its check", PACKET + "r4 = r2\nr4 += 14\nif r4 > r3 goto +1\nr5 = r2\n" + DONE, 6, 5, "pkt(r=14)"),
    ("value of a map", VALUE + "r7 = r0\n" + DONE, 8, 7, "map_value(map=hash,ks=4,vs=8)"),
]
