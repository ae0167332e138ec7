"""Sockets in contexts, maps and options; memory of processes and of the kernel for tracing programs."""

import struct
from dataclasses import replace
from errno import EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, EPERM, ERANGE

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import Fault, KernelError, SpecError, Unsupported
from ebpflab.sim import packets
from ebpflab.targets import sim

from .agree import signed
from .conftest import TIERS


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


@pytest.fixture
def lab():
    with sim.open() as target:
        yield target


def run(lab, text, type_, tier, data=b"", maps=None, attach="", **ctx):
    program = lab.load(replace(assemble(text, type=type_), attach_type=attach), maps=maps)
    return program.run(data, ctx=ctx, tier=tier)


def test_addresses_and_states(lab):
    sockets = lab.machine.sockets
    with pytest.raises(SpecError, match="no address and port"):
        lab.socket("tcp", bind="10.0.0.1")
    with pytest.raises(SpecError, match="different families"):
        lab.socket("tcp", bind="10.0.0.1:1", connect="[fd00::1]:2")
    with pytest.raises(SpecError, match="can listen"):
        lab.socket("udp", bind="10.0.0.1:1", listen=True)
    with pytest.raises(SpecError, match="no socket 'sctp'"):
        lab.socket("sctp", bind="10.0.0.1:1")
    made = lab.socket("tcp", bind="10.0.0.1:80", listen=True)
    assert str(made) == "struct bpf_sock (tcp 10.0.0.1:80, LISTEN)"
    made.close()
    assert not sockets.by_number
    with pytest.raises(Fault, match="a socket that was closed"):
        lab.machine.memory.load(made.address, 4)


READS = """
    r1 = *(u64 *)(r1 + {sk})
    if r1 == 0 goto none
    r0 = *(u32 *)(r1 + 16)
    exit
none:
    r0 = 77
    exit"""


@pytest.mark.parametrize("type_, sk, data", [("sock_ops", 184, b""), ("cgroup_skb", 168, packets.udp(b"x")),
                                             ("sched_cls", 168, packets.udp(b"x")), ("sk_msg", 72, b"hello")])
def test_a_context_has_the_socket_that_it_is_given(lab, type_, sk, data, tier):
    client = lab.socket("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:80", mark=1)
    text = READS.format(sk=sk)
    if type_ in ("cgroup_skb", "sched_cls"):
        text = text.replace("r0 = *(u32 *)(r1 + 16)",
                            "call bpf_sk_fullsock\nif r0 == 0 goto none\nr0 = *(u32 *)(r0 + 16)")
    text = text.replace("r0 = 77", "r0 = 0")
    if type_ != "sched_cls":
        text = text.replace(" + 16)\n", " + 16)\nr0 &= 1\n")
    assert run(lab, text, type_, tier, data, sk=client).retval == 1
    client.mark = 2
    client.refresh()
    assert run(lab, text, type_, tier, data, sk=client).retval == (2 if type_ == "sched_cls" else 0)


def test_a_sock_ops_context_says_what_its_socket_knows(lab, tier):
    client = lab.socket("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:80", tcp={"srtt_us": 8000})
    checks = {20: 2, 24: 0x0100000A, 28: 0x0200000A, 64: 80 << 24, 68: 4000, 72: 1, 76: 10, 80: 8000, 88: 1}
    for offset, value in checks.items():
        text = f"r2 = *(u32 *)(r1 + {offset})\nr3 = {value} ll\nr0 = 1\nif r2 == r3 goto out\nr0 = 0\nout:\nexit"
        assert run(lab, text, "sock_ops", tier, sk=client, op="BPF_SOCK_OPS_TCP_CONNECT_CB").retval == 1, offset


STORES = """.map sockets {type} {key} u64 4
    r6 = r1
    *(u32 *)(r10 - 4) = 2
    r2 = map[sockets] ll
    r3 = r10
    r3 += -4
    r4 = {flags}
    call bpf_sock_{kind}_update
    r0 = 1
    exit"""
