"""Functions as BTF describes them: linkage, arguments, result (``btf_prepare_func_args``, ``check_btf_func``)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..abi import prog_types
from ..errors import Unsupported
from ..obj import btf as b
from ..spec import ProgramSpec
from .cfg import Refused, Shape

STATIC, GLOBAL = 0, 1
_INTEGERS = (b.INT, b.ENUM, b.ENUM64)
#: kernel structs that a program may name instead of its context (btf_is_projection_of)
_PROJECTIONS = {"__sk_buff": "sk_buff", "xdp_md": "xdp_buff"}


class Mismatch(Exception):
    """A function whose BTF the verifier does not use; what there was to say is in the log."""


class Signatures:
    """The functions of a program by number. Without ``func_info`` nothing is known of them."""

    def __init__(self, spec: ProgramSpec):
        count = len(spec.func_info) // 8
        self.infos = [struct.unpack_from("<II", spec.func_info, 8 * i) for i in range(count)] if spec.btf else []
        self.types = b.Btf(spec.btf) if self.infos else None
        self.type = spec.type
        self.unreliable: set[int] = set()

    def function(self, sub: int) -> b.Type:
        assert self.types is not None
        return self.types[self.infos[sub][1]]

    def is_global(self, sub: int) -> bool:
        return bool(self.infos) and self.function(sub).flags == GLOBAL

    def check(self, shape: Shape) -> None:
        """``check_btf_func``, or ``check_abnormal_return`` if there is no BTF."""
        if not self.infos:
            for sub in range(1, len(shape.starts)):
                if shape.has_ld_abs[sub]:
                    raise Refused("LD_ABS is not allowed in subprogs without BTF")
                if shape.has_tail_call[sub]:
                    raise Refused("tail_call is not allowed in subprogs without BTF")
            return
        assert self.types is not None
        if any(type.kind == b.DECL_TAG and type.name.startswith("exception_callback:") for type in self.types):
            raise Unsupported("exceptions")
        if len(self.infos) != len(shape.starts):
            raise Refused("number of funcs in func_info doesn't match number of subprogs")
        for sub, (start, _) in enumerate(self.infos):
            if start != shape.starts[sub]:
                raise Refused("func_info BTF section doesn't match subprog layout in BPF program")
            if sub and not self._returns_int(sub):
                if shape.has_ld_abs[sub]:
                    raise Refused("LD_ABS is only allowed in functions that return 'int'.")
                if shape.has_tail_call[sub]:
                    raise Refused("tail_call is only allowed in functions that return 'int'.")

    def _returns_int(self, sub: int) -> bool:
        assert self.types is not None
        return self.types.strip(self.types[self.function(sub).type].type).kind in _INTEGERS

    def arguments(self, sub: int, say: Callable[[str], None]) -> list[str]:
        """Each argument: ``scalar``, ``ctx`` or ``mem`` (pointer to sized memory, of a global function).

        Raises Mismatch if the verifier goes on without, Unsupported for tags.
        """
        types = self.types
        assert types is not None
        function = self.function(sub)
        proto = types[function.type]
        is_global = self.is_global(sub)
        parameters = proto.values
        if len(parameters) > 5:
            if is_global:
                say(f"Global function {function.name}() with {len(parameters)} > 5 args. Buggy compiler.")
            raise Mismatch
        if not self._returns_int(sub):
            if is_global:
                say(f"Global function {function.name}() doesn't return scalar. Only those are supported.")
            raise Mismatch
        self._no_tags(function)
        return [self._argument(at, types[type], is_global, function.name, say)
                for at, (_, type) in enumerate(parameters)]

    def _no_tags(self, function: b.Type) -> None:
        assert self.types is not None
        for type in self.types:
            if type.kind == b.DECL_TAG and type.type == function.id and type.name.startswith("arg:"):
                raise Unsupported("argument tags of functions")

    def _argument(self, at: int, type: b.Type, is_global: bool, name: str, say: Callable[[str], None]) -> str:
        types = self.types
        assert types is not None
        stripped = types.strip(type.id)
        if stripped.kind == b.PTR:
            if self._is_context(types[stripped.type]):
                return "ctx"
            if is_global:
                pointed = types.strip(stripped.type)
                try:
                    size = types.size(pointed.id) if pointed.kind not in (b.VOID, b.FWD, b.FUNC_PROTO) else -1
                except b.BtfError:
                    size = -1
                if size < 0:
                    kind = "UNKNOWN" if pointed.kind == b.VOID else pointed.kind_name.upper()
                    shown = "" if pointed.kind == b.VOID else pointed.name
                    say(f"arg#{at} reference type('{kind} {shown}') size cannot be determined: -22")
                    raise Mismatch
                return f"mem:{size}"
        elif stripped.kind in _INTEGERS:
            return "scalar"
        if is_global:
            say(f"Arg#{at} type {stripped.kind_name.upper()} in {name}() is not supported yet.")
        raise Mismatch

    def _is_context(self, type: b.Type) -> bool:
        """Is this the program type's context (``btf_is_prog_ctx_type``)?"""
        types = self.types
        assert types is not None
        if self.type == "kprobe":
            while type.kind in b.MODIFIERS and type.kind != b.TYPEDEF:
                type = types[type.type]
            if type.kind == b.TYPEDEF and type.name == "bpf_user_pt_regs_t":
                return True
        stripped = types.strip(type.id)
        if stripped.kind not in (b.STRUCT, b.UNION):
            return False
        context = prog_types.BY_NAME[self.type].context
        return bool(context) and stripped.name in (context, _PROJECTIONS.get(context))
