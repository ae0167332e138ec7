"""The local kernel as a Target: verify, load, run, attach, share maps, and close in every order."""

import struct

import pytest

from ebpflab.errors import KernelError, Rejected, SpecError, TargetError, Unsupported
from ebpflab.isa import slots
from ebpflab.spec import MapSpec, ProgramSpec, map_spec
from ebpflab.targets import AttachPoint, Link, Loaded, Net, Target, TargetMap
from ebpflab.targets.registry import open_target

from ..kernel.programs import EXIT, counting, returns

pytestmark = pytest.mark.kernel

COUNTS = map_spec("counts", "percpu_array", "u32", "u64", 1)
COUNT = ProgramSpec(counting(2), maps=(COUNTS,), name="count")
PASS = ProgramSpec(slots(returns(2)), name="pass")
BAD = ProgramSpec((EXIT,), name="bad")


@pytest.fixture
def target():
    try:
        opened = open_target("local")
    except TargetError as error:
        pytest.skip(str(error))
    with opened:
        yield opened
        left = opened.session
    assert left.handles() == []


def total(read):
    return sum(struct.unpack(f"<{len(read.values) // 8}Q", read.values))


def test_protocols(target):
    loaded = target.load(COUNT)
    net = target.net()
    link = loaded.attach(AttachPoint("xdp", {"net": net, "dev": "lab1"}))
    for thing, protocol in ((target, Target), (loaded, Loaded), (loaded.maps["counts"], TargetMap), (net, Net),
                            (link, Link)):
        assert isinstance(thing, protocol)
    for thing in (loaded, loaded.maps["counts"], net, link):
        assert "on local" in repr(thing)


def test_facts(target):
    facts = target.facts
    assert facts.name == "local" and facts.privileged and facts.cpus >= 1
    assert facts.detail["release"].startswith(".".join(facts.kernel.split(".")[:2]))


def test_verify_leaves_nothing(target):
    trace = target.verify(COUNT)
    assert trace.ok and trace.verdict.by == f"Linux {target.facts.kernel}"
    assert len(trace.steps) >= 8 and trace.verdict.stats.processed
    assert "processed" in trace.log and trace.program is COUNT
    assert target.session.handles() == []
    assert target.verify(COUNT, log_level=1).ok
    assert target.verify(COUNT, log_level=0).ok


def test_verify_a_rejection(target):
    trace = target.verify(BAD)
    assert not trace.ok and trace.verdict.result == "reject" and trace.verdict.errno == 13
    assert trace.verdict.error == "R0 !read_ok" and trace.verdict.pc == 0
    assert target.session.handles() == []


def test_load_a_rejection(target):
    with pytest.raises(Rejected, match="R0 !read_ok") as caught:
        target.load(BAD)
    assert caught.value.trace.verdict.error == "R0 !read_ok"
    assert target.session.handles() == [] and list(target) == []


def test_run(target):
    loaded = target.load(COUNT)
    done = loaded.run(bytes(64), repeat=7)
    assert (done.retval, done.verdict, done.repeat, done.data) == (2, "XDP_PASS", 7, bytes(64))
    assert total(loaded.maps["counts"].read()) == 7
    assert loaded.id in target.session.ids("prog")
    assert loaded.info()["name"] == "count" and loaded.info()["tag"] == loaded.tag
    with pytest.raises(KernelError, match="at least 14 bytes"):
        loaded.run(b"")


@pytest.mark.parametrize(("type", "value", "name"), [
    ("xdp", 1, "XDP_DROP"), ("xdp", 9, ""), ("sched_cls", 2, "TC_ACT_SHOT"), ("sched_cls", -1, "TC_ACT_UNSPEC"),
    ("socket_filter", 0, "drop"), ("socket_filter", 64, "keep 64"), ("cgroup_skb", 1, "allow"),
    ("lwt_in", 2, "BPF_DROP")])
def test_verdict_names(target, type, value, name):
    done = target.load(ProgramSpec(slots(returns(value)), type=type)).run(bytes(64))
    assert (done.verdict, done.retval) == (name, value & 0xFFFFFFFF)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_real_frames(target, mode):
    loaded, net = target.load(COUNT), target.net()
    with loaded.attach(AttachPoint("xdp", {"net": net, "dev": "lab1", "mode": mode})) as link:
        assert link.id in target.session.ids("link")
        assert net.send([bytes(64), bytes(100)], end="lab0", count=50) == 100
    assert net.send([bytes(64)], end="lab0") == 1
    assert total(loaded.maps["counts"].read()) == 100
    assert net.dropped == 0 and net.stats("lab1")["rx_packets"] == 101