SENDS = """.map sockets {type} {key} u64 4
    *(u32 *)(r10 - 4) = 2
    r2 = map[sockets] ll
    {how}
    r4 = {flags}
    call bpf_{verb}_redirect_{kind}
    exit"""


@pytest.mark.parametrize("kind", ("map", "hash"))
@pytest.mark.parametrize("type_", ("sk_skb", "sk_msg"))
def test_established_connections_are_redirected(lab, kind, type_, tier):
    words = {"type": "sock" + kind, "key": "u32", "kind": kind, "flags": 0}
    client = lab.socket("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:80")
    keeps = lab.load(assemble(STORES.format(**words), type="sock_ops"))
    keeps.run(ctx={"op": "BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB", "sk": client}, tier=tier)
    held = keeps.maps["sockets"]
    key = (2).to_bytes(4, "little")
    assert held.lookup(key) == client.number.to_bytes(8, "little")
    how = "r3 = 2" if kind == "map" else "r3 = r10\nr3 += -4"
    verb, data = ("msg", b"hello") if type_ == "sk_msg" else ("sk", packets.udp(b"hello"))

    def send(flags=0):
        text = SENDS.format(**{**words, "flags": flags}, how=how, verb=verb)
        program = lab.load(assemble(text, type=type_), maps={"sockets": held})
        return program.run(data, tier=tier)

    done = send()
    assert (done.verdict, done.redirect) == ("SK_PASS", ("sockets", 2 if kind == "map" else key))
    assert send(flags=1).verdict == "SK_PASS"
    assert send(flags=2).verdict == "SK_DROP"
    client.state = "CLOSE_WAIT"
    assert send().verdict == "SK_PASS"
    client.close()
    assert (send().verdict, held.lookup(key)) == ("SK_DROP", None)


def test_what_a_map_of_sockets_takes(lab):
    array, table = [lab.map(spec) for spec in assemble("""
        .map array sockmap u32 u64 2
        .map table sockhash u32 u64 1
        .map narrow sockmap u32 u32 2
        r0 = 0
        exit""", type="sk_skb").maps[:2]]
    one, two = (number.to_bytes(4, "little") for number in (0, 1))
    listens = lab.socket("tcp", bind="10.0.0.1:80", listen=True)
    idle = lab.socket("tcp", bind="10.0.0.1:81")

    def refused(call, *arguments):
        with pytest.raises(KernelError) as caught:
            call(*arguments)
        return caught.value.errno

    assert refused(array.update, one, idle) == 95        # EOPNOTSUPP
    assert refused(array.update, (2).to_bytes(4, "little"), listens) == 7
    assert refused(array.update, one, listens, 2) == ENOENT
    assert refused(array.delete, one) == EINVAL
    array.update(one, listens)
    assert refused(array.update, one, listens, 1) == EEXIST
    table.update(one, listens)
    assert refused(table.update, two, listens) == 7
    assert array.delete(one) and table.delete(one) and not table.delete(one)
    narrow = lab.map(assemble(".map narrow sockmap u32 u32 2\nr0 = 0\nexit", type="sk_skb").maps[0])
    narrow.update(one, listens)
    assert refused(narrow.lookup, one) == ENOSPC


LOOKS_UP = """.map sockets sockmap u32 u64 2
    *(u32 *)(r10 - 4) = {index}
    r1 = map[sockets] ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r6 = *(u32 *)(r0 + 44)
    r1 = r0
    call bpf_sk_release
    r0 = r6
    exit
none:
    r0 = 0
    exit"""


def test_a_program_looks_a_socket_up(lab, tier):
    program = lab.load(assemble(LOOKS_UP.format(index=1), type="sched_cls"))
    assert program.run(packets.udp(b"x"), tier=tier).retval == 0
    program.maps["sockets"].update((1).to_bytes(4, "little"), lab.socket("udp", bind="10.0.0.1:53"))
    assert program.run(packets.udp(b"x"), tier=tier).retval == 53


