"""The agent with a real Session, in another process of this machine: started directly, or by the zygote."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebpflab import assemble
from ebpflab.errors import KernelError, TargetError
from ebpflab.kernel import wire
from ebpflab.kernel.session import Session
from ebpflab.targets.kernel import KernelTarget
from ebpflab.targets.remote import RemoteSession
from ebpflab.vm import image, push

DIRECT = [sys.executable, "-m", "ebpflab.kernel.agent"]
ZYGOTE = [sys.executable, "-I", "-S", str(image.GUEST / "zygote.py")]


def start(command, tmp_path) -> tuple[subprocess.Popen, int, int]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={
        **os.environ, "TMPDIR": str(tmp_path)})
    fds = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
    process.stdout.close()
    process.stdin.close()
    return process, *fds


@pytest.fixture(params=["direct", "zygote"])
def agent(request, tmp_path):
    """(process, session)"""
    if request.param == "direct":
        process, *fds = start(DIRECT, tmp_path)
        stream = wire.Stream(*fds)
    else:
        process, *fds = start(ZYGOTE, tmp_path)
        stream = push.start_agent(*fds)
    session = RemoteSession(stream, name="agent")
    yield process, session
    session.disconnect()
    assert process.wait(15) == 0
    assert not list(tmp_path.iterdir())                    # the zygote's copy of the code is gone


@pytest.fixture
def bpf():
    with Session() as session:
        facts = session.facts()
    if not facts["privileged"]:
        pytest.skip(f"bpf(2) is not allowed here: {facts['denied']}")


def test_facts_are_those_of_this_kernel(agent):
    _, session = agent
    with Session() as mine:
        assert session.facts() == mine.facts()


@pytest.mark.kernel
def test_a_target_over_the_wire_is_a_target(agent, bpf):
    _, session = agent
    target = KernelTarget(session, "agent")
    with target.load(assemble("r0 = 2; exit", type="xdp")) as program:
        assert program.run(bytes(64)).verdict == "XDP_PASS"
        assert program.id in session.ids("prog")
    with pytest.raises(KernelError) as caught:
        session.map_create(1, 0, 8, 1)
    assert caught.value.errno == 22 and caught.value.call
    with pytest.raises(KernelError, match="no open map"):
        session.map_read(999)


@pytest.mark.kernel
@pytest.mark.parametrize("how", ["disconnect", "kill the agent", "kill while a call runs"])
def test_nothing_stays_in_the_kernel(tmp_path, bpf, how):
    process, *fds = start(DIRECT, tmp_path)
    session = RemoteSession(wire.Stream(*fds), name="agent")
    made = session.map_create(1, 4, 4, 1)
    net = session.net_create()["net"]
    program = session.prog_load(6, assemble("r0 = 2; exit", type="xdp").bytes)
    session.attach(program["prog"], {"kind": "xdp", "net": net, "dev": "lab1", "mode": "native"})
    if how != "disconnect":
        if "runs" in how:
            session.submit("net_send", net, "lab0", [bytes(60)], 10_000, 100)
            time.sleep(0.2)
        process.kill()
    session.disconnect()
    process.wait(15)
    with Session() as mine:
        end = time.monotonic() + 10
        while time.monotonic() < end and (made["id"] in mine.ids("map") or program["id"] in mine.ids("prog")):
            time.sleep(0.05)
        assert made["id"] not in mine.ids("map") and program["id"] not in mine.ids("prog")


@pytest.mark.kernel
def test_a_long_call_ends_with_its_client(tmp_path, bpf):
    """Traffic for a minute is under way; the agent is gone long before."""
    process, *fds = start(DIRECT, tmp_path)
    session = RemoteSession(wire.Stream(*fds), name="agent")
    net = session.net_create()["net"]
    session.submit("net_send", net, "lab0", [bytes(60)], 6000, 100)
    time.sleep(0.2)
    begin = time.monotonic()
    session.disconnect()
    assert process.wait(30) == 0
    assert time.monotonic() - begin < 30


def test_code_that_does_not_import_is_told(tmp_path, monkeypatch):
    import hashlib
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("ebpflab/__init__.py", "")
        archive.writestr("ebpflab/kernel/__init__.py", "import nothing_of_that_name")
    code = out.getvalue()
    monkeypatch.setattr(push, "agent_code", lambda: (code, hashlib.sha256(code).hexdigest()))
    process, *fds = start(ZYGOTE, tmp_path)
    with pytest.raises(TargetError, match="No module named 'nothing_of_that_name'") as caught:
        push.start_agent(*fds)
    assert "Traceback" in caught.value.__notes__[0]
    assert process.wait(10) == 1


def test_code_that_was_damaged_is_refused(tmp_path, monkeypatch):
    code, sha = push.agent_code()
    monkeypatch.setattr(push, "agent_code", lambda: (code[:-1] + b"x", sha))
    process, *fds = start(ZYGOTE, tmp_path)
    with pytest.raises(TargetError, match="damaged on the way"):
        push.start_agent(*fds)
    process.wait(10)


def test_nobody_at_the_other_end(tmp_path):
    process, *fds = start([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)
    with pytest.raises(TargetError, match="does not answer in time"):
        push.start_agent(*fds, timeout=0.5)
    process.kill()
    process.wait()
    process, *fds = start([sys.executable, "-c", ""], tmp_path)
    with pytest.raises(TargetError, match="hung up"):
        push.start_agent(*fds, timeout=5)
    process.wait()


def test_the_same_source_is_the_same_zip():
    code, sha = push.agent_code()
    push.agent_code.cache_clear()
    assert push.agent_code() == (code, sha)


def test_the_agent_runs_where_only_the_standard_library_is(tmp_path):
    """-I -S: no site-packages; and the whole of it comes from the zip, not from this checkout."""
    process, *fds = start(ZYGOTE, tmp_path)
    with RemoteSession(push.start_agent(*fds), name="agent") as session:
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "site-packages" not in maps
        assert session.handles() == []
    process.wait(10)
