"""Small programs as bytes, written with the instruction table's names."""

from ebpflab.abi import ATTACH_TYPES, HELPER_IDS
from ebpflab.abi.prog_types import BY_NAME as PROG
from ebpflab.isa import Insn, bits, encode

XDP = PROG["xdp"].number
MOV, CALL, EXIT = bits.ALU64 | bits.MOV, bits.JMP | bits.CALL, Insn(bits.JMP | bits.EXIT)


def mov(dst: int, value: int) -> Insn:
    return Insn(MOV | bits.K, dst, imm=value)


def copy(dst: int, src: int) -> Insn:
    return Insn(MOV | bits.X, dst, src)


def call(helper: str) -> Insn:
    return Insn(CALL, imm=HELPER_IDS[helper])


def map_fd(dst: int, index: int = 0) -> tuple[Insn, Insn]:
    return Insn(bits.LD | bits.IMM | bits.DW, dst, bits.PSEUDO_MAP_FD, imm=index), Insn(0)


def map_value(dst: int, index: int = 0, offset: int = 0) -> tuple[Insn, Insn]:
    return Insn(bits.LD | bits.IMM | bits.DW, dst, bits.PSEUDO_MAP_VALUE, imm=index), Insn(0, imm=offset)


def add_to(dst: int, src: int, off: int = 0) -> Insn:
    """lock *(u64 *)(dst + off) += src"""
    return Insn(bits.STX | bits.ATOMIC | bits.DW, dst, src, off, bits.ADD)


def returns(value: int) -> bytes:
    return encode((mov(0, value), EXIT))


def counting(verdict: int, index: int = 0) -> tuple[Insn, ...]:
    """Add one to entry 0 of map ``index`` (u32 -> u64), then return ``verdict``."""
    return (
        Insn(bits.ST | bits.MEM | bits.W, bits.FP, off=-4), copy(2, bits.FP),
        Insn(bits.ALU64 | bits.ADD | bits.K, 2, imm=-4), *map_fd(1, index), call("map_lookup_elem"),
        Insn(bits.JMP | bits.JEQ | bits.K, 0, off=2), mov(1, 1), add_to(0, 1),
        mov(0, verdict), EXIT,
    )


def looping(times: int) -> bytes:
    """A loop that the verifier walks ``times`` times."""
    return encode((mov(0, 0), Insn(bits.ALU64 | bits.ADD | bits.K, 0, imm=1),
                   Insn(bits.JMP | bits.JLT | bits.K, 0, off=-2, imm=times), mov(0, 2), EXIT))


#: every program type of the mission -> the attach type that loading it wants
MISSION_PROGRAMS = {
    "socket_filter": "", "kprobe": "", "sched_cls": "", "sched_act": "", "tracepoint": "", "xdp": "", "perf_event": "",
    "cgroup_skb": "", "cgroup_sock": "cgroup_inet_sock_create", "lwt_in": "", "lwt_out": "", "lwt_xmit": "",
    "lwt_seg6local": "", "sock_ops": "", "sk_skb": "", "cgroup_device": "",
}


def attach_number(name: str) -> int:
    return ATTACH_TYPES[name] if name else 0
