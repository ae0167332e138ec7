"""What is looked at before the walk and needs no path: reserved fields, maps that are named, what is not modelled."""

from __future__ import annotations

from functools import lru_cache

from ..errors import Unsupported
from ..isa import bits, rows
from ..spec import ProgramSpec
from . import cfg
from .cfg import Refused
from .env import MAX_VAR_OFF, SLEEPABLE, Map
from .mapprogs import MapUse

_LATER = ("6.19",)      # first releases after the one that is modelled

#: program types that are checked against the kernel's own BTF
BTF_TYPES = frozenset(("tracing", "struct_ops", "lsm", "ext"))

#: map types whose values may be addressed directly (map_direct_value_addr)
DIRECT_VALUE = frozenset(("array", "percpu_array", "arena"))


def check_supported(spec: ProgramSpec) -> None:
    """Raises Unsupported with the name of what is not modelled."""
    if spec.type in BTF_TYPES:
        raise Unsupported(f"programs of type {spec.type}")
    if spec.func_info and not spec.btf:
        raise Unsupported("functions described by BTF that is not there")
    for each in spec.maps:
        if each.type in ("arena", "struct_ops"):
            raise Unsupported(f"{each.type} maps")
    for insn in spec.insns:
        if cfg.is_call(insn, bits.CALL_KFUNC):
            raise Unsupported("kernel functions (kfuncs)")
        if insn.opcode == 0x18 and insn.src not in (0, bits.PSEUDO_MAP_FD, bits.PSEUDO_MAP_VALUE,
                                                    bits.PSEUDO_FUNC):
            raise Unsupported("wide loads of BTF variables")


def check_sleepable(spec: ProgramSpec) -> None:
    """``check_attach_btf_id``; programs that attach by BTF are not among those that get here."""
    sleepable = bool(spec.flags & SLEEPABLE)
    if spec.type == "syscall":
        if not sleepable:
            raise Refused("Syscall programs can only be sleepable")
    elif sleepable and spec.type != "kprobe":      # of these the uprobes
        raise Refused("Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable")


@lru_cache(maxsize=256)
def _known(opcode: int) -> bool:
    """Is it an instruction of Linux 6.18?"""
    return any(row.since and row.since not in _LATER for row in rows(opcode))


def check(spec: ProgramSpec, maps: tuple[Map, ...]) -> None:
    """``resolve_pseudo_ldimm64``: what no rule below would notice, and the maps that are named."""
    insns, use = spec.insns, MapUse(spec)
    pc = 0
    while pc < len(insns):
        insn = insns[pc]
        if insn.opcode & 7 == bits.LDX and (insn.opcode & 0xE0 not in (bits.MEM, bits.MEMSX) or insn.imm):
            raise Refused("BPF_LDX uses reserved fields")
        if insn.opcode == 0x18:
            _check_wide(spec, pc, maps, use)
            pc += 1
        elif not _known(insn.opcode):
            raise Refused(f"unknown opcode {insn.opcode:02x}")
        pc += 1


def _check_wide(spec: ProgramSpec, pc: int, maps: tuple[Map, ...], use: MapUse) -> None:
    insns = spec.insns
    insn = insns[pc]
    if pc + 1 == len(insns) or insns[pc + 1][:4] != (0, 0, 0, 0):
        raise Refused("invalid bpf_ld_imm64 insn")
    if insn.src in (0, bits.PSEUDO_FUNC):
        return
    high = insns[pc + 1].imm & 0xFFFF_FFFF
    if insn.src not in (bits.PSEUDO_MAP_FD, bits.PSEUDO_MAP_VALUE):
        raise Unsupported("wide loads of BTF variables or map indexes")
    if insn.src == bits.PSEUDO_MAP_FD and high:
        raise Refused("unrecognized bpf_ld_imm64 insn")
    if not 0 <= insn.imm < len(spec.maps):
        raise Refused(f"fd {insn.imm} is not pointing to valid bpf_map", errno=9)
    use.add(maps[insn.imm])
    if insn.src == bits.PSEUDO_MAP_VALUE:
        bpf_map = spec.maps[insn.imm]
        if high >= MAX_VAR_OFF:
            raise Refused(f"direct value offset of {high} is not allowed")
        if bpf_map.type not in DIRECT_VALUE:
            raise Refused("no direct value access support for this map type")
        if (bpf_map.type == "array" and bpf_map.max_entries != 1) or high >= bpf_map.value_size:
            raise Refused(f"invalid access to map value pointer, value_size={bpf_map.value_size} off={high}")