OPTION = """
    r6 = r1
    *(u32 *)(r10 - 4) = {value}
    r2 = {level}
    r3 = {name}
    r4 = r10
    r4 += -4
    r5 = {size}
    call bpf_setsockopt
    *(u32 *)(r6 + 4) = r0
    r1 = r6
    r2 = {level}
    r3 = {name}
    r4 = r10
    r4 += -4
    r5 = {size}
    call bpf_getsockopt
    r1 = *(u32 *)(r10 - 4)
    *(u32 *)(r6 + 4) = r1
    r0 = 1
    exit"""


@pytest.mark.parametrize("level, name, value, size, reads", [
    (1, 36, 7, 4, 7), (1, 7, 1000, 4, 4608), (1, 7, 100_000, 4, 200_000), (1, 18, 0, 4, 1), (6, 1, 5, 4, 1),
    (6, 4, 0, 4, 7200), (6, 13, 0x6F6E6572, 4, 0x6E6572), (1, 999, 1, 4, 0), (41, 67, 1, 4, 0), (0, 1, 16, 4, 16),
    (1, 36, 7, 2, 0)])
def test_options(lab, level, name, value, size, reads, tier):
    client = lab.socket("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:80")
    done = run(lab, OPTION.format(level=level, name=name, value=value, size=size), "sock_ops", tier,
               sk=client, op="BPF_SOCK_OPS_TCP_CONNECT_CB")
    assert int.from_bytes(done.ctx[4:8], "little") == reads
    assert client.mark == (7 if (name, size) == (36, 4) else 0)


def test_callbacks_that_a_program_asks_for(lab, tier):
    client = lab.socket("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:80")
    text = "r6 = r1\nr2 = 0x83\ncall bpf_sock_ops_cb_flags_set\n*(u32 *)(r6 + 4) = r0\nr0 = 1\nexit"
    done = run(lab, text, "sock_ops", tier, sk=client)
    assert int.from_bytes(done.ctx[4:8], "little") == 0x80
    assert client.callbacks == 3


HEADER = struct.pack(">HHIIBBHHH", 4000, 80, 1, 2, 0x80, 0x10, 1000, 0, 0)
OPTIONS = bytes([2, 4, 5, 0xB4, 1, 3, 3, 7, 253, 6, 0xAB, 0xCD, 1, 2, 0, 0])


@pytest.mark.parametrize("kind, rest, size, found", [
    (2, "", 4, 4), (3, "", 4, 3), (8, "", 4, -42), (3, "", 2, -28), (1, "", 4, -22),
    (2, "*(u8 *)(r10 - 7) = 4", 4, -22),
    (253, "*(u8 *)(r10 - 7) = 4\n*(u8 *)(r10 - 6) = 0xab\n*(u8 *)(r10 - 5) = 0xcd", 8, 6)])
def test_tcp_options_are_found(lab, kind, rest, size, found, tier):
    text = f"""
        r6 = r1
        *(u64 *)(r10 - 8) = 0
        *(u8 *)(r10 - 8) = {kind}
        {rest}
        r2 = r10
        r2 += -8
        r3 = {size}
        r4 = 0
        call bpf_load_hdr_opt
        *(u32 *)(r6 + 4) = r0
        r0 = 1
        exit"""
    done = run(lab, text, "sock_ops", tier, HEADER + OPTIONS, op="BPF_SOCK_OPS_PARSE_HDR_OPT_CB")
    assert signed(int.from_bytes(done.ctx[4:8], "little")) == found


@pytest.mark.parametrize("op, option, said, grown", [
    ("BPF_SOCK_OPS_WRITE_HDR_OPT_CB", (8, 3, 9), 0, 3), ("BPF_SOCK_OPS_WRITE_HDR_OPT_CB", (3, 3, 9), -EEXIST, 0),
    ("BPF_SOCK_OPS_WRITE_HDR_OPT_CB", (8, 9, 9), -EINVAL, 0), ("BPF_SOCK_OPS_HDR_OPT_LEN_CB", (8, 3, 9), -EPERM, 0)])
