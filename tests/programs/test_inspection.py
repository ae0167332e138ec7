"""What the kernel holds, as lists and dumps; and that bpftool, ip and tc see the same."""

import json
import re
import shutil
import subprocess

import pytest

from .sources import counting, frame, load

pytestmark = pytest.mark.kernel


def tool(*argv) -> str:
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def row(rows: list, id: int) -> dict:
    found = [each for each in rows if each["id"] == id]
    assert len(found) == 1
    return found[0]


def test_lists(kernel):
    text = ".map table hash u32 u64 32\nr1 = table ll\nr0 = 2\nexit"
    with kernel.net() as net, load(kernel, text, "xdp", "looked_at") as prog, prog.attach(net, "lab1") as link:
        told = row(kernel.programs(), prog.id)
        table = prog["table"].target_map
        assert (told["name"], told["type"], told["map_ids"]) == ("looked_at", "xdp", [table.id])
        assert told["tag"] == prog.loaded.tag and told["jited_len"] > 0 and told["xlated_len"] >= 4 * 8
        told = row(kernel.maps_list(), table.id)
        assert (told["name"], told["type"], told["key_size"], told["value_size"], told["max_entries"]) == \
            ("table", "hash", 4, 8, 32)
        told = row(kernel.links(), link.id)
        assert (told["type"], told["prog_id"], told["ifindex"]) == ("xdp", prog.id, net.stats("lab1")["index"])


def test_links_of_cgroups_and_tcx(kernel):
    with kernel.cgroup() as group, counting(kernel, "cgroup_skb", 1) as prog, prog.attach(group) as link:
        told = row(kernel.links(), link.id)
        assert (told["type"], told["cgroup_id"], told["attach_type"]) == ("cgroup", group.id, 0)
    with kernel.net() as net, counting(kernel, "sched_cls", 0) as prog, \
            prog.attach(net, "lab0", direction="egress") as link:
        told = row(kernel.links(), link.id)
        assert (told["type"], told["ifindex"], told["attach_type"]) == ("tcx", net.stats("lab0")["index"], 47)


def test_dump(kernel):
    with load(kernel, "r0 = 1\nr0 += 41\nexit", "xdp") as prog:
        dump = prog.dump()
        assert [line.split(": ", 1)[1] for line in dump.text().splitlines()][-3:] == \
            ["(b7) r0 = 1", "(07) r0 += 41", "(95) exit"]
        assert len(dump.jited) == prog.info()["jited_len"] == sum(dump.lens) and len(dump.ksyms) == 1
        assert dump.hex().startswith(f"function 0 at {dump.ksyms[0]:#x}:\n     0  ")
        assert bytes.fromhex("".join(line[8:] for line in dump.hex().splitlines()[1:])) == dump.jited
        assert kernel.dump(prog.id) == dump
    two = "call sub\nexit\nsub:\nr0 = 7\nexit"
    with load(kernel, two, "xdp") as prog:
        assert len(prog.dump().ksyms) == len(prog.dump().lens) == 2


def test_bpftool_dumps_the_same(kernel):
    with load(kernel, ".map table array u32 u64 4\nr1 = table ll\nr0 = 2\nexit", "xdp") as prog:
        theirs = [line.strip() for line in tool("bpftool", "prog", "dump", "xlated", "id", str(prog.id)).splitlines()]
        ours = [line.strip() for line in prog.dump().text().splitlines()]
        assert [line.split(":")[0] for line in ours] == [line.split(":")[0] for line in theirs]
        assert ours[-2:] == theirs[-2:]
        assert str(prog["table"].target_map.id) in ours[0] or str(prog["table"].target_map.id) in theirs[0]


def test_statistics(kernel):
    """Runs are counted while the statistics are on, and not before or after."""
    with load(kernel, "r0 = 2; exit", "xdp") as prog, kernel.net() as net, prog.attach(net, "lab1"):
        net.send([frame()], end="lab0", count=5)
        before = prog.info()["run_cnt"]
        with kernel.stats():
            net.send([frame()], end="lab0", count=7)
            told = prog.info()
            assert told["run_cnt"] == before + 7 and told["run_time_ns"] > 0
        if kernel.command(["cat", "/proc/sys/kernel/bpf_stats_enabled"]).out.strip() == b"0":
            net.send([frame()], end="lab0", count=9)
            assert prog.info()["run_cnt"] == before + 7


