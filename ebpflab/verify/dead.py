"""Callbacks that are named but never called: ``bpf_loop(0, callback, …)``.

When a program is accepted the kernel takes out what was never walked (``opt_remove_dead_code``). The address of a
function that is gone then points to whatever came into its place, and Linux 6.18 refuses the program if that is not
the start of another function (``jit_subprogs``, "No program to jit").
"""

from __future__ import annotations

from .cfg import is_function
from .env import Env


def check(env: Env, walked: set[int]) -> None:
    """``walked`` are the instructions that some path reached."""
    starts = env.shape.starts
    if sum(start in walked for start in starts) < 2:
        return
    for pc in walked:
        if is_function(env.insns[pc]):
            start = pc + 1 + env.insns[pc].imm
            if start not in walked and not (_reached(env, walked, start - 1)
                                            and any(later > start and later in walked for later in starts)):
                raise env.unsupported("a callback that is never called")


def _reached(env: Env, walked: set[int], pc: int) -> bool:
    """Is the last instruction of a function, the second slot of a wide load perhaps, among them?"""
    return pc in walked or (env.insns[pc].opcode == 0 and pc - 1 in walked)
