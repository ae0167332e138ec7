"""Programs of the view tests, and traces of them: from a recorded log (the same on every machine), or from this kernel.

``RECORDED`` holds what Linux 6.18 said; ``python -m tests.view.programs`` records it anew (needs bpf(2)).
"""

from __future__ import annotations

import re
from pathlib import Path

from ebpflab.asm import assemble
from ebpflab.trace import Trace, klog

RECORDED = Path(__file__).parent / "recorded"
BY = "Linux 6.18.0"

SOURCES = {
    # Counts packets by the low two bits of their first byte; the map's value has 16 bytes.
    "counted": """
.map counts array u32 u64[2] 4
    r6 = *(u32 *)(r1 + 4)            // data_end
    r7 = *(u32 *)(r1 + 0)            // data
    r8 = r7
    r8 += 14
    if r8 > r6 goto short
    r3 = *(u8 *)(r7 + 0)
    r3 &= 3
    *(u32 *)(r10 - 4) = r3
    r2 = r10
    r2 += -4
    r1 = counts ll
    call bpf_map_lookup_elem
    if r0 == 0 goto short
    r1 = *(u64 *)(r0 + 8)
    r1 += 1
    *(u64 *)(r0 + 8) = r1
    r0 = 2
    exit
short:
    r0 = 1
    exit
""",
    # The same idea with a mistake: the index read from the packet is never limited.
    "unlimited": """
.map counts array u32 u64[2] 1
    r6 = *(u32 *)(r1 + 4)
    r7 = *(u32 *)(r1 + 0)
    r8 = r7
    r8 += 14
    if r8 > r6 goto out
    r6 = *(u16 *)(r7 + 12)
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = counts ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r0 += r6
    r1 = *(u64 *)(r0 + 0)
out:
    r0 = 2
    exit
""",
    # A bounded loop and a function of its own.
    "loop": """
    r6 = 5
    r1 = 0
again:
    r2 = r6
    call add
    r1 = r0
    r6 += -1
    if r6 != 0 goto again
    r0 = r1
    exit
add:
    r0 = r1
    r0 += r2
    exit
""",
}


def spec(name: str):
    return assemble(SOURCES[name], type="xdp", name=name, file=f"{name}.s")


def recorded(name: str) -> Trace:
    log = (RECORDED / f"{name}.log").read_text()
    return klog.parse(log, spec(name), ok=name != "unlimited", by=BY, errno=0 if name != "unlimited" else 13)


def long_trace(rounds: int) -> Trace:
    """A trace of ``16·rounds + 1`` steps, as the kernel would log it: a loop, new numbers each round."""
    body = "\n".join(f"r{2 + n % 4} += r1" for n in range(14))
    program = assemble(f"r1 = 0\nagain:\n{body}\nr1 += 1\nif r1 != {rounds} goto again\nr0 = 0\nexit", name="long")
    lines = ["0: R1=ctx() R2=1 R3=1 R4=1 R5=1 R10=fp0", "0: (b7) r1 = 0 ; R1=0"]
    regs = dict.fromkeys(range(2, 6), 1)
    for turn in range(rounds):
        for n in range(14):
            regs[2 + n % 4] += turn
            lines.append(f"{1 + n}: (0f) r{2 + n % 4} += r1 ; R1={turn} R{2 + n % 4}={regs[2 + n % 4]}")
        lines.append(f"15: (07) r1 += 1 ; R1={turn + 1}")
        lines.append(f"16: (55) if r1 != {rounds:#x} goto pc-16 ; R1={turn + 1}")
    return klog.parse("\n".join(lines) + "\n", program, ok=True, by=BY)


def record() -> None:
    from ebpflab.targets.registry import open_target

    RECORDED.mkdir(exist_ok=True)
    with open_target("local") as target:
        for name in SOURCES:
            log = target.verify(spec(name)).log
            (RECORDED / f"{name}.log").write_text(re.sub(r"= 0xffff[0-9a-f]{12}", "= 0xffff888100000000", log))


if __name__ == "__main__":
    record()