def test_bpftool_sees_names_tags_and_contents(kernel):
    with load(kernel, ".map table hash u32 u64 32\nr1 = table ll\nr0 = 2\nexit", "xdp", "looked_at") as prog:
        table = prog["table"].target_map
        prog["table"][7] = 9
        told = json.loads(tool("bpftool", "-j", "prog", "show", "id", str(prog.id)))
        assert (told["name"], told["type"], told["tag"], told["map_ids"]) == \
            ("looked_at", "xdp", prog.loaded.tag, [table.id])
        told = json.loads(tool("bpftool", "-j", "map", "show", "id", str(table.id)))
        assert (told["name"], told["type"], told["bytes_key"], told["bytes_value"], told["max_entries"]) == \
            ("table", "hash", 4, 8, 32)
        text = tool("bpftool", "map", "dump", "id", str(table.id))
        assert re.search(r"key:\s+07 00 00 00\s+value:\s+09 00 00 00 00 00 00 00", text)


def in_net(kernel, net, end, *argv) -> str:
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    done = kernel.command(argv, net=net, end=end)
    assert done.ok, done.err
    return done.out.decode()


def test_ip_and_tc_see_what_is_attached(kernel):
    with kernel.net(ip=4) as net:
        with load(kernel, "r0 = 2; exit", "xdp", "seen_by_ip") as prog:
            with prog.attach(net, "lab1", mode="generic"):
                text = in_net(kernel, net, "lab1", "ip", "-d", "link", "show", "lab1")
                assert "xdpgeneric" in text and f"prog/xdp id {prog.id}" in text
            assert "xdp" not in in_net(kernel, net, "lab1", "ip", "link", "show", "lab1")
        with load(kernel, "r0 = 0; exit", "sched_cls", "seen_by_tc") as prog:
            with prog.attach(net, "lab0", kind="clsact", direction="egress", priority=7):
                text = in_net(kernel, net, "lab0", "tc", "filter", "show", "dev", "lab0", "egress")
                assert "pref 7" in text and "seen_by_tc" in text and "direct-action" in text and f"id {prog.id}" in text
                assert "clsact" in in_net(kernel, net, "lab0", "tc", "qdisc", "show", "dev", "lab0")
            assert "clsact" not in in_net(kernel, net, "lab0", "tc", "qdisc", "show", "dev", "lab0")
        with load(kernel, "r0 = 0; exit", "lwt_out", "seen_by_ip") as prog, \
                prog.attach(net, "lab0", to="10.99.0.0/24", via="10.77.0.2"):
            text = in_net(kernel, net, "lab0", "ip", "route", "show", "10.99.0.0/24")
            assert "encap bpf out" in text and "seen_by_ip" in text


def test_bpftool_sees_cgroup_programs(kernel):
    with kernel.cgroup() as group, load(kernel, "r0 = 1; exit", "cgroup_device", "seen_dev") as prog, \
            prog.attach(group):
        told = json.loads(tool("bpftool", "-j", "cgroup", "show", group.path))
        assert [(each["id"], each["name"]) for each in told] == [(prog.id, "seen_dev")]


def test_hooks_are_listed(kernel):
    hooks = kernel.hooks()
    assert {"xdp", "tcx", "clsact", "action", "socket_filter", "sk_skb", "cgroup_skb", "cgroup_sock", "cgroup_device",
            "sock_ops", "lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "kprobe", "kretprobe", "uprobe", "tracepoint",
            "raw_tracepoint", "perf_event", "tracing", "lsm"} <= set(hooks)
    assert hooks["kprobe"]["guest"] and not hooks["xdp"]["guest"]
    assert hooks["tcx"]["options"]["direction"] == "ingress or egress"


TYPED = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow { __u64 packets; __u32 last; __u32 flags; };

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, struct flow);
    __uint(max_entries, 8);
} flows SEC(".maps");

SEC("xdp")
int typed(struct xdp_md *ctx)
{
    __u32 key = 5;
    struct flow seen = { .packets = 3, .last = 2, .flags = 1 };

    bpf_map_update_elem(&flows, &key, &seen, BPF_ANY);
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
"""


def test_types_are_seen_by_bpftool_and_by_us(kernel):
    """A compiled program's BTF is in the kernel: bpftool prints fields, and a map found by id has its layout."""
    from ebpflab.obj import compile as compiling
    from ebpflab.obj.objects import read_object
    from ebpflab.program import Program
    from ebpflab.targets.kernel import spec_of

    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    spec = read_object(compiling.compile_c(TYPED).data).program("typed")
    with Program(spec, kernel) as prog:
        prog.run(frame())
        flows = prog["flows"].target_map
        told = json.loads(tool("bpftool", "-j", "map", "dump", "id", str(flows.id)))
        assert told[0]["formatted"] == {"key": 5, "value": {"packets": 3, "last": 2, "flags": 1}}
        assert "typed" in tool("bpftool", "prog", "dump", "xlated", "id", str(prog.id), "linum").splitlines()[0]
        found = spec_of(kernel, row(kernel.maps_list(), flows.id) | {"type": 1})
        assert [field.name for field in found.value.fields] == ["packets", "last", "flags"]
        assert (found.key_size, found.value_size) == (4, 16)
