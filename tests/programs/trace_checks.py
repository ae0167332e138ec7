"""Hooks that see the whole machine; run in a guest by tests/vm/test_programs.py."""

import shutil
import struct
import subprocess
import time

import pytest

from ebpflab.errors import KernelError

from .sources import SEEN, counting, load, seen

MINE = SEEN.replace("    *(u32 *)(r10 - 4) = {index}", """
    r6 = r1
    r1 = r10
    r1 += -24
    r2 = 16
    call bpf_get_current_comm
    r1 = *(u64 *)(r10 - 24)
    r2 = {comm:#x} ll
    if r1 != r2 goto out
    *(u32 *)(r10 - 4) = {index}""")


def mine(kernel, type: str, comm: str, index: int = 0, **spec):
    """A program that counts only what a process called ``comm`` does."""
    number = int.from_bytes(comm.encode()[:8].ljust(8, b"\0"), "little")
    return load(kernel, MINE.format(index=index, verdict=0, comm=number), type, **spec)


def unlink(kernel):
    done = kernel.command(["sh", "-c", "echo x > /tmp/lab-file && exec rm /tmp/lab-file"])
    assert done.ok, done.err


@pytest.mark.parametrize("kind", ["kprobe", "kretprobe"])
def test_kprobe(kernel, kind):
    with mine(kernel, "kprobe", "rm") as prog:
        with prog.attach("do_unlinkat", kind=kind):
            unlink(kernel)
            assert seen(prog) == 1
            unlink(kernel)
            assert seen(prog) == 2
        unlink(kernel)
        assert seen(prog) == 2


def test_kprobe_reads_arguments(kernel):
    """x86-64's pt_regs: the first argument (rdi) is at 112. do_nanosleep gets a pointer into the kernel."""
    text = """
    .map args array u32 u64 1
        r6 = *(u64 *)(r1 + 112)
        *(u32 *)(r10 - 4) = 0
        *(u64 *)(r10 - 16) = r6
        r1 = args ll
        r2 = r10
        r2 += -4
        r3 = r10
        r3 += -16
        r4 = 0
        call bpf_map_update_elem
        r0 = 0
        exit
    """
    with load(kernel, text, "kprobe") as prog, prog.attach("do_unlinkat"):
        kernel.command(["sh", "-c", "exec rm -f /tmp/not-there"])
        assert prog["args"][0] & 0xFFFFFFFF == 0xFFFFFF9C          # AT_FDCWD


def test_tracepoint(kernel):
    with mine(kernel, "tracepoint", "true") as prog:
        with prog.attach("sched:sched_process_exit"):
            kernel.command(["true"])
            assert seen(prog) == 1
        kernel.command(["true"])
        assert seen(prog) == 1


def test_raw_tracepoint(kernel):
    with mine(kernel, "raw_tracepoint", "true") as prog:
        with prog.attach("sched_process_exit"):
            kernel.command(["true"])
            assert seen(prog) == 1
        kernel.command(["true"])
        assert seen(prog) == 1


def test_perf_event(kernel):
    """Samples of every CPU by the clock: some 99 a second and CPU while it is busy."""
    with counting(kernel, "perf_event", 0) as prog:
        with prog.attach("cpu-clock", frequency=99):
            kernel.command(["timeout", "1", "sh", "-c", "while :; do :; done"], seconds=20)
            found = seen(prog)
            assert 20 < found < 500
        before = seen(prog)
        kernel.command(["timeout", "0.5", "sh", "-c", "while :; do :; done"], seconds=20)
        assert seen(prog) == before


@pytest.mark.parametrize("attach_type", ["trace_fentry", "trace_fexit"])
def test_fentry_and_fexit(kernel, attach_type):
    with mine(kernel, "tracing", "rm", attach_type=attach_type, attach_to="do_unlinkat") as prog:
        with prog.attach():
            unlink(kernel)
            assert seen(prog) == 1
        unlink(kernel)
        assert seen(prog) == 1


DENY = MINE.replace("    r0 = {verdict}\n", "    r0 = 0\n").replace("    lock *(u64 *)(r0 + 0) += r1\n", """
    lock *(u64 *)(r0 + 0) += r1
    r0 = -1
    exit
""")


def test_lsm(kernel):
    """A security hook that refuses: rm may not unlink while it is attached."""
    text = DENY.format(index=0, comm=int.from_bytes(b"rm".ljust(8, b"\0"), "little"))
    with load(kernel, text, "lsm", attach_type="lsm_mac", attach_to="inode_unlink") as prog:
        with prog.attach():
            done = kernel.command(["sh", "-c", "echo x > /tmp/lab-file && exec rm /tmp/lab-file"])
            assert not done.ok and b"not permitted" in done.err and seen(prog) == 1
        assert kernel.command(["rm", "/tmp/lab-file"]).ok


