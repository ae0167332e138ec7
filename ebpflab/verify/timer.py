"""``bpf_timer``: a field of a map's value, and the map that it belongs to (``process_timer_func``)."""

from __future__ import annotations

from .env import EINVAL, Env, Map
from .special import TIMER, offset_of
from .value import MAP_VALUE


def field(env: Env, regno: int) -> Map:
    """A register points at the timer of a value; the value's map."""
    reg = env.regs[regno]
    assert reg.type == MAP_VALUE
    bpf_map: Map = reg.data
    if reg.num.mask:
        raise env.reject(f"R{regno} doesn't have constant offset. bpf_timer has to be at the constant offset", EINVAL)
    if not bpf_map.typed:
        raise env.reject(f"map '{bpf_map.name}' has to have BTF in order to use bpf_timer", EINVAL)
    offset = offset_of(bpf_map.special, TIMER)
    if offset is None:
        raise env.reject(f"map '{bpf_map.name}' has no valid bpf_timer", EINVAL)
    at = reg.num.value + reg.off
    if at != offset:
        raise env.reject(f"off {at} doesn't point to 'struct bpf_timer' that is at {offset}", EINVAL)
    return bpf_map


def same_map(env: Env, timer: Map, given: Map) -> None:
    """The map that a timer is made with is the one it lies in. Two look-ups of inner maps give two maps."""
    if timer is not given:
        raise env.reject(f"timer pointer in R1 map_uid={timer.uid} doesn't match map pointer in R2 map_uid={given.uid}",
                         EINVAL)
