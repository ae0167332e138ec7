"""The loops around a program that are native too: the same packet again and again, and one packet after the other."""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache

from . import state as s
from .llvm import HOT, Module

# what a program may read everywhere: x86 has its cycle counter, ARM only the steady one
COUNTER = "llvm.readsteadycounter" if platform.machine().lower() in ("aarch64", "arm64") else "llvm.readcyclecounter"
TEXT = f"""
declare i64 @{COUNTER}()

define i64 @counter() {{
  %now = call i64 @{COUNTER}()
  ret i64 %now
}}

define internal i1 @once(ptr %S, ptr %f, i64 %ctx, i64 %budget, ptr %r0) alwaysinline {{
  store i64 %budget, ptr %S
  %rp = getelementptr i64, ptr %S, i64 {s.ROUND}
  %round = load i64, ptr %rp
  %next = add i64 %round, 1
  store i64 %next, ptr %rp
  %result = call i64 %f(ptr %S, i64 %ctx, i64 0, i64 0, i64 0, i64 0, i64 0)
  store i64 %result, ptr %r0
  %fp = getelementptr i64, ptr %S, i64 {s.FAULT}
  %fault = load i64, ptr %fp
  %fine = icmp eq i64 %fault, 0
  %left = load i64, ptr %S
  %enough = icmp sge i64 %left, 0
  %ok = and i1 %fine, %enough
  ret i1 %ok
}}

; how many rounds were done without a fault
define i64 @repeat(ptr %S, ptr %f, i64 %ctx, i64 %budget, i64 %count, ptr %r0) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %more, %good ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %run, label %done
run:
  %ok = call i1 @once(ptr %S, ptr %f, i64 %ctx, i64 %budget, ptr %r0)
  br i1 %ok, label %good, label %done
good:
  %more = add i64 %i, 1
  br label %loop
done:
  ret i64 %i
}}

; XDP packets in place: %starts and %lengths of each in %base, which is %page in the page table, data_end's place in the
; context at %end. Gives the number of the first packet that was not run to its end.
define i64 @packets(ptr %S, ptr %f, i64 %ctx, i64 %budget, i64 %first, i64 %count, ptr %base, ptr %starts, ptr %lengths,
                    i64 %page, ptr %end, ptr %retvals, ptr %cycles, ptr %insns) {{
entry:
  %r0 = alloca i64
  %pkp = getelementptr i64, ptr %S, i64 {s.PACKET}
  %plp = getelementptr i64, ptr %S, i64 {s.PACKET_LENGTH}
  %pap = getelementptr i64, ptr %S, i64 {s.PACKET_ADDRESS}
  %pa = load i64, ptr %pap
  %tp = getelementptr i64, ptr %S, i64 {s.TABLE}
  %timed = icmp ne ptr %cycles, null
  br label %loop
loop:
  %i = phi i64 [ %first, %entry ], [ %more, %next ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %run, label %done
run:
  %sp = getelementptr i64, ptr %starts, i64 %i
  %start = load i64, ptr %sp
  %lp = getelementptr i32, ptr %lengths, i64 %i
  %length32 = load i32, ptr %lp
  %length = zext i32 %length32 to i64
  %data = getelementptr i8, ptr %base, i64 %start
  store ptr %data, ptr %pkp
  store i64 %length, ptr %plp
  %table = load ptr, ptr %tp
  %slot = getelementptr {{ptr, i64}}, ptr %table, i64 %page
  %limits = getelementptr i64, ptr %slot, i64 1
  store ptr %data, ptr %slot
  %high = shl i64 %length, 32
  %both = or i64 %high, %length
  store i64 %both, ptr %limits
  %stop = add i64 %pa, %length
  %stop32 = trunc i64 %stop to i32
  store i32 %stop32, ptr %end
  br i1 %timed, label %before, label %plain
before:
  %began = call i64 @{COUNTER}()
  br label %plain
plain:
  %from = phi i64 [ 0, %run ], [ %began, %before ]
  %ok = call i1 @once(ptr %S, ptr %f, i64 %ctx, i64 %budget, ptr %r0)
  br i1 %ok, label %good, label %done
good:
  %result = load i64, ptr %r0
  %result32 = trunc i64 %result to i32
  %rv = getelementptr i32, ptr %retvals, i64 %i
  store i32 %result32, ptr %rv
  %ip = getelementptr i64, ptr %insns, i64 %i
  %left = load i64, ptr %S
  %used = sub i64 %budget, %left
  store i64 %used, ptr %ip
  br i1 %timed, label %after, label %next
after:
  %ended = call i64 @{COUNTER}()
  %taken = sub i64 %ended, %from
  %cp = getelementptr i64, ptr %cycles, i64 %i
  store i64 %taken, ptr %cp
  br label %next
next:
  %more = add i64 %i, 1
  br label %loop
done:
  ret i64 %i
}}
"""


@lru_cache(maxsize=1)
def driver() -> Driver:
    """The loops, compiled once a process."""
    return Driver()


class Driver:
    """``repeat``, ``packets`` and ``counter`` (ticks of the processor's clock) as Python callables."""

    def __init__(self) -> None:
        self._module = Module(TEXT, HOT)
        number, place = ctypes.c_uint64, ctypes.c_void_p
        self.repeat = ctypes.CFUNCTYPE(number, place, number, number, number, number, place)(
            self._module.address("repeat"))
        self.counter = ctypes.CFUNCTYPE(number)(self._module.address("counter"))
        self.packets = ctypes.CFUNCTYPE(number, place, *[number] * 5, *[place] * 3, number, *[place] * 4)(
            self._module.address("packets"))
