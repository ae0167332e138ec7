"""A program made ready for one kernel: fields, functions, variables and configuration values put in.

``prepare`` is what a target calls before it loads; it turns names into numbers of that kernel and leaves everything
else as it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from .. import layout as lay
from ..errors import SpecError, Unsupported
from ..isa import bits
from ..spec import MapSpec, ProgramSpec
from . import btf as b
from . import core
from .btf import Btf, Type
from .core_types import Candidates
from .maps import RDONLY_PROG

#: what a call of a weak kernel function becomes that is not there: "invalid func unknown#2002000000"
_ABSENT_CALL = 2002000000
_WIDE = bits.LD | bits.IMM | bits.DW
#: attach type -> (kinds, what stands before the name in the kernel's BTF)
_ATTACH = {
    "trace_raw_tp": ((b.TYPEDEF,), "btf_trace_"), "trace_fentry": ((b.FUNC,), ""), "trace_fexit": ((b.FUNC,), ""),
    "modify_return": ((b.FUNC,), ""), "trace_iter": ((b.FUNC,), "bpf_iter_"), "lsm_mac": ((b.FUNC,), "bpf_lsm_"),
    "lsm_cgroup": ((b.FUNC,), "bpf_lsm_"),
}
_TRISTATE = {"y": 1, "m": 2, "n": 0}
KCONFIG = ".kconfig"


@dataclass(frozen=True)
class Kernel:
    """What a program is made ready for. ``types`` None: a kernel without BTF. ``version`` as (6, 12, 57)."""

    name: str
    types: Btf | None = None
    version: tuple[int, int, int] = (0, 0, 0)
    config: str = field(default="", repr=False)

    @cached_property
    def candidates(self) -> Candidates:
        return Candidates(self.need("CO-RE"))

    @cached_property
    def options(self) -> dict[str, str]:
        """CONFIG_* -> value as written: y, m, a number or a quoted text."""
        return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", self.config, re.M))

    def need(self, why: str) -> Btf:
        if self.types is None:
            raise Unsupported(f"{self.name} has no BTF, which {why} needs",
                              hint="a kernel built with CONFIG_DEBUG_INFO_BTF shows /sys/kernel/btf/vmlinux")
        return self.types


def needed(spec: ProgramSpec) -> bool:
    """Is there anything to prepare?"""
    return bool(spec.core or spec.externs or _attaches_by_id(spec))


def _attaches_by_id(spec: ProgramSpec) -> bool:
    return bool(spec.attach_to) and spec.attach_type in _ATTACH and not spec.attach_btf_id


def prepare(spec: ProgramSpec, kernel: Kernel) -> ProgramSpec:
    """The program with nothing left to be resolved. Raises CoreError, SpecError or Unsupported, saying what is
    missing."""
    if spec.core:
        spec = core.relocate(spec, kernel.need("CO-RE"), kernel.candidates)
    if spec.externs:
        spec = _externs(spec, kernel)
    if _attaches_by_id(spec):
        spec = replace(spec, attach_btf_id=_attach_id(spec, kernel))
    return spec


def _attach_id(spec: ProgramSpec, kernel: Kernel) -> int:
    kinds, prefix = _ATTACH[spec.attach_type]
    found = kernel.need(f"a program for {spec.attach_to}").find(prefix + spec.attach_to, *kinds)
    if found is None:
        raise SpecError(f"{kernel.name} has no {prefix}{spec.attach_to} in its BTF",
                        where=f"{spec.name}, {spec.attach_type}",
                        hint="is the name right? functions that were inlined or belong to a module are not there")
    return found.id


def _externs(spec: ProgramSpec, kernel: Kernel) -> ProgramSpec:
    local = Btf(spec.btf) if spec.btf else None
    section = local.find(KCONFIG, b.DATASEC) if local else None
    configured = {local[id].name for id, _, _ in section.values} if section else set()
    values = _kconfig(local, section, spec, kernel) if configured & set(spec.externs.values()) else None
    insns, missing, maps = list(spec.insns), dict(spec.missing), spec.maps
    if values:
        maps = (*maps, values.map)
    for pc, name in spec.externs.items():
        insn = insns[pc]
        if values and name in values.offsets:
            insns[pc] = insn._replace(src=bits.PSEUDO_MAP_VALUE, imm=len(maps) - 1)
            insns[pc + 1] = insns[pc + 1]._replace(imm=values.offsets[name] + insn.imm)
            continue
        call = insn.opcode != _WIDE
        types = kernel.need(f"the kernel's {name}")
        found = types.find(name, b.FUNC) if call else types.find(name, b.VAR, b.FUNC)
        if found is not None:
            insns[pc] = insn._replace(imm=found.id) if call else insn._replace(src=bits.PSEUDO_BTF_ID, imm=found.id)
            if not call:
                insns[pc + 1] = insns[pc + 1]._replace(imm=0)
        elif name not in spec.weak:
            raise SpecError(f"{kernel.name} has no {'function' if call else 'variable or function'} {name!r} in its "
                            "BTF", where=f"{spec.name}, instruction {pc}",
                            hint="declare it __weak and test bpf_ksym_exists(name) to run on kernels without it; those "
                                 "of modules are not looked for")
        elif call:
            missing[pc] = f"this kernel has no function {name}"
            insns[pc] = insn._replace(src=bits.CALL_HELPER, imm=_ABSENT_CALL)
        else:
            insns[pc] = insn._replace(src=0, imm=0)
            insns[pc + 1] = insns[pc + 1]._replace(imm=0)
    return replace(spec, insns=tuple(insns), maps=maps, externs={}, missing=missing)


@dataclass(frozen=True, slots=True)
class _Values:
    map: MapSpec
    offsets: Mapping[str, int]


def _kconfig(local: Btf, section: Type, spec: ProgramSpec, kernel: Kernel) -> _Values:
    """The variables of ``.kconfig`` as one constant value; bytes in the order of the section."""
    offsets, content, fields = {}, b"", []
    for id, _, _ in section.values:
        variable = local[id]
        size = local.size(variable.type)
        align = 1 << (min(size, 8).bit_length() - 1) if size else 1
        content += bytes(-len(content) % align)
        offsets[variable.name] = len(content)
        fields.append(lay.Field(variable.name, lay.opaque(size), len(content)))
        content += _value(local, variable, size, spec, kernel)
    content += bytes(-len(content) % 8)
    shape = lay.Layout("struct", len(content), 8, fields=tuple(fields), name=KCONFIG)
    return _Values(MapSpec(KCONFIG, "array", lay.SCALARS["u32"], shape, 1, flags=RDONLY_PROG,
                           contents=((bytes(4), content),), frozen=True), offsets)


def _value(local: Btf, variable: Type, size: int, spec: ProgramSpec, kernel: Kernel) -> bytes:
    """What the kernel's configuration says, in the bytes of the variable's type (libbpf's ``set_kcfg_value_*``)."""
    name, type_ = variable.name, local.strip(variable.type)
    where = f"{spec.name}, extern {name}"
    if name == "LINUX_KERNEL_VERSION":
        major, minor, patch = kernel.version
        return _number((major << 16) + (minor << 8) + min(patch, 255), size, False, where)
    if name.startswith("LINUX_HAS_"):  # features of the loader's own: cookies, syscall wrappers
        return _number(int(name == "LINUX_HAS_SYSCALL_WRAPPER" or kernel.version >= (5, 15, 0)), size, False, where)
    text = kernel.options.get(name)
    if text is None:
        if name not in spec.weak and not kernel.config:
            raise Unsupported(f"{kernel.name} does not show how it was configured", where=where,
                              hint="declare it __weak to have 0 there; CONFIG_IKCONFIG_PROC would show it")
        if name not in spec.weak:
            raise SpecError(f"{name} is not set in the configuration of {kernel.name}", where=where,
                            hint="declare it __weak to have 0 there")
        return bytes(size)
    if text.startswith('"'):
        if type_.kind != b.ARRAY:
            raise SpecError(f"{name} is a text, its variable is no array of char", where=where)
        return text.strip('"').encode()[:size - 1].ljust(size, b"\0")
    if text in _TRISTATE:
        if type_.kind == b.INT and type_.size == 1 and not type_.flags & b.INT_BOOL:
            return text.encode()
        if type_.flags & b.INT_BOOL and text == "m":
            raise SpecError(f"{name} is m, its variable is a bool", where=where,
                            hint="make it enum libbpf_tristate")
        return _number(_TRISTATE[text], size, False, where)
    try:
        return _number(int(text, 0), size, type_.signed, where)
    except ValueError:
        raise SpecError(f"{name} is {text!r}, which is no number", where=where) from None


def _number(value: int, size: int, signed: bool, where: str) -> bytes:
    try:
        return value.to_bytes(size, "little", signed=signed)
    except OverflowError:
        raise SpecError(f"{value} does not fit into {size} bytes", where=where) from None
