"""The bit layout of an eBPF instruction (RFC 9669, section 3).

One slot is eight bytes, little endian here::

     0        1        2        3        4        5        6        7
    +--------+--------+--------+--------+--------+--------+--------+--------+
    | opcode |src:dst | offset (s16)    | imm (s32)                         |
    +--------+--------+--------+--------+--------+--------+--------+--------+

``dst`` is the low nibble of byte 1, ``src`` the high one.  The opcode byte is::

     7 6 5 4   3   2 1 0            7 6 5    4 3    2 1 0
    +-------+-----+-------+        +------+------+-------+
    | code  |  s  | class |        | mode |  sz  | class |
    +-------+-----+-------+        +------+------+-------+
     ALU, JMP classes               LD, LDX, ST, STX classes
"""

# classes (3.1)
LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)

# source of the second operand (4.1, 4.3)
K, X = 0x00, 0x08

# sizes (5.)
W, H, B, DW = 0x00, 0x08, 0x10, 0x18
SIZE_BYTES = {W: 4, H: 2, B: 1, DW: 8}
SIZE_OF_BYTES = {4: W, 2: H, 1: B, 8: DW}

# modes (5.)
IMM, ABS, IND, MEM, MEMSX, ATOMIC = 0x00, 0x20, 0x40, 0x60, 0x80, 0xC0

# arithmetic codes (4.1)
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR, MOV, ARSH, END = range(0x00, 0xE0, 0x10)

# jump codes (4.3)
JA, JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, CALL, EXIT, JLT, JLE, JSLT, JSLE, JCOND = range(0x00, 0xF0, 0x10)

# atomic operations, in imm (5.3)
FETCH = 0x01
XCHG = 0xE0 | FETCH
CMPXCHG = 0xF0 | FETCH
LOAD_ACQ = 0x100    # kernel: BPF_LOAD_ACQ
STORE_REL = 0x110   # kernel: BPF_STORE_REL

# src of a wide load, LD | IMM | DW (5.4; kernel names in include/uapi/linux/bpf.h)
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_BTF_ID, PSEUDO_FUNC, PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE = 1, 2, 3, 4, 5, 6

# src of a call (4.3.1, 4.3.2)
CALL_HELPER, CALL_LOCAL, CALL_KFUNC = 0, 1, 2

# registers
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)
FP = R10
STACK_SIZE = 512      # bytes a frame, MAX_BPF_STACK
MAX_CALL_FRAMES = 8   # MAX_CALL_FRAMES
MAX_TAIL_CALLS = 33   # MAX_TAIL_CALL_CNT

U32 = 0xFFFF_FFFF
U64 = 0xFFFF_FFFF_FFFF_FFFF
