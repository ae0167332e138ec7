"""Helpers about time, chance, the CPU, text, memory that may not be there, and control flow."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

from ...errors import Fault
from ...isa import bits
from ..maps import References
from ..memory import PAGE_BITS, UserMemory
from .registry import helper


@helper("ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns")
def ktime_get_ns(run):
    return run.machine.clock.read()


@helper()
def ktime_get_tai_ns(run):
    return run.machine.clock.read() + 37_000_000_000   # TAI is 37 s ahead of UTC


@helper()
def jiffies64(run):
    return run.machine.clock.read() // 4_000_000   # HZ=250


@helper()
def get_prandom_u32(run):
    return run.machine.random.getrandbits(32)


@helper()
def get_smp_processor_id(run):
    return run.cpu


@helper()
def get_numa_node_id(run):
    return 0


TASK_SIZE = 1 << 47          # of x86_64: below it are the addresses of processes, and here the simulator's own
_PERCENT = re.compile(rb"%(?:%|(-?0?\d*)(ll|l|h|hh|z)?([duxXicsp]|p[iI][46]|p[kx]?))")
_WIDTH = {b"ll": 64, b"l": 64, b"z": 64, b"h": 16, b"hh": 8}


def _format(run, text: bytes, values: list[int]) -> bytes:
    """The kernel's bpf_bprintf: %d %u %x %i %c %s %p with l and ll; values are registers."""
    at = iter(values)

    def one(match) -> bytes:
        if match[0] == b"%%":
            return b"%"
        flags, length, kind = match[1] or b"", match[2], match[3]
        value = next(at, 0)
        if kind == b"s":
            return _string(run, value)
        if kind == b"c":
            return bytes([value & 0xFF])
        if kind.startswith(b"p"):
            return b"%016x" % value
        width = _WIDTH.get(length, 32)
        value &= (1 << width) - 1
        if kind in (b"d", b"i") and value >> (width - 1):
            value -= 1 << width
        return (b"%" + flags + (kind if kind in (b"x", b"X") else b"d")) % value

    return _PERCENT.sub(one, text)


def _string(run, address: int, limit: int = 512) -> bytes:
    found = bytearray()
    while len(found) < limit:
        byte = run.memory.load(address + len(found), 1)
        if not byte:
            break
        found.append(byte)
    return bytes(found)


def _print(run, text: bytes, values: list[int]) -> int:
    line = _format(run, text.split(b"\0")[0], values)
    run.machine.printed.append(line.decode(errors="replace"))
    return len(line)


@helper()
def trace_printk(run, fmt, size, a, b, c):
    size &= 0xFFFF_FFFF
    text = run.memory.read(fmt, size)
    if not size or text[-1]:
        return -errno.EINVAL
    return _print(run, text, [a, b, c])


def _array(run, address: int, size: int) -> list[int]:
    data = run.memory.read(address, size & 0xFFFF_FFFF)
    return [int.from_bytes(data[at:at + 8], "little") for at in range(0, len(data), 8)]


@helper()
def trace_vprintk(run, fmt, size, values, length):
    size &= 0xFFFF_FFFF
    text = run.memory.read(fmt, size)
    if not size or text[-1] or length & 7:
        return -errno.EINVAL
    return _print(run, text, _array(run, values, length))


@helper()
def snprintf(run, buffer, size, fmt, values, length):
    size &= 0xFFFF_FFFF
    if length & 7:
        return -errno.EINVAL
    text = _format(run, _string(run, fmt), _array(run, values, length))
    if size:
        run.memory.write(buffer, text[:size - 1] + b"\0")
    return len(text) + 1


def _outside(run, kind: str, address: int) -> int:
    """0 if memory of this kind (kernel, user, "" for either) may be there, or the errno."""
    users = isinstance(run.memory.owners.get(address >> PAGE_BITS), UserMemory)
    if kind == "user":
        return 0 if users else -errno.EFAULT
    if kind and (users or (address < TASK_SIZE and address >> PAGE_BITS not in run.memory.views)):
        return -errno.ERANGE          # copy_from_kernel_nofault_allowed: no address of the kernel
    return 0


