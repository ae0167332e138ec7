"""``bpf_spin_lock`` and ``bpf_spin_unlock``: one lock at a time, and nearly no calls while it is held.

Two look-ups give two values with different ids; whether two pointers mean the same lock is told by map and id.  A value
that is addressed directly has the id 0: its map holds one lock only.
"""

from __future__ import annotations

from ..abi import HELPER_IDS
from ..isa import Insn
from .env import EINVAL, Env
from .special import SPIN_LOCK, offset_of
from .state import Ref, State
from .value import MAP_VALUE

_WHILE_HELD = HELPER_IDS["spin_unlock"]


def held(state: State) -> Ref | None:
    """The lock that is held."""
    return next((ref for ref in state.refs if ref.lock is not None), None)


def spin(env: Env, regno: int, take: bool) -> None:
    """Take or release the lock at which a register points (``process_spin_lock``)."""
    reg = env.regs[regno]
    if reg.num.mask:
        raise env.reject(f"R{regno} doesn't have constant offset. bpf_spin_lock has to be at the constant offset",
                         EINVAL)
    assert reg.type == MAP_VALUE
    bpf_map = reg.data.base     # two inner maps of one outer map are one here, but their values are not
    if not bpf_map.typed:
        raise env.reject(f"map '{bpf_map.name}' has to have BTF in order to use bpf_spin_lock", EINVAL)
    offset = offset_of(bpf_map.special, SPIN_LOCK)
    if offset is None:
        raise env.reject(f"map '{bpf_map.name}' has no valid bpf_spin_lock", EINVAL)
    at = reg.num.value + reg.off
    if at != offset:
        raise env.reject(f"off {at} doesn't point to 'struct bpf_spin_lock' that is at {offset}", EINVAL)
    state = env.state
    now = held(state)
    if take:
        assert now is None, "no call but the one that unlocks is allowed"
        state.refs = (*state.refs, Ref(reg.id, env.pc, bpf_map))
        return
    if now is None:
        raise env.reject("bpf_spin_unlock without taking a lock", EINVAL)
    if now.lock is not bpf_map or now.id != reg.id:
        raise env.reject("bpf_spin_unlock of different lock", EINVAL)
    state.refs = tuple(ref for ref in state.refs if ref is not now)


def may_call(env: Env, insn: Insn) -> None:
    """While a lock is held only functions of the program, and the helper that releases it, may be called."""
    if insn.src == 0 and insn.imm != _WHILE_HELD and held(env.state):
        raise env.reject("function calls are not allowed while holding a lock", EINVAL)


def may_call_global(env: Env) -> None:
    if held(env.state):
        env.say("global function calls are not allowed while holding a lock,")
        raise env.reject("use static function instead", EINVAL)
