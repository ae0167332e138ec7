"""A loaded program as the kernel has it: instructions after the verifier's rewriting, and machine code."""

from __future__ import annotations

from dataclasses import dataclass

from ..isa import slots


@dataclass(frozen=True, slots=True)
class Dump:
    """``xlated``: eBPF as the verifier left it (map ids in wide loads, helpers as offsets); ``jited``: machine code of
    all functions, one after the other, ``lens`` bytes each, at the kernel addresses ``ksyms``. Empty if the kernel
    does not show it."""

    xlated: bytes
    jited: bytes
    ksyms: tuple[int, ...] = ()
    lens: tuple[int, ...] = ()

    def text(self) -> str:
        """``xlated`` as assembly, one instruction a line with its slot in front, as the kernel's log writes it."""
        from ..asm import line

        insns, rows, pc = slots(self.xlated), [], 0
        while pc < len(insns):
            rows.append(f"{pc:4d}: {line(insns, pc)}")
            pc += 2 if insns[pc].opcode == 0x18 else 1
        return "\n".join(rows)

    def hex(self, width: int = 16) -> str:
        """``jited`` as rows of hexadecimal bytes, function by function."""
        rows, at = [], 0
        for number, length in enumerate(self.lens or (len(self.jited),)):
            if self.ksyms:
                rows.append(f"function {number} at {self.ksyms[number]:#x}:")
            code = self.jited[at:at + length]
            rows += [f"{off:6x}  {code[off:off + width].hex(' ')}" for off in range(0, len(code), width)]
            at += length
        return "\n".join(rows)
