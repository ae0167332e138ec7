"""Programs on the real kernel: every field of BPF_PROG_LOAD, logs that fit, verdicts, test runs."""

import errno
import struct

import pytest

from ebpflab.abi.prog_types import BY_NAME
from ebpflab.errors import KernelError
from ebpflab.isa import Insn, bits, encode

from .programs import EXIT, MISSION_PROGRAMS, XDP, attach_number, call, copy, counting, looping, map_value, mov, returns

pytestmark = pytest.mark.kernel

MISALIGNED = encode((*map_value(1, 0, 1), Insn(bits.LDX | bits.MEM | bits.W, 0, 1), mov(0, 2), EXIT))
STRICT_ALIGNMENT = 1


@pytest.mark.parametrize("type", MISSION_PROGRAMS)
def test_every_type_of_the_mission(session, type):
    made = session.prog_load(BY_NAME[type].number, returns(0), name=f"m_{type}"[:15],
                             attach_type=attach_number(MISSION_PROGRAMS[type]))
    assert made["prog"], made["log"]
    info = session.prog_info(made["prog"])
    assert (info["id"], info["tag"], info["type"]) == (made["id"], made["tag"], BY_NAME[type].number)
    assert info["name"] == f"m_{type}"[:15] and info["xlated_len"] >= 16
    if BY_NAME[type].test_run:
        assert session.prog_run(made["prog"], bytes(64))["retval"] in (0, 0xFFFFFFFF)
    else:
        with pytest.raises(KernelError, match="no test run for this program type") as caught:
            session.prog_run(made["prog"], bytes(64))
        assert caught.value.errno == 524


def test_rejection_is_a_result_with_the_log(session):
    before = session.handles()
    made = session.prog_load(XDP, encode((EXIT,)), log_level=2)
    assert (made["prog"], made["id"], made["errno"]) == (0, 0, errno.EACCES)
    assert "R0 !read_ok" in made["log"] and not made["log_truncated"]
    assert session.handles() == before
    silent = session.prog_load(XDP, encode((EXIT,)), log_level=0)
    assert (silent["prog"], silent["errno"], silent["log"]) == (0, errno.EACCES, "")


def test_log_grows_until_it_fits(session):
    made = session.prog_load(XDP, looping(30_000), log_level=2)
    assert made["prog"] and not made["log_truncated"]
    assert len(made["log"]) > 2 << 20
    assert made["log"].startswith("func#0 @0") and "processed " in made["log"].splitlines()[-1]


def test_a_buffer_of_ones_own_size_is_kept(session):
    made = session.prog_load(XDP, looping(1000), log_level=2, log_size=4096)
    assert (made["prog"], made["errno"], made["log_truncated"]) == (0, errno.ENOSPC, True)
    assert 0 < len(made["log"]) < 4096
    assert session.prog_load(XDP, looping(3), log_level=2, log_size=4096)["prog"]


def test_log_beyond_the_most_keeps_the_verdict(session, monkeypatch):
    """When no buffer is large enough the log is cut, said so, and the verdict is still the kernel's."""
    from ebpflab.kernel import progs

    monkeypatch.setattr(progs, "_LOG_START", 4096)
    monkeypatch.setattr(progs, "_LOG_MOST", 8192)
    good = session.prog_load(XDP, looping(1000), log_level=2)
    assert good["prog"] and good["log_truncated"] and len(good["log"]) < 8192
    wrong = looping(1000)[:-16] + encode((Insn(bits.JMP | bits.CALL, imm=9999), EXIT))
    bad = session.prog_load(XDP, wrong, log_level=2)
    assert not bad["prog"] and bad["errno"] == errno.EINVAL and bad["log_truncated"]


def test_licence(session):
    traced = encode((Insn(bits.ST | bits.MEM | bits.DW, bits.FP, off=-8, imm=0), copy(1, bits.FP),
                     Insn(bits.ALU64 | bits.ADD | bits.K, 1, imm=-8), mov(2, 8), call("trace_printk"), mov(0, 2), EXIT))
    assert session.prog_load(XDP, traced, license="GPL")["prog"]
    refused = session.prog_load(XDP, traced, license="Proprietary")
    assert not refused["prog"] and "GPL" in refused["log"]
    assert session.prog_info(session.prog_load(XDP, returns(2), license="MIT")["prog"])["gpl_compatible"] is False


def test_flags_reach_the_verifier(session):
    values = session.map_create(2, 4, 16, 1)["map"]
    assert session.prog_load(XDP, MISALIGNED, [values])["prog"]
    strict = session.prog_load(XDP, MISALIGNED, [values], flags=STRICT_ALIGNMENT)
    assert not strict["prog"] and "misaligned" in strict["log"]


def test_attach_type_reaches_the_verifier(session):
    bind4, port = attach_number("cgroup_inet4_bind"), 4
    read_port = encode((Insn(bits.LDX | bits.MEM | bits.W, 2, 1, 24), mov(0, 1), EXIT))
    assert port and session.prog_load(BY_NAME["cgroup_sock_addr"].number, read_port, attach_type=bind4)["prog"]
    with pytest.raises(KernelError, match="before it looks at the program"):
        session.prog_load(BY_NAME["cgroup_sock_addr"].number, read_port, attach_type=attach_number("xdp"))


def test_kern_version_is_passed(session):
    """Since 5.0 any version will do, for kprobes too; the field must not disturb."""
    made = session.prog_load(BY_NAME["kprobe"].number, returns(0), kern_version=0x060C00)
    assert made["prog"]


