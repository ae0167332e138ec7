"""Maps of the real kernel: every type of the mission, entries, whole maps, and maps that change meanwhile."""

import errno
import os
import struct
import threading
import time

import pytest

from ebpflab.abi.map_types import BY_NAME, BY_NUMBER
from ebpflab.errors import KernelError
from ebpflab.isa import Insn, bits, encode
from ebpflab.kernel import maps as kernel_maps

from .programs import EXIT, XDP, add_to, call, copy, counting, map_fd, map_value, mov, returns

pytestmark = pytest.mark.kernel

#: every map type of the mission -> (key, value, entries, flags)
MISSION_MAPS = {
    "hash": (4, 8, 16, 0), "array": (4, 8, 16, 0), "prog_array": (4, 4, 16, 0), "perf_event_array": (4, 4, 16, 0),
    "percpu_hash": (4, 8, 16, 0), "percpu_array": (4, 8, 16, 0), "stack_trace": (4, 8 * 32, 16, 0),
    "cgroup_array": (4, 4, 16, 0), "lru_hash": (4, 8, 16, 0), "lru_percpu_hash": (4, 8, 16, 0),
    "lpm_trie": (8, 8, 16, 1), "array_of_maps": (4, 4, 16, 0), "hash_of_maps": (4, 4, 16, 0),
    "devmap": (4, 4, 16, 0), "sockmap": (4, 4, 16, 0), "ringbuf": (0, 0, 4096, 0), "cpumap": (4, 4, 2, 0),
    "xskmap": (4, 4, 16, 0),
}


def make(session, type, key=4, value=8, entries=16, flags=0, **rest):
    return session.map_create(BY_NAME[type].number, key, value, entries, flags, **rest)["map"]


def u32(*values):
    return struct.pack(f"<{len(values)}I", *values)


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def test_per_cpu_types_are_those_of_the_table():
    assert {row.number for row in BY_NUMBER.values() if row.per_cpu} == kernel_maps.PER_CPU


@pytest.mark.parametrize("type", MISSION_MAPS)
def test_every_type_of_the_mission(session, type):
    key, value, entries, flags = MISSION_MAPS[type]
    inner = make(session, "array", 4, 4, 1) if type.endswith("_of_maps") else 0
    made = session.map_create(BY_NAME[type].number, key, value, entries, flags, name="mission", inner=inner)
    info = session.map_info(made["map"])
    assert (info["id"], info["type"], info["name"]) == (made["id"], BY_NAME[type].number, "mission")
    assert (info["key_size"], info["max_entries"]) == (key, entries)
    assert made["id"] in session.ids("map")


@pytest.mark.parametrize("type", ["hash", "array", "lru_hash", "percpu_hash", "percpu_array", "lru_percpu_hash"])
def test_entries(session, local_facts, type):
    handle = make(session, type)
    value = b"".join(u64(7 + cpu) for cpu in range(local_facts["cpus"])) if BY_NAME[type].per_cpu else u64(7)
    session.map_update(handle, u32(3), value)
    assert session.map_lookup(handle, u32(3)) == value
    read = session.map_read(handle)
    assert read["how"] == "batch"
    assert read["cpus"] == (local_facts["cpus"] if BY_NAME[type].per_cpu else 1)
    rows = {read["keys"][i * 4:i * 4 + 4]: read["values"][i * len(value):(i + 1) * len(value)]
            for i in range(read["count"])}
    assert rows[u32(3)] == value
    assert (read["lost"], read["duplicates"], read["unsettled"]) == (0, 0, [])
    if type.endswith("array"):
        assert read["count"] == 16
        with pytest.raises(KernelError, match="cannot be deleted"):
            session.map_delete(handle, u32(3))
    else:
        assert read["count"] == 1
        assert session.map_delete(handle, u32(3)) is True
        assert session.map_delete(handle, u32(3)) is False
        assert session.map_lookup(handle, u32(3)) is None


