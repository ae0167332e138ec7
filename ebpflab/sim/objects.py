"""Objects of the simulated kernel in memory: ``struct task_struct`` and what it points to.

A compiled program carries the types that it was compiled against, and its loads have their offsets, so an image is
laid out by the program's own BTF. A program without types finds the small layout of ``OWN``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from .. import layout as lay
from ..abi import STRUCTS
from ..errors import Fault, SpecError
from ..isa import bits
from ..obj import btf as b
from ..obj.btf import Btf
from .memory import Memory
from .sockets import Socket
from .tasks import MEMBERS, Refers, Task

#: struct -> its members for programs without BTF; a pointer is its struct's name and a star
OWN = {
    "task_struct": {"pid": "u32", "tgid": "u32", "comm": "char[16]", "real_parent": "task_struct*",
                    "group_leader": "task_struct*", "cred": "cred*", "nsproxy": "nsproxy*", "cgroups": "css_set*",
                    "start_time": "u64"},
    "cred": {"uid.val": "u32", "gid.val": "u32", "euid.val": "u32", "egid.val": "u32"},
    "nsproxy": {"uts_ns": "uts_namespace*", "mnt_ns": "mnt_namespace*", "pid_ns_for_children": "pid_namespace*",
                "net_ns": "net*"},
    **{name: {"ns.inum": "u32"} for name in ("mnt_namespace", "pid_namespace", "net")},
    "uts_namespace": {"ns.inum": "u32", "name.nodename": "char[65]"},
    "css_set": {"dfl_cgrp": "cgroup*"},
    "cgroup": {"kn": "kernfs_node*", "level": "u32"},
    "kernfs_node": {"id": "u64"},
}


class Place(NamedTuple):
    """Where a member is, in bytes."""

    offset: int
    size: int


class Shapes:
    """Sizes of structs and places of their members, by the names of ``OWN``."""

    def __init__(self) -> None:
        self._structs = {name: lay.compose("struct", [(member, lay.parse("u64" if "*" in type_ else type_))
                                                      for member, type_ in members.items()])
                         for name, members in OWN.items()}

    def size(self, struct: str) -> int:
        """Bytes of a struct, 0 if it is not known."""
        return self._structs[struct].size if struct in self._structs else 0

    def place(self, struct: str, path: str) -> Place | None:
        """Where a member (``uid.val``: of a member) is, None if there is none."""
        return next((Place(field.offset, field.type.size) for field in self._structs[struct].fields
                     if field.name == path), None)


class BtfShapes(Shapes):
    """The same out of a program's BTF."""

    def __init__(self, types: Btf):
        self.types = types

    def size(self, struct):
        found = self.types.find(struct, b.STRUCT)
        return found.size if found else 0

    def place(self, struct, path):
        bits, type_ = 0, self.types.find(struct, b.STRUCT)
        for name in path.split("."):
            found = self._member(type_, name)
            if found is None:
                return None
            bits, type_ = bits + found[0], self.types.strip(found[1])
        return Place(bits // 8, self.types.size(type_.id))

    def _member(self, type_, name: str) -> tuple[int, int] | None:
        """Offset in bits and type id; members without a name lend theirs."""
        for member in type_.members if type_.kind in (b.STRUCT, b.UNION) else ():
            if member.name == name:
                return member.offset, member.type
            if not member.name and (inner := self._member(self.types.strip(member.type), name)) is not None:
                return member.offset + inner[0], inner[1]
        return None


_OWN = Shapes()


@lru_cache(maxsize=64)
def _shapes(btf: bytes) -> Shapes:
    return BtfShapes(Btf(btf)) if btf else _OWN


def shapes_of(btf: bytes, struct: str) -> Shapes:
    """How a program with these types lays a struct of the kernel, and what it points to, out."""
    found = _shapes(btf)
    return found if found.size(struct) else _OWN


class Object(NamedTuple):
    """What is at an address: the struct's name, and the number that the object goes by (pid, cgroup id, …)."""

    struct: str
    key: int

    def __str__(self) -> str:
        return f"struct {self.struct} {self.key}"


#: struct of the kernel -> where its struct sock is
SOCKS = {"sock": "", "inet_sock": "sk.", "tcp_sock": "inet_conn.icsk_inet.sk.",
         "tcp6_sock": "tcp.inet_conn.icsk_inet.sk.", "udp_sock": "inet.sk.", "udp6_sock": "udp.inet.sk."}


def _sock(socket: Socket) -> dict[str, int | bytes]:
    """Members of struct sock: its own port in host order, the other end's in network order."""
    known = socket.members()
    common = {"skc_family": socket.family, "skc_state": known["state"], "skc_bound_dev_if": socket.device,
              "skc_num": known["src_port"], "skc_dport": known["dst_port"], "skc_cookie.counter": socket.number,
              "skc_rcv_saddr": known.get("src_ip4", 0), "skc_daddr": known.get("dst_ip4", 0),
              "skc_v6_rcv_saddr": known.get("src_ip6", 0), "skc_v6_daddr": known.get("dst_ip6", 0)}
    return {**{f"__sk_common.{name}": value for name, value in common.items()}, "sk_protocol": known["protocol"],
            "sk_type": known["type"], "sk_mark": socket.mark, "sk_priority": socket.priority, "sk_uid.val": socket.uid}


class Objects:
    """The images that programs were given, each at its address for good."""

    def __init__(self, memory: Memory):
        self._memory = memory
        self._images: dict[tuple[Shapes, Object], int] = {}
        self._made: dict[Shapes, tuple] = {}
        self._keys = itertools.count(1 << 32)
        self.at: dict[int, Object] = {}

    def task(self, task: Task, btf: bytes) -> int:
        """Address of the task's struct, for a program with these types; what changed is written anew."""
        shapes = shapes_of(btf, "task_struct")
        if self._made.get(shapes) != task.snapshot():
            self._write(shapes, "task_struct", task, task.pid, set())
            self._made[shapes] = task.snapshot()
        return self._images[shapes, Object("task_struct", task.pid)]

    def socket(self, socket: Socket, struct: str, btf: bytes) -> int:
        """Address of a socket as a struct of the kernel (``sock``, ``tcp_sock``, …), 0 if the program has no types."""
        if struct not in SOCKS:
            raise SpecError(f"a socket is no struct {struct}", hint=", ".join(SOCKS))
        image = {f"{SOCKS[struct]}{path}": value for path, value in _sock(socket).items()}
        if struct == "tcp_sock":
            image |= socket.tcp
        return self._make(struct, image, btf, socket.number)

    def make(self, struct: str, members: Mapping[str, int | bytes], btf: bytes) -> int:
        """Address of a new struct of the kernel with these members (``a.b`` is a member of a member), all others zero,
        for a program with these types; 0 if they do not have it. Raises SpecError for a member that it has not."""
        shapes = shapes_of(btf, struct)
        for path in members:
            if shapes.size(struct) and shapes.place(struct, path) is None:
                raise SpecError(f"struct {struct} has no member {path!r}", hint="a member of a member is written a.b;"
                                " compilers leave out what the program does not use")
        return self._make(struct, members, btf, next(self._keys))

    def _make(self, struct: str, members: Mapping[str, int | bytes], btf: bytes, key: int) -> int:
        shapes = shapes_of(btf, struct)
        if not shapes.size(struct):
            return 0
        address = self._place(shapes, Object(struct, key), shapes.size(struct))
        self._fill(shapes, struct, address, members)
        return address

    def _fill(self, shapes: Shapes, struct: str, address: int, members: Mapping[str, int | bytes]) -> None:
        for path, value in members.items():
            place = shapes.place(struct, path)
            if place is not None:
                raw = value if isinstance(value, bytes) else (value & bits.U64).to_bytes(8, "little")
                self._memory.write(address + place.offset, raw[:place.size].ljust(place.size, b"\0"))

    def registers(self, task: Task) -> int:
        """Address of the struct pt_regs that the task entered the kernel with."""
        shape, name = STRUCTS["pt_regs"], Object("pt_regs", task.pid)
        address = self._place(_OWN, name, shape.size)
        if task.user_stack:
            self._memory.store(address + shape.member("ip").offset, 8, task.user_stack[0])
        return address

    def known(self, address: int, struct: str) -> Object:
        """The object that a pointer names. Raises Fault if it is no such struct."""
        found = self.at.get(address)
        if found is None or found.struct != struct:
            raise Fault(f"{address:#x} ({self._memory.describe(address)}) is not a struct {struct} of this machine")
        return found

    def _place(self, shapes: Shapes, name: Object, size: int) -> int:
        """Where an object's image is; a new one is zeros."""
        if (shapes, name) not in self._images:
            address = self._memory.map(bytearray(size), name)
            self._images[shapes, name], self.at[address] = address, name
        return self._images[shapes, name]

    def _write(self, shapes: Shapes, struct: str, task: Task, key: int, seen: set[Object]) -> int:
        """Make or refresh an image and all that it points to; its address, 0 for a struct without known size."""
        size, name = shapes.size(struct), Object(struct, key)
        if not size:
            return 0
        address = self._place(shapes, name, size)
        if name not in seen:
            seen.add(name)
            self._fill(shapes, struct, address, {
                path: self._write(shapes, value.struct, value.task, value.key, seen)
                if isinstance(value, Refers) else value for path, value in MEMBERS[struct](task).items()
                if shapes.place(struct, path) is not None})
        return address