def libc(kernel) -> str:
    found = kernel.command(["sh", "-c", "ls /lib/*-linux-gnu/libc.so.6"]).out.decode().split()
    return found[0]


@pytest.mark.parametrize("kind", ["uprobe", "uretprobe"])
def test_uprobe(kernel, kind):
    """getppid in libc, called five times by one process."""
    script = "import ctypes; f = ctypes.CDLL(None).getppid; [f() for _ in range(5)]"
    with mine(kernel, "kprobe", "python3") as prog:
        with prog.attach(kind=kind, path=libc(kernel), function="getppid"):
            assert kernel.command(["python3", "-c", script], seconds=30).ok
            assert seen(prog) == 5
        kernel.command(["python3", "-c", script], seconds=30)
        assert seen(prog) == 5
        with pytest.raises(KernelError, match="did you mean 'getppid'"):
            prog.attach(kind=kind, path=libc(kernel), function="getppidd")
        with pytest.raises(KernelError, match="cannot be read"):
            prog.attach(kind=kind, path="/nowhere", function="main")
        with pytest.raises(KernelError, match="no 64-bit little-endian ELF"):
            prog.attach(kind=kind, path="/etc/passwd", function="main")


def test_places_that_are_not_there(kernel):
    with counting(kernel, "kprobe", 0) as prog, pytest.raises(KernelError, match="no function 'do_nothing_at_all'"):
        prog.attach("do_nothing_at_all")
    with counting(kernel, "tracepoint", 0) as prog:
        with pytest.raises(KernelError, match="did you mean 'sched_switch'"):
            prog.attach("sched:sched_swich")
        with pytest.raises(KernelError, match="did you mean 'sched'"):
            prog.attach("shed:sched_switch")
    with counting(kernel, "raw_tracepoint", 0) as prog, pytest.raises(KernelError, match="has no category"):
        prog.attach("sched:sched_switch")
    with counting(kernel, "perf_event", 0) as prog:
        with pytest.raises(KernelError, match="did you mean 'cpu-clock'"):
            prog.attach("cpu-clok")
        with pytest.raises(KernelError, match="not both"):
            prog.attach("cpu-clock", frequency=1, period=1)


COUNTER = """
.map counters perf_event_array u32 u32 {cpus}
.map value array u32 u64 1
    r1 = counters ll
    r2 = 0xffffffff ll
    r3 = r10
    r3 += -24
    r4 = 24
    call bpf_perf_event_read_value
    if r0 != 0 goto out
    r6 = *(u64 *)(r10 - 24)
    *(u32 *)(r10 - 28) = 0
    r1 = value ll
    r2 = r10
    r2 += -28
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    *(u64 *)(r0 + 0) = r6
none:
out:
    r0 = 0
    exit
"""


def test_perf_event_array_of_counters(kernel):
    """bpf_perf_event_read_value: a program reads this CPU's own counter, which only grows."""
    with load(kernel, COUNTER.format(cpus=kernel.facts.cpus), "raw_tracepoint") as prog:
        counters = [kernel.counter("cpu-clock", cpu) for cpu in range(kernel.facts.detail["online"])]
        for cpu, counter in enumerate(counters):
            prog["counters"][cpu] = counter
        with prog.attach("sched_process_exit"):
            kernel.command(["true"])
            first = prog["value"][0]
            kernel.command(["true"])
            second = prog["value"][0]
        assert first > 0 and first != second and counters[0].read() > 0
        with pytest.raises(KernelError, match="did you mean 'page-faults'"):
            kernel.counter("page-fault")


STACKS = MINE.replace("    r0 = {verdict}\n", """
    r1 = r7
    r2 = stacks ll
    r3 = 0
    call bpf_get_stackid
    if r0 s< 0 goto none
    r6 = r0
    *(u32 *)(r10 - 4) = 1
    r2 = r10
    r2 += -4
    r1 = seen ll
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    *(u64 *)(r0 + 0) = r6
none:
    r0 = 0
""").replace(".map seen array u32 u64 8", ".map seen array u32 u64 8\n.map stacks stack_trace u32 256 64\nr7 = r1")
STACKS = STACKS.replace("goto out", "goto none").replace("out:\n", "")


def test_stack_trace_by_name(kernel):
    text = STACKS.format(index=0, comm=int.from_bytes(b"rm".ljust(8, b"\0"), "little"))
    with load(kernel, text, "kprobe") as prog:
        with prog.attach("do_unlinkat"):
            unlink(kernel)
        assert seen(prog) == 1
        stack = prog["stacks"].target_map.stack(seen(prog, 1))
        assert stack[0].startswith("do_unlinkat+"), stack
        assert any("unlink" in name and "sys" in name for name in stack) and \
            any(name.startswith("do_syscall_64+") for name in stack), stack
        with pytest.raises(KeyError):
            prog["stacks"].target_map.stack(seen(prog, 1) ^ 1)