def test_batch_equals_walk_and_limit(session):
    handle = make(session, "hash", entries=5000)
    assert session.map_write(handle, u32(*range(3000)), u64(*range(3000))) == 3000
    live = session._things[handle].thing
    batch, walk = live.read(), live._walk(0)

    def rows(read):
        return sorted(struct.iter_unpack("<4s8s", b"".join(
            read["keys"][i * 4:i * 4 + 4] + read["values"][i * 8:i * 8 + 8] for i in range(read["count"]))))

    assert batch["how"] == "batch" and walk["how"] == "walk"
    assert rows(batch) == rows(walk) == sorted((u32(i), u64(i)) for i in range(3000))
    assert session.map_read(handle, limit=10)["count"] == 10
    assert len(session.map_read(handle, limit=10)["keys"]) == 40


def test_batch_in_small_pieces_grows_until_a_bucket_fits(session, monkeypatch):
    """A buffer for one row cannot take a hash bucket with two entries: the kernel says ENOSPC, the buffer grows."""
    handle = make(session, "hash", entries=1000)
    session.map_write(handle, u32(*range(1000)), u64(*range(1000)))
    monkeypatch.setattr(kernel_maps, "_CHUNK", 1)
    read = session.map_read(handle)
    assert read["count"] == 1000
    assert {read["keys"][i:i + 4] for i in range(0, 4000, 4)} == {u32(i) for i in range(1000)}


def test_maps_without_batch_are_walked(session):
    handle = make(session, "devmap", 4, 4)
    assert session.map_read(handle)["how"] == "walk"
    assert session.map_read(handle)["count"] == 0
    assert session.map_read(handle)["lost"] == 0   # an empty slot is not a lost entry


def test_lpm_trie_and_queue(session):
    trie = make(session, "lpm_trie", 8, 8, 16, 1)
    session.map_update(trie, u32(8) + bytes([10, 0, 0, 0]), u64(1))
    session.map_update(trie, u32(24) + bytes([10, 1, 2, 0]), u64(2))
    assert session.map_lookup(trie, u32(32) + bytes([10, 1, 2, 3])) == u64(2)
    assert session.map_lookup(trie, u32(32) + bytes([10, 9, 9, 9])) == u64(1)
    assert session.map_read(trie)["count"] == 2
    queue = make(session, "queue", 0, 8)
    session.map_update(queue, b"", u64(5))
    session.map_update(queue, b"", u64(6))
    assert session.map_lookup(queue, b"") == u64(5)
    with pytest.raises(KernelError, match="queue map has no keys"):
        session.map_read(queue)


def test_map_of_maps_and_prog_array_take_handles(session):
    inner = make(session, "array", 4, 8, 1)
    session.map_update(inner, u32(0), u64(42))
    outer = session.map_create(BY_NAME["array_of_maps"].number, 4, 4, 4, inner=inner)["map"]
    session.map_update(outer, u32(1), u32(inner))
    assert session.map_lookup(outer, u32(1)) == u32(session.map_info(inner)["id"])

    table = make(session, "prog_array", 4, 4, 4)
    one = session.prog_load(XDP, returns(1))["prog"]
    session.map_update(table, u32(2), u32(one))
    jump = encode((*map_fd(2), mov(3, 2), Insn(bits.JMP | bits.CALL, imm=12), mov(0, 2), EXIT))
    tail = session.prog_load(XDP, jump, [table])["prog"]
    assert session.prog_run(tail, bytes(64))["retval"] == 1
    assert session.map_delete(table, u32(2))
    assert session.prog_run(tail, bytes(64))["retval"] == 2
    with pytest.raises(KernelError, match="no open prog"):
        session.map_update(table, u32(0), u32(outer))


