"""What a program took and must give back: sockets, reservations in ring buffers (``struct bpf_reference_state``)."""

from __future__ import annotations

from .env import EINVAL, Env
from .lock import held
from .state import Ref, each_reg
from .value import ANY


def acquire(env: Env) -> int:
    """Take a reference that the program must release; its id (``acquire_reference``)."""
    id = env.new_id()
    env.state.refs = (*env.state.refs, Ref(id, env.pc))
    return id


def release(env: Env, id: int) -> bool:
    """Give a reference back: whatever came with it is unknown now (``release_reference``). False if it is not held."""
    refs = env.state.refs
    kept = tuple(ref for ref in refs if ref.lock is not None or ref.id != id)
    if len(kept) == len(refs):
        return False
    env.state.refs = kept
    each_reg(env.state, lambda reg: ANY if reg.ref == id else reg)
    return True


def none_left(env: Env, where: str, locks: bool = True) -> None:
    """Nothing may be left when the program ends here (``check_resource_leak``).

    ``locks``: nor may a lock be held, in whichever frame.
    """
    if locks and held(env.state):
        raise env.reject(f"{where} cannot be used inside bpf_spin_lock-ed region", EINVAL)
    left = [ref for ref in env.state.refs if ref.lock is None] if len(env.state.frames) == 1 else []
    for ref in left:
        env.say(f"Unreleased reference id={ref.id} alloc_insn={ref.pc}")
    if left:
        raise env.reject(f"{where} would lead to reference leak", EINVAL)
