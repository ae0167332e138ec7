"""Functions as BTF describes them: linkage, arguments, result (``btf_prepare_func_args``, ``check_btf_func``)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from ..abi import prog_types
from ..errors import Unsupported
from ..obj import btf as b
from ..spec import ProgramSpec
from .cfg import Refused, Shape

STATIC, GLOBAL = 0, 1
_INTEGERS = (b.INT, b.ENUM, b.ENUM64)
#: kernel structs that a program may name instead of its context (btf_is_projection_of)
_PROJECTIONS = {"__sk_buff": "sk_buff", "xdp_md": "xdp_buff"}
EINVAL, EOPNOTSUPP = 22, 95
#: what follows ``arg:`` in a declaration tag
_TAGS = frozenset(("ctx", "trusted", "untrusted", "nonnull", "nullable", "arena"))


class Mismatch(Exception):
    """A function whose BTF the verifier does not use; what there was to say is in the log."""

    def __init__(self, errno: int = EINVAL):
        super().__init__(errno)
        self.errno = errno


class Argument(NamedTuple):
    """What a function expects: ``scalar``, ``ctx``, ``mem`` (of ``size`` bytes, perhaps null), ``untrusted`` (any
    pointer, only read), ``dynptr``, ``arena``."""

    kind: str
    size: int = 0
    nullable: bool = False


class Signatures:
    """The functions of a program by number. Without ``func_info`` nothing is known of them."""

    def __init__(self, spec: ProgramSpec):
        count = len(spec.func_info) // 8
        self.infos = [struct.unpack_from("<II", spec.func_info, 8 * i) for i in range(count)] if spec.btf else []
        self.types = b.Btf(spec.btf) if self.infos else None
        self.type = spec.type
        self.unreliable: set[int] = set()
        self._arguments: dict[int, tuple[Argument, ...]] = {}
        self._tags: dict[tuple[int, int], list[str]] | None = None     # by function and argument

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

    def exception_callback(self) -> int:
        """First slot of the function that is called when the program throws an exception; 0 for none
        (``bpf_find_exception_callback_insn_off``)."""
        if self.types is None:
            return 0
        prefix, main = "exception_callback:", self.infos[0][1]
        names = [tag.name[len(prefix):] for tag in self.types.of_kind(b.DECL_TAG)
                 if tag.type == main and tag.flags == -1 and tag.name.startswith(prefix)]
        if not names:
            return 0
        if len(names) > 1:
            raise Refused("multiple exception callback tags for main subprog", errno=17)
        function = self.types.find(names[0], b.FUNC)
        if function is None:
            raise Refused(f"exception callback '{names[0]}' could not be found in BTF", errno=2)
        if function.flags != GLOBAL:
            raise Refused(f"exception callback '{names[0]}' must have global linkage")
        slots = [slot for slot, type in self.infos if type == function.id]
        if 0 in slots:
            raise Refused("invalid exception callback insn_off in func_info: 0")
        if not slots:
            raise Refused("exception callback type id not found in func_info")
        return slots[-1]

    def name(self, sub: int) -> str:
        """As BTF has it; empty without."""
        return self.function(sub).name if self.infos else ""

    def arguments(self, sub: int, say: Callable[[str], None]) -> tuple[Argument, ...]:
        """What the function expects of its arguments. Raises Mismatch; what is odd is said once.

        Unsupported for arguments that are types of the kernel.
        """
        if sub not in self._arguments:
            self._arguments[sub] = tuple(self._prepared(sub, say))
        return self._arguments[sub]

    def _prepared(self, sub: int, say: Callable[[str], None]) -> list[Argument]:
        types = self.types
        assert types is not None
        function, is_global = self.function(sub), self.is_global(sub)
        parameters = types[function.type].values
        if len(parameters) > 5:
            if is_global:
                say(f"Global function {function.name}() with {len(parameters)} > 5 args. Buggy compiler.")
            raise Mismatch
        if not self._returns_int(sub):
            if is_global:
                say(f"Global function {function.name}() doesn't return scalar. Only those are supported.")
            raise Mismatch
        return [self._argument(at, types[type], is_global, function, say) for at, (_, type) in enumerate(parameters)]

    def _argument(self, at: int, type: b.Type, is_global: bool, function: b.Type,
                  say: Callable[[str], None]) -> Argument:
        types = self.types
        assert types is not None
        tags = self._tags_of(function, at, is_global, say)
        stripped = types.strip(type.id)
        if stripped.kind == b.PTR:
            found = self._pointer(at, stripped, tags, is_global, say)
            if found is not None:
                return found
        if tags:
            say(f"arg#{at} has pointer tag, but is not a pointer type")
            raise Mismatch
        if stripped.kind in _INTEGERS:
            return Argument("scalar")
        if is_global:
            say(f"Arg#{at} type {stripped.kind_name.upper()} in {function.name}() is not supported yet.")
        raise Mismatch

    def _tags_of(self, function: b.Type, at: int, is_global: bool, say: Callable[[str], None]) -> set[str]:
        """The tags that the C macros ``__arg_ctx``, ``__arg_nonnull`` … leave."""
        types = self.types
        assert types is not None
        if self._tags is None:
            self._tags = {}
            for type in types.of_kind(b.DECL_TAG):
                if type.name.startswith("arg:"):
                    self._tags.setdefault((type.type, type.flags), []).append(type.name[4:])
        tags: set[str] = set()
        for tag in self._tags.get((function.id, at), ()):
            if not is_global:
                say(f"arg#{at} type tag is not supported in static functions")
                raise Mismatch(EOPNOTSUPP)
            if tag not in _TAGS:
                say(f"arg#{at} has unsupported set of tags")
                raise Mismatch(EOPNOTSUPP)
            tags.add(tag)
        return tags

    def _pointer(self, at: int, pointer: b.Type, tags: set[str], is_global: bool,
                 say: Callable[[str], None]) -> Argument | None:
        """None: a pointer of a static function that is none of these."""
        types = self.types
        assert types is not None
        target = types.strip(pointer.type)
        if "ctx" in tags or self._is_context(types[pointer.type]):
            if tags - {"ctx"}:
                raise _wrong_tags(at, say)
            if tags:
                self._check_context(at, types[pointer.type], say)
            return Argument("ctx")
        if target.name == "bpf_dynptr" and (target.kind in (b.STRUCT, b.UNION)
                                            or (target.kind == b.FWD and not target.flags)):
            if tags:
                raise _wrong_tags(at, say)
            return Argument("dynptr")
        if "trusted" in tags:
            if "nonnull" in tags:
                raise _wrong_tags(at, say)
            raise Unsupported("kernel types as arguments of functions")
        for alone in ("untrusted", "arena"):
            if alone in tags and len(tags) > 1:
                say(f"arg#{at} {alone} cannot be combined with any other tags")
                raise Mismatch
        if "untrusted" in tags:
            if target.kind not in (b.VOID, *_INTEGERS):
                raise Unsupported("kernel types as arguments of functions")
            return Argument("untrusted")
        if "arena" in tags:
            return Argument("arena")
        if not is_global:
            return None
        if "nullable" in tags:
            raise _wrong_tags(at, say)
        try:
            size = types.size(target.id) if target.kind not in (b.VOID, b.FWD, b.FUNC_PROTO) else -1
        except b.BtfError:
            size = -1
        if size < 0:
            shown = "UNKNOWN " if target.kind == b.VOID else f"{target.kind_name.upper()} {target.name}"
            say(f"arg#{at} reference type('{shown}') size cannot be determined: -22")
            raise Mismatch
        return Argument("mem", size, "nonnull" not in tags)

    def _is_context(self, type: b.Type) -> bool:
        """Is this the program type's context (``btf_is_prog_ctx_type``)?"""
        types = self.types
        assert types is not None
        if self.type == "kprobe" and self._is_user_regs(type):
            return True
        stripped = types.strip(type.id)
        if stripped.kind not in (b.STRUCT, b.UNION):
            return False
        context = prog_types.BY_NAME[self.type].context
        return bool(context) and stripped.name in (context, _PROJECTIONS.get(context))

    def _is_user_regs(self, type: b.Type) -> bool:
        types = self.types
        assert types is not None
        while type.kind in b.MODIFIERS and type.kind != b.TYPEDEF:
            type = types[type.type]
        return type.kind == b.TYPEDEF and type.name == "bpf_user_pt_regs_t"

    def _check_context(self, at: int, type: b.Type, say: Callable[[str], None]) -> None:
        """May an argument that is tagged as context point to this (``btf_validate_prog_ctx_type``)?"""
        types = self.types
        assert types is not None
        if self.type in ("kprobe", "perf_event") and self._is_user_regs(type):
            return
        stripped = types.strip(type.id)
        if stripped.kind == b.VOID:
            return
        if not stripped.name:
            say(f"arg#{at} type doesn't have a name")
            raise Mismatch
        is_struct = stripped.kind == b.STRUCT
        if self.type in ("tracepoint", "syscall"):
            return
        if self.type in ("kprobe", "perf_event") and is_struct and stripped.name == "pt_regs":
            return
        if self.type.startswith("raw_tracepoint") and stripped.kind == b.INT and stripped.size == 8:
            return
        context = prog_types.BY_NAME[self.type].context
        if not context:
            say(f"arg#{at} should be void pointer")
            raise Mismatch
        if not is_struct or stripped.name != context:
            say(f"arg#{at} should be `struct {context} *`")
            raise Mismatch


def _wrong_tags(at: int, say: Callable[[str], None]) -> Mismatch:
    say(f"arg#{at} has invalid combination of tags")
    return Mismatch()