@pytest.mark.parametrize(("ask", "number", "words"), [
    ({"type": 999}, errno.EINVAL, "known to this kernel"),
    ({"flags": 1 << 30}, errno.EINVAL, "flags"),
    ({"ifindex": 2_000_000}, errno.EINVAL, ""),
    ({"insns": b"1234567"}, errno.EINVAL, "7 bytes are not a program"),
    ({"insns": b""}, errno.EINVAL, "not a program"),
    ({"insns": encode((*map_value(1, 3), mov(0, 0), EXIT))}, errno.EINVAL, "refers to map 3, the program came with 0"),
    ({"maps": [42]}, errno.EBADF, "handle 42 is no open map"),
    ({"btf": 42}, errno.EBADF, "handle 42 is no open btf"),
])
def test_bad_requests_are_explained(session, ask, number, words):
    with pytest.raises(KernelError) as caught:
        session.prog_load(**{"type": XDP, "insns": returns(2), **ask})
    assert caught.value.errno == number
    assert words in str(caught.value) and caught.value.call in ("BPF_PROG_LOAD", "BPF_BTF_LOAD", "")


def test_relocation(session):
    """Maps by index; the offset of a direct value stays; relocate=False takes descriptors as they are."""
    values = session.map_create(2, 4, 16, 1)["map"]
    session.map_update(values, bytes(4), struct.pack("<QQ", 5, 77))
    other = session.map_create(2, 4, 8, 1)["map"]
    load = encode((*map_value(1, 1, 8), Insn(bits.LDX | bits.MEM | bits.DW, 0, 1), EXIT))
    made = session.prog_load(XDP, load, [other, values])
    assert session.prog_run(made["prog"], bytes(64))["retval"] == 77
    assert sorted(session.prog_info(made["prog"])["map_ids"]) == [session.map_info(values)["id"]]
    raw = load[:4] + struct.pack("<i", session._things[values].thing.fd) + load[8:]
    assert session.prog_load(XDP, raw, relocate=False)["prog"]
    by_index = bytearray(load)
    by_index[1] = by_index[1] & 15 | bits.PSEUDO_MAP_IDX_VALUE << 4
    made = session.prog_load(XDP, bytes(by_index), [other, values])
    assert session.prog_run(made["prog"], bytes(64))["retval"] == 77


def test_run_changes_and_grows_the_packet(session):
    grow = encode((Insn(bits.ALU64 | bits.MOV | bits.X, 6, 1), mov(2, 100), call("xdp_adjust_tail"),
                   Insn(bits.LDX | bits.MEM | bits.W, 2, 6, 0), Insn(bits.LDX | bits.MEM | bits.W, 3, 6, 4),
                   copy(4, 2), Insn(bits.ALU64 | bits.ADD | bits.K, 4, imm=1),
                   Insn(bits.JMP | bits.JGT | bits.X, 4, 3, off=1), Insn(bits.ST | bits.MEM | bits.B, 2, imm=0xAB),
                   mov(0, 3), EXIT))
    made = session.prog_load(XDP, grow)
    assert made["prog"], made["log"]
    done = session.prog_run(made["prog"], bytes(60))
    assert done["retval"] == 3 and len(done["data"]) == 160 and done["data"][0] == 0xAB


def test_run_with_a_context(session):
    """sched_cls sees and sets skb->mark (offset 8)."""
    mark = encode((Insn(bits.LDX | bits.MEM | bits.W, 2, 1, 8), Insn(bits.ALU64 | bits.ADD | bits.K, 2, imm=1),
                   Insn(bits.STX | bits.MEM | bits.W, 1, 2, 8), mov(0, 0), EXIT))
    made = session.prog_load(BY_NAME["sched_cls"].number, mark)
    ctx = bytearray(192)
    struct.pack_into("<I", ctx, 8, 41)
    done = session.prog_run(made["prog"], bytes(64), bytes(ctx))
    assert struct.unpack_from("<I", done["ctx"], 8) == (42,) and len(done["ctx"]) == 192


def test_run_repeats_and_takes_time(session, local_facts):
    counts = session.map_create(6, 4, 8, 1)["map"]
    made = session.prog_load(XDP, encode(counting(1)), [counts])
    done = session.prog_run(made["prog"], bytes(64), repeat=5000)
    assert done["duration_ns"] > 0
    assert sum(struct.unpack(f"<{local_facts['cpus']}Q", session.map_lookup(counts, bytes(4)))) == 5000
    with pytest.raises(KernelError, match="at least 14 bytes"):
        session.prog_run(made["prog"], b"short")
    with pytest.raises(KernelError, match="repeat must be at least 1"):
        session.prog_run(made["prog"], bytes(64), repeat=0)


def test_live_frames_cross_the_wire(session, local_facts):
    """XDP_TX of a test run in lab0's namespace really sends; a program on lab1 counts every frame."""
    counts = session.map_create(6, 4, 8, 1)["map"]
    count = session.prog_load(XDP, encode(counting(1)), [counts])["prog"]
    bounce = session.prog_load(XDP, returns(3))["prog"]
    net = session.net_create()["net"]
    session.attach(count, {"kind": "xdp", "net": net, "dev": "lab1", "mode": "native"})
    session.prog_run(bounce, bytes(64), repeat=100_000, flags=2, net=net, end="lab0")
    seen = sum(struct.unpack(f"<{local_facts['cpus']}Q", session.map_lookup(counts, bytes(4))))
    stats = session.net_stats(net, "lab0"), session.net_stats(net, "lab1")
    dropped = stats[0]["tx_dropped"] + stats[1]["rx_dropped"]
    assert seen + dropped >= 100_000 and seen > 50_000