@pytest.mark.parametrize(("do", "number", "words"), [
    (lambda s: s.map_lookup(make(s, "hash"), b"abc"), errno.EINVAL, "key of this map has 4 bytes, not 3"),
    (lambda s: s.map_update(make(s, "hash"), bytes(4), bytes(4)), errno.EINVAL, "value of this map has 8 bytes"),
    (lambda s: s.map_update(make(s, "percpu_array"), bytes(4), bytes(8)), errno.EINVAL, "CPUs, each padded to 8"),
    (lambda s: s.map_update(make(s, "array"), u32(99), bytes(8)), errno.E2BIG, "full, or the index is beyond"),
    (lambda s: s.map_update(make(s, "array"), u32(1), bytes(8), 1), errno.EEXIST, "BPF_NOEXIST"),
    (lambda s: s.map_update(make(s, "hash"), u32(1), bytes(8), 2), errno.ENOENT, "BPF_EXIST"),
    (lambda s: s.map_write(make(s, "hash"), u32(1, 2), u64(1)), errno.EINVAL, "are not rows of 4 and 8"),
    (lambda s: s.map_write(make(s, "hash", entries=2), u32(1, 2, 3), u64(1, 2, 3)), errno.E2BIG, "row 2 of 3"),
    (lambda s: make(s, "lpm_trie", 8, 8), errno.EINVAL, "lpm_trie needs flag BPF_F_NO_PREALLOC"),
    (lambda s: make(s, "ringbuf", 0, 0, 1000), errno.EINVAL, "power of two"),
    (lambda s: s.map_create(999, 4, 4, 1), errno.EINVAL, "type unknown"),
    (lambda s: make(s, "array", 4, 1 << 31, 4), errno.E2BIG, "larger than the kernel allows"),
    (lambda s: s.map_lookup(make(s, "perf_event_array", 4, 4), bytes(4)), 524, "cannot look up"),
    (lambda s: s.map_lookup(77, bytes(4)), errno.EBADF, "handle 77 is no open map"),
])
def test_bad_requests_are_explained(session, do, number, words):
    with pytest.raises(KernelError) as caught:
        do(session)
    assert caught.value.errno == number
    assert words in str(caught.value)


def _changing(step):
    """Run ``step(round)`` over and over in a thread; stop it by calling what this returns."""
    stop = threading.Event()

    def body():
        number = 0
        while not stop.is_set():
            step(number)
            number += 1

    thread = threading.Thread(target=body)
    thread.start()

    def end():
        stop.set()
        thread.join()
    return end


def test_walk_counts_what_a_changing_map_does(session):
    """Deleting the key that the walk stands on makes it start over: duplicates and losses are counted, keys unique."""
    handle = make(session, "hash", entries=400)
    keys = [u32(i) for i in range(300)]
    for key in keys:
        session.map_update(handle, key, u64(1))
    reader = kernel_maps.Map(os.dup(session._things[handle].thing.fd), 1, 4, 8, 400, "reader")

    def replace(number):
        session.map_delete(handle, keys[number * 7 % 300])
        session.map_update(handle, keys[number * 7 % 300], u64(number))

    end = _changing(replace)
    try:
        seen = 0
        for _ in range(400):
            try:
                read = reader._walk(0)
            except KernelError as error:
                assert error.errno == errno.EAGAIN   # overrun is said, too
                seen += 1
                continue
            rows = [read["keys"][i:i + 4] for i in range(0, len(read["keys"]), 4)]
            assert len(rows) == len(set(rows)) == read["count"] <= 300
            seen += read["duplicates"] + read["lost"]
            if seen:
                break
        assert seen, "400 walks over a map that changes all the time, and nothing noticed"
        batch = reader.read()
        assert batch["count"] == len({batch["keys"][i:i + 4] for i in range(0, len(batch["keys"]), 4)})
    finally:
        end()
        reader.close()


def eight_words(session, handle, lock: bool):
    """A program that adds one to words 1 to 7 of a 64-byte value, one after the other, 1,000 times; word 0 may lock."""
    words = [add_to(7, 8, 8 * word) for word in range(1, 8)]
    body = [Insn(bits.ALU64 | bits.ADD | bits.K, 6, imm=1), *words]
    if lock:
        body = [body[0], copy(1, 7), call("spin_lock"), *words, copy(1, 7), call("spin_unlock")]
    code = (mov(6, 0), mov(8, 1), *map_value(7), *body,
            Insn(bits.JMP | bits.JLT | bits.K, 6, off=-(len(body) + 1), imm=1000), mov(0, 2), EXIT)
    made = session.prog_load(XDP, encode(code), [handle])
    assert made["prog"], made["log"][-500:]
    return made["prog"]