def test_tcp_options_are_written(lab, op, option, said, grown, tier):
    text = f"""
        r6 = r1
        *(u32 *)(r10 - 4) = {int.from_bytes(bytes(option), "little")}
        r2 = r10
        r2 += -4
        r3 = 4
        r4 = 0
        call bpf_store_hdr_opt
        *(u32 *)(r6 + 4) = r0
        r0 = 1
        exit"""
    header = HEADER + OPTIONS[:8]
    done = run(lab, text, "sock_ops", tier, header, op=op)
    assert signed(int.from_bytes(done.ctx[4:8], "little")) == said
    assert done.data == header + bytes(option)[:grown]


def test_room_for_tcp_options_is_limited(lab, tier):
    text = """
        r6 = r1
        r2 = 20
        r3 = 0
        call bpf_reserve_hdr_opt
        r1 = r6
        r2 = 20
        r3 = 0
        call bpf_reserve_hdr_opt
        *(u32 *)(r6 + 4) = r0
        r0 = 1
        exit"""
    done = run(lab, text, "sock_ops", tier, HEADER + OPTIONS[:4], op="BPF_SOCK_OPS_HDR_OPT_LEN_CB")
    assert signed(int.from_bytes(done.ctx[4:8], "little")) == -ENOSPC
    assert done.effects == {"reserve_hdr_opt": 20}


def test_a_message_is_pulled_pushed_and_popped(lab, tier):
    text = """
        r6 = r1
        r2 = 3
        call bpf_msg_apply_bytes
        r1 = r6
        r2 = 1
        r3 = 2
        r4 = 0
        call bpf_msg_push_data
        r1 = r6
        r2 = 4
        r3 = 2
        r4 = 0
        call bpf_msg_pop_data
        r1 = r6
        r2 = 0
        r3 = 1
        r4 = 0
        call bpf_msg_pull_data
        r2 = *(u64 *)(r6 + 0)
        r3 = *(u64 *)(r6 + 8)
        r4 = r2
        r4 += 1
        if r4 > r3 goto out
        *(u8 *)(r2 + 0) = 0x48
    out:
        r0 = 1
        exit"""
    done = run(lab, text, "sk_msg", tier, b"hello")
    assert (done.verdict, done.data, done.effects) == ("SK_PASS", b"H\0\0eo", {"msg_apply_bytes": 3})


SELECTS = """.map sockets sockmap u32 u64 1
    r6 = r1
    *(u32 *)(r10 - 4) = 0
    r1 = map[sockets] ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r7 = r0
    r1 = r6
    r2 = r7
    r3 = {flags}
    call bpf_sk_assign
    r8 = r0
    r1 = r7
    call bpf_sk_release
    if r8 == 0 goto none
    r0 = 0
    exit
none:
    r0 = 1
    exit"""


def test_a_listener_is_selected(lab, tier):
    program = lab.load(replace(assemble(SELECTS.format(flags=0), type="sk_lookup"), attach_type="sk_lookup"))
    ctx = {"family": 2, "protocol": 6, "local_ip4": "10.0.0.1", "local_port": 7}
    assert program.run(ctx=ctx, tier=tier).effects == {}
    listens = lab.socket("tcp", bind="10.0.0.9:80", listen=True)
    program.maps["sockets"].update(bytes(4), listens)
    done = program.run(ctx=ctx, tier=tier)
    assert (done.verdict, done.effects) == ("SK_PASS", {"sk_assign": listens})
    assert program.run(ctx={**ctx, "protocol": 17}, tier=tier).verdict == "SK_DROP"       # EPROTOTYPE
    assert program.run(ctx={**ctx, "sk": listens}, tier=tier).verdict == "SK_DROP"        # EEXIST


def test_a_connection_is_bound_to_a_source(lab, tier):
    client = lab.socket("tcp", bind="0.0.0.0:0")
    text = """
        *(u64 *)(r10 - 16) = 2
        *(u32 *)(r10 - 12) = 0x0700000a
        *(u64 *)(r10 - 8) = 0
        r2 = r10
        r2 += -16
        r3 = 16
        call bpf_bind
        r0 &= 1
        r0 ^= 1
        exit"""
    done = run(lab, text, "cgroup_sock_addr", tier, attach="cgroup_inet4_connect", sk=client, user_family=2)
    assert (done.retval, str(client.local[0])) == (1, "10.0.0.7")