def test_sched_act(kernel):
    """An action behind a filter that matches everything: packets are dropped at lab1, or let through."""
    from .sources import udp

    with kernel.net(ip=4) as net, counting(kernel, "sched_act", 2) as shot, counting(kernel, "sched_act", 0) as ok:
        receiver, sender = udp(net)
        sender.send(b"before")
        assert receiver.receive(seconds=2) == [b"before"]
        with shot.attach(net, "lab1"):
            sender.send(b"dropped")
            assert receiver.receive(seconds=0.2) == [] and seen(shot) == 1
        with ok.attach(net, "lab1", direction="ingress"):
            sender.send(b"through")
            assert receiver.receive(seconds=2) == [b"through"] and seen(ok) == 1


def test_lwt_seg6local(kernel):
    """An IPv6 packet whose segment is the route of the program: it is counted, and dropped (BPF_DROP)."""
    with kernel.net(ip=6) as net, counting(kernel, "lwt_seg6local", 2) as prog:
        done = net.command(["ip", "-6", "route", "add", "fd99::/64", "via", "fd77::2"])
        assert done.ok, done.err
        # the header that End.BPF wants: next 17 (UDP), 2 × 8 bytes, type 4, segments left 1, last entry 1 …
        packet = _seg6(net)
        net.send([packet], end="lab0", count=3)
        assert seen(prog) == 0
        with prog.attach(net, "lab1", to="fd99::1/128"):
            net.send([packet], end="lab0", count=3)
            end = time.monotonic() + 2
            while seen(prog) < 3 and time.monotonic() < end:
                time.sleep(0.02)
            assert seen(prog) == 3
        net.send([packet], end="lab0")
        assert seen(prog) == 3


def _seg6(net) -> bytes:
    def address(text):
        import ipaddress

        return ipaddress.ip_address(text).packed

    segments = address("fd77::1") + address("fd99::1")            # the last first; the active one is number 1
    header = struct.pack("!BBBBBBH", 17, 4, 4, 1, 1, 0, 0) + segments
    payload = header + struct.pack("!HHHH", 1000, 9, 12, 0) + b"data"
    ip = struct.pack("!IHBB", 6 << 28, len(payload), 43, 64) + address("fd77::1") + address("fd99::1")
    return net.macs["lab1"] + net.macs["lab0"] + b"\x86\xdd" + ip + payload


USDT = r"""
__attribute__((section(".probes"))) volatile unsigned short lab_work_semaphore;

int enabled(void) { return lab_work_semaphore; }

__attribute__((noinline)) int work(int x)
{
    asm volatile("990: nop\n"
        ".pushsection .note.stapsdt,\"\",\"note\"\n .balign 4\n .4byte 992f-991f, 994f-993f, 3\n"
        "991: .asciz \"stapsdt\"\n992: .balign 4\n993: .8byte 990b\n .8byte _.stapsdt.base\n"
        " .8byte lab_work_semaphore\n .asciz \"lab\"\n .asciz \"work\"\n .asciz \"-4@%edi\"\n994: .balign 4\n"
        ".popsection\n"
        ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n .weak _.stapsdt.base\n"
        " .hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n .size _.stapsdt.base,1\n.popsection\n");
    return x + 1;
}
"""


def test_usdt(kernel, tmp_path):
    """A library's own marker; its semaphore is up while somebody listens."""
    compiler = shutil.which("clang") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler to make a library with a marker")
    (tmp_path / "lab.c").write_text(USDT)
    subprocess.run([compiler, "-shared", "-fPIC", "-nostdlib", "-O1", "-o", tmp_path / "lab.so", tmp_path / "lab.c"],
                   check=True)
    assert kernel.command(["sh", "-c", "cat > /tmp/lab.so"], data=(tmp_path / "lab.so").read_bytes()).ok
    script = "import ctypes; lab = ctypes.CDLL('/tmp/lab.so'); [lab.work(n) for n in range(4)]; print(lab.enabled())"
    call = ["python3", "-I", "-S", "-c", script]
    with mine(kernel, "kprobe", "python3") as prog:
        assert kernel.command(call, seconds=30).out == b"0\n"
        with prog.attach(path="/tmp/lab.so", probe="lab:work"):
            assert kernel.command(call, seconds=30).out == b"1\n"
            assert seen(prog) == 4
        with pytest.raises(KernelError, match="did you mean 'lab:work'"):
            prog.attach(path="/tmp/lab.so", probe="lab:werk")
        with pytest.raises(KernelError, match="no USDT markers at all"):
            prog.attach(path="/bin/true", probe="lab:work")
    kernel.command(["rm", "/tmp/lab.so"])