def test_names_reach_the_kernel(target):
    spec = ProgramSpec(counting(2), maps=(map_spec("a_long_map_name_indeed", "percpu_array", "u32", "u64", 1),),
                       name="a program with a long name")
    loaded = target.load(spec)
    assert loaded.info()["name"] == "a_program_with_"
    assert target.session.map_info(loaded.maps["a_long_map_name_indeed"].handle)["name"] == "a_long_map_name"


def test_contents_and_entries(target):
    spec = MapSpec("seeds", "hash", COUNTS.key, COUNTS.value, 8, contents=((bytes(4), bytes([7] + [0] * 7)),))
    with target.map(spec) as seeds:
        assert seeds.lookup(bytes(4)) == bytes([7] + [0] * 7)
        seeds.update(b"\1\0\0\0", bytes(8))
        assert seeds.read().count == 2 and seeds.read(limit=1).count == 1
        assert seeds.delete(b"\1\0\0\0") and not seeds.delete(b"\1\0\0\0")
        assert seeds.write(b"\2\0\0\0\3\0\0\0", bytes(16)) == 2
        snapshot = seeds.read()
        assert (snapshot.spec, snapshot.cpus, snapshot.lost, snapshot.unsettled) == (spec, 1, 0, ())
    assert target.session.handles() == []


def test_maps_of_maps_and_programs(target):
    inner = map_spec("inner", "array", "u32", "u64", 1)
    with target.map(MapSpec("outer", "array_of_maps", COUNTS.key, COUNTS.key, 2, inner=inner)) as outer, \
            target.map(inner) as one, target.load(PASS) as program, \
            target.map(map_spec("table", "prog_array", "u32", "u32", 2)) as table:
        outer.update(bytes(4), one)
        assert struct.unpack("<I", outer.lookup(bytes(4))) == (one.id,)
        table.update(bytes(4), program)
        assert struct.unpack("<I", table.lookup(bytes(4))) == (program.id,)


def test_bad_contents_leave_nothing(target):
    with pytest.raises(KernelError, match="key of this map has 4 bytes"):
        target.map(MapSpec("seeds", "hash", COUNTS.key, COUNTS.value, 8, contents=((b"x", bytes(8)),)))
    assert target.session.handles() == []
    with pytest.raises(KernelError, match="not in a bpf file system"):
        target.map(MapSpec("seeds", "hash", COUNTS.key, COUNTS.value, 8, pin="/proc/x"))


def test_shared_maps(target):
    first = target.load(COUNT)
    second = target.load(COUNT, maps={"counts": first.maps["counts"]})
    first.run(bytes(64)), second.run(bytes(64))
    assert total(first.maps["counts"].read()) == 2
    second.close()
    assert total(first.maps["counts"].read()) == 2, "the map belongs to the first"
    with pytest.raises(SpecError, match="no map 'other'"):
        target.load(COUNT, maps={"other": first.maps["counts"]})


def test_closing_in_every_order(target):
    net = target.net()
    loaded = target.load(COUNT)
    link = loaded.attach(AttachPoint("xdp", {"net": net, "dev": "lab0"}))
    counts = loaded.maps["counts"]
    net.close()
    loaded.close()
    for thing in (link, counts, loaded, net):
        thing.close()
    assert target.session.handles() == [] and list(target) == []
    with pytest.raises(KernelError, match="it was closed"):
        loaded.run(bytes(64))
    with pytest.raises(KernelError, match="it was closed"):
        counts.read()


def test_session_closed_first(target):
    loaded, net = target.load(COUNT), target.net()
    loaded.attach(AttachPoint("xdp", {"net": net, "dev": "lab0"}))
    target.session.close_all()
    loaded.close(), net.close()


def test_exception_leaves_nothing():
    with pytest.raises(RuntimeError), open_target("local") as target:
        loaded = target.load(COUNT)
        loaded.attach(AttachPoint("xdp", {"net": target.net(), "dev": "lab0"}))
        raise RuntimeError("a user's mistake")
    assert target.session.handles() == []
    with open_target("local") as again:
        assert loaded.id not in again.session.ids("prog")


def test_a_wrong_map_index_is_told(target):
    with pytest.raises(KernelError, match="refers to map 0, the program came with 0"):
        target.verify(ProgramSpec(counting(2), name="count"))
    assert target.session.handles() == []


def test_devices_of_this_machine_are_not_attached_to(target):
    with target.load(PASS) as loaded, pytest.raises(Unsupported, match="this machine's own"):
        loaded.attach(AttachPoint("xdp", {"dev": "lo", "mode": "generic"}))
