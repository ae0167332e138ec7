"""What helpers take and give, until ``ebpflab.abi`` has the whole table (``struct bpf_func_proto``).

One line a helper: name, what it returns, its arguments.  The words are those of ``enum bpf_arg_type``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ..abi import HELPER_IDS


@dataclass(frozen=True, slots=True)
class Prototype:
    """``gives`` and ``takes`` in words; ``types`` are the program types that may call it, () for all."""

    name: str
    gives: str
    takes: tuple[str, ...]
    gpl: bool = False
    packet: bool = False        # arguments may point into the packet (pkt_access)
    types: tuple[str, ...] = ()


_ROWS = """
map_lookup_elem          map_value_or_null  const_map_ptr map_key                          :packet
map_update_elem          integer            const_map_ptr map_key map_value anything       :packet
map_delete_elem          integer            const_map_ptr map_key                          :packet
ktime_get_ns             integer
get_prandom_u32          integer
get_smp_processor_id     integer
ktime_get_boot_ns        integer
"""


def _row(line: str) -> Prototype:
    words = line.split()
    flags = {word[1:] for word in words if word[0] == ":"}
    name, gives, *takes = [word for word in words if word[0] != ":"]
    return Prototype(name, gives, tuple(takes), "gpl" in flags, "packet" in flags)


#: helper number -> prototype
PROTOTYPES = MappingProxyType({
    HELPER_IDS[row.name]: row for row in map(_row, _ROWS.strip().splitlines())
})


def argument_count(number: int) -> int:
    """How many registers the helper reads; five if it is not known."""
    row = PROTOTYPES.get(number)
    return 5 if row is None else len(row.takes)