def test_rows_that_move_are_found(session):
    handle = make(session, "array", 4, 64, 1)
    prog = eight_words(session, handle, lock=False)
    assert session.map_read(handle)["unsettled"] is None      # 64 bytes, and nobody looked
    end = _changing(lambda number: session.prog_run(prog, bytes(64), repeat=2000))
    try:
        moved, until = 0, time.monotonic() + 20
        while moved < 3 and time.monotonic() < until:
            moved += session.map_read(handle, settle=3)["unsettled"] == [0]
        assert moved == 3, "the program wrote all the time and no reading noticed"
    finally:
        end()
    read = session.map_read(handle, settle=3)
    assert read["unsettled"] == [] and len(set(struct.unpack("<8Q", read["values"])[1:])) == 1


def locked_btf() -> bytes:
    """BTF of struct value { struct bpf_spin_lock lock; u32 pad; u64 words[7]; } as type 5, u32 as type 1."""
    names = b"\0u32\0u64\0bpf_spin_lock\0val\0value\0lock\0words\0"

    def at(name):
        return names.index(b"\0" + name + b"\0") + 1

    types = b"".join((
        struct.pack("<4I", at(b"u32"), 1 << 24, 4, 32), struct.pack("<4I", at(b"u64"), 1 << 24, 8, 64),
        struct.pack("<3I", at(b"bpf_spin_lock"), 4 << 24 | 1, 4) + struct.pack("<3I", at(b"val"), 1, 0),
        struct.pack("<3I", 0, 3 << 24, 0) + struct.pack("<3I", 2, 1, 7),
        struct.pack("<3I", at(b"value"), 4 << 24 | 2, 64) + struct.pack("<3I", at(b"lock"), 3, 0)
        + struct.pack("<3I", at(b"words"), 4, 64)))
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names)) + types + names


def test_a_locked_value_is_never_torn(session):
    """With BTF the kernel finds the lock in the value; reading under it gives one moment, whoever is interrupted."""
    types = session.btf_load(locked_btf())["btf"]
    handle = make(session, "array", 4, 64, 1, btf=types, btf_key_type_id=1, btf_value_type_id=5)
    prog = eight_words(session, handle, lock=True)
    end = _changing(lambda number: session.prog_run(prog, bytes(64), repeat=2000))
    try:
        seen, until = set(), time.monotonic() + 20
        while len(seen) < 50 and time.monotonic() < until:
            read = session.map_read(handle, flags=4)
            words = struct.unpack("<8Q", read["values"])[1:]
            assert len(set(words)) == 1 and read["unsettled"] == []
            seen.add(words[0])
        assert len(seen) == 50, "the program did not write while we read"
    finally:
        end()


def test_reading_while_another_thread_closes(session):
    """A handle that is closed in the middle gives its error, never another object's contents."""
    for _ in range(30):
        handle = make(session, "hash", entries=2000)
        session.map_write(handle, u32(*range(2000)), u64(*[9] * 2000))
        end = _changing(lambda number: make(session, "array", 4, 8, 4))
        try:
            failures = []

            def read(handle=handle, failures=failures):
                try:
                    while True:
                        assert session.map_read(handle)["count"] == 2000
                except KernelError as error:
                    failures.append(error.errno)

            thread = threading.Thread(target=read)
            thread.start()
            session.close(handle)
            thread.join()
            assert failures == [errno.EBADF]
        finally:
            end()
            session.close_all()


def test_program_counts_into_the_map(session, local_facts):
    counts = make(session, "percpu_array", 4, 8, 1)
    prog = session.prog_load(XDP, encode(counting(2)), [counts], name="count")["prog"]
    assert session.prog_run(prog, bytes(64), repeat=25)["retval"] == 2
    values = struct.unpack(f"<{local_facts['cpus']}Q", session.map_read(counts)["values"])
    assert sum(values) == 25