def _probed(run, kind: str, target: int, size: int, source: int, take: Callable[[], bytes]) -> int:
    """Put what ``take`` finds at ``target``; its length. What cannot be read is an errno and zeros, never a fault:
    that is what probe reads are for."""
    error, data = _outside(run, kind, source), b""
    if not error:
        try:
            data = take()
        except Fault:
            error = -errno.EFAULT
    if error:
        run.memory.clear(target, size)
        return error
    run.memory.write(target, data)
    return len(data)


def _reads(names: tuple[str, ...], kind: str) -> None:
    def probe_read(run, target, size, source):
        size &= 0xFFFF_FFFF
        return min(_probed(run, kind, target, size, source, lambda: run.memory.read(source, size)), 0)

    def probe_read_str(run, target, size, source):
        size &= 0xFFFF_FFFF
        if not size:
            return 0
        return _probed(run, kind, target, size, source, lambda: _string(run, source, size - 1) + b"\0")

    helper(*names)(probe_read)
    helper(names[0] + "_str")(probe_read_str)


_reads(("probe_read",), "")
_reads(("probe_read_kernel",), "kernel")
_reads(("probe_read_user", "copy_from_user"), "user")


@helper()
def strncmp(run, one, size, other):
    for at in range(size & 0xFFFF_FFFF):
        a, b = run.memory.load(one + at, 1), run.memory.load(other + at, 1)
        if a != b:
            return -1 if a < b else 1
        if not a:
            break
    return 0


def _number(run, text, size, flags, result, is_signed: bool) -> int:
    if flags & ~0x1F or flags & 0x1F not in (0, 8, 10, 16):
        return -errno.EINVAL
    data = run.memory.read(text, size).split(b"\0")[0]
    match = re.match(rb"\s*(-?)(0[xX][0-9a-fA-F]+|[0-9a-fA-F]+)", data)
    if match is None or (match[1] and not is_signed):
        return -errno.EINVAL
    digits, base = match[2].lower(), flags & 0x1F
    if not base:
        base = 16 if digits.startswith(b"0x") else 8 if digits.startswith(b"0") else 10
    allowed = b"0123456789abcdef"[:base]
    if base == 16 and digits.startswith(b"0x"):
        digits = digits[2:]
    found = re.match(b"[" + allowed + b"]+", digits)
    if found is None:
        return -errno.EINVAL
    kept = found[0]
    value = int(kept, base) * (-1 if match[1] else 1)
    if not (-(1 << 63) <= value < 1 << 63 if is_signed else value < 1 << 64):
        return -errno.ERANGE
    run.memory.store(result, 8, value)
    return match.start(2) + len(match[2]) - len(digits) + len(kept)


@helper()
def strtol(run, text, size, flags, result):
    return _number(run, text, size, flags, result, True)


@helper()
def strtoul(run, text, size, flags, result):
    return _number(run, text, size, flags, result, False)


@helper("spin_lock", "spin_unlock")
def spin_lock(run, lock):
    """One program runs at a time: the lock is always free."""
    return 0


@helper()
def kptr_xchg(run, target, pointer):
    """What was in the map value; one program runs at a time, so this is atomic."""
    before = run.memory.load(target, 8)
    run.memory.store(target, 8, pointer)
    return before


def tail_target(run, ctx, map_, index):
    """The program that bpf_tail_call goes to, None if it fails: empty slot, bad index, 33 calls used up."""
    found = run.map(map_)
    if not isinstance(found, References) or found.spec.type != "prog_array":
        raise Fault(f"bpf_tail_call needs a prog_array, {found.spec.name} is a {found.spec.type} map")
    if ctx != run.ctx:
        raise Fault("bpf_tail_call needs the program's own context in r1")
    target = found.at(index & 0xFFFF_FFFF)
    if target is None or run.tail_calls >= bits.MAX_TAIL_CALLS:
        return None
    run.tail_calls += 1
    return target