def test_storage_of_a_socket_ends_with_it(lab, tier):
    text = """.map counts sk_storage u32 u64 0 flags=1
        r2 = *(u64 *)(r1 + 168)
        if r2 == 0 goto out
        r1 = r2
        call bpf_sk_fullsock
        if r0 == 0 goto out
        r2 = r0
        r1 = map[counts] ll
        r3 = 0
        r4 = 1
        call bpf_sk_storage_get
        if r0 == 0 goto out
        r1 = *(u64 *)(r0 + 0)
        r1 += 1
        *(u64 *)(r0 + 0) = r1
        r0 = r1
        exit
    out:
        r0 = 0
        exit"""
    machine = lab.machine
    program = machine.load(assemble(text, type="sched_cls"))
    client = lab.socket("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:80")
    frame = packets.udp(b"x")
    assert [program.run(frame, ctx={"sk": client}, tier=tier).retval for _ in range(2)] == [1, 2]
    assert [program.run(frame, tier=tier).retval for _ in range(2)] == [1, 1]      # a test run has a new socket
    assert len(list(program.maps["counts"].keys())) == 2
    client.close()
    assert len(list(program.maps["counts"].keys())) == 1


def test_what_is_no_socket_is_a_fault(lab, tier):
    for name in ("sk_release", "tcp_sock", "sk_fullsock", "get_listener_sock"):
        program = lab.machine.load(assemble(f"r1 = r10\ncall bpf_{name}\nexit", type="sched_cls"))
        with pytest.raises(Fault, match="is not a socket"):
            program.run(packets.udp(b"x"), tier=tier)
    program = lab.machine.load(assemble("r0 = 0\nexit", type="sock_ops"))
    with pytest.raises(Fault, match="is not a socket"):
        program.run(ctx={"sk": 4096}, tier=tier)


# -- memory that is not the program's ----------------------------------------------------------------

PROBES = """
    r3 = *(u64 *)(r1 + 112)
    r1 = r10
    r1 += -8
    r2 = 8
    call bpf_{helper}
    if r0 != 0 goto out
    r0 = *(u8 *)(r10 - 8)
out:
    exit"""


@pytest.mark.parametrize("helper, user, found", [
    ("probe_read_user", True, 65), ("probe_read_user", False, -EFAULT), ("probe_read_kernel", False, 65),
    ("probe_read_kernel", True, -ERANGE), ("probe_read", True, 65), ("probe_read", False, 65)])
def test_memory_of_the_process_and_of_the_kernel(lab, helper, user, found, tier):
    address = lab.memory(b"ABCDEFGH", user=user)
    assert signed(run(lab, PROBES.format(helper=helper), "kprobe", tier, di=address).retval) == found
    nowhere = -ERANGE if helper == "probe_read_kernel" else -EFAULT
    assert signed(run(lab, PROBES.format(helper=helper), "kprobe", tier, di=4096).retval) == nowhere
    kernels = 0xFFFF_8880_0000_0000
    assert signed(run(lab, PROBES.format(helper=helper), "kprobe", tier, di=kernels).retval) == -EFAULT


def test_a_program_without_types_has_no_structs(lab):
    program = lab.load(assemble("r0 = 0\nexit", type="kprobe"))
    with pytest.raises(SpecError, match="no type struct request"):
        program.struct("request", {"rq_flags": 1})
    with pytest.raises(SpecError, match="a socket is no struct request"):
        program.struct("request", lab.socket("tcp", bind="10.0.0.1:80"))


def test_helpers_left_out_say_so(lab, tier):
    program = lab.machine.load(assemble("call bpf_tcp_raw_gen_syncookie_ipv4\nexit", type="xdp"))
    with pytest.raises(Unsupported, match="tcp_raw_gen_syncookie_ipv4 is not simulated"):
        program.run(packets.udp(b"x"), tier=tier)
