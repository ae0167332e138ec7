"""RemoteSession against an agent in another process, over its pipes and over a socket."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ebpflab import errors
from ebpflab.kernel import wire
from ebpflab.targets.remote import RemoteSession

ECHO = [sys.executable, str(Path(__file__).with_name("echo_agent.py"))]


class Peer:
    """An agent process and the session that speaks to it."""

    def __init__(self, tmp_path, kind):
        self.last_word = tmp_path / "last-word"
        if kind == "pipe":
            self.process = subprocess.Popen([*ECHO, self.last_word], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stream = wire.Stream(os.dup(self.process.stdout.fileno()), os.dup(self.process.stdin.fileno()))
            self.process.stdout.close()
            self.process.stdin.close()
        else:
            mine, its = socket.socketpair()
            self.process = subprocess.Popen([*ECHO, self.last_word], stdin=its, stdout=its)
            its.close()
            stream = wire.Stream(mine.detach())
        self.session = RemoteSession(stream, name="echo", explain=lambda: "its last words")

    def ended(self, within=10) -> bool:
        self.process.wait(within)
        return self.last_word.exists()


@pytest.fixture(params=["pipe", "socket"])
def peer(request, tmp_path):
    peer = Peer(tmp_path, request.param)
    yield peer
    peer.session.disconnect()
    if peer.process.poll() is None:
        try:
            peer.process.wait(10)
        except subprocess.TimeoutExpired:
            peer.process.kill()
            peer.process.wait()
            raise


def test_a_call_and_its_answer(peer):
    assert peer.session.call("echo", {"a": [1, b"\0" * 100_000]}) == {"a": [1, b"\0" * 100_000]}
    assert peer.session.call("echo", "x", twice=True) == ["x", "x"]
    assert peer.session.agent["pid"] == peer.process.pid


def test_an_error_arrives_with_all_it_says(peer):
    with pytest.raises(errors.KernelError) as caught:
        peer.session.call("fail", "kernel")
    error = caught.value
    assert (error.what, error.errno, error.call, error.log, error.where, error.hint) == (
        "no", 7, "BPF_PROG_LOAD", "R0 !read_ok", "x", "try")
    with pytest.raises(errors.Unsupported, match="not here"):
        peer.session.call("fail", "unsupported")
    with pytest.raises(errors.KernelError) as caught:
        peer.session.call("fail", "os")
    assert caught.value.errno == 2
    with pytest.raises(errors.TargetError, match="ZeroDivisionError: oops") as caught:
        peer.session.call("fail", "bug")
    assert "echo_agent.py" in caught.value.__notes__[0]
    with pytest.raises(errors.TargetError, match="object cannot be sent"):
        peer.session.call("fail", "answer")
    with pytest.raises(TypeError):
        peer.session.call("echo", 1, 2, 3)
    with pytest.raises(errors.Unsupported, match="no call 'seen'"):
        peer.session.call("seen")
    assert peer.session.call("echo", "still here") == "still here"


def test_a_wrong_call_is_refused_without_a_round_trip(peer):
    sent = peer.session._stream.sent
    with pytest.raises(TypeError):
        peer.session.map_lookup(1)
    with pytest.raises(wire.WireError):
        peer.session.call("echo", object())
    assert peer.session._stream.sent == sent
    assert peer.session.call("echo", 1) == 1


def test_one_thread_is_served_in_order_and_pipelined(peer):
    futures = [peer.session.submit("wait", 0.001, number) for number in range(1000)]
    assert [future.result(30) for future in futures] == list(range(1000))
    assert peer.session.call("log") == list(range(1000))


def test_another_thread_does_not_wait_for_a_long_call(peer):
    long = peer.session.submit("wait", 60, "long")
    times = []

    def other():
        begin = time.monotonic()
        peer.session.call("echo", 1)
        times.append(time.monotonic() - begin)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(30)
    assert times and times[0] < 30 and not long.done()


def test_many_threads_get_their_own_answers(peer):
    wrong = []

    def work(number):
        for turn in range(50):
            value = [number, turn, os.urandom(turn * 50)]
            if peer.session.call("echo", value) != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_an_interrupt_stops_the_call_over_there_and_leaves_the_wire_whole(peer):
    with pytest.raises(KeyboardInterrupt):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        peer.session.call("wait", 60, "never")
    begin = time.monotonic()
    assert peer.session.call("log") == []            # same lane: it would wait for the minute to pass
    assert time.monotonic() - begin < 30


def test_interrupts_in_a_storm_of_calls_never_cut_a_frame(peer):
    payload = b"p" * 200_000
    interrupted = 0
    for _ in range(30):
        timer = threading.Timer(0.004, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            for _ in range(10_000):
                peer.session.call("echo", payload)
        except KeyboardInterrupt:
            interrupted += 1
        timer.join()
    assert interrupted == 30
    assert peer.session.call("echo", payload) == payload


def test_disconnect_ends_the_agent_which_closes_everything(peer):
    peer.session.call("echo", 1)
    peer.session.disconnect()
    assert peer.ended() and peer.process.returncode == 0
    with pytest.raises(errors.TargetError, match="echo is closed"):
        peer.session.call("echo", 1)
    peer.session.disconnect()


def test_an_agent_that_dies_is_told_to_all_who_wait(peer):
    waiting = [peer.session.submit("wait", 60, number) for number in range(3)]
    peer.process.kill()
    for future in waiting:
        with pytest.raises(errors.TargetError, match="connection was lost") as caught:
            future.result(10)
        assert caught.value.hint == "its last words"
    with pytest.raises(errors.TargetError, match="connection was lost"):
        peer.session.call("echo", 1)


def test_a_client_killed_in_the_middle_leaves_no_agent(tmp_path):
    """The client is a process of its own, killed -9 while a call runs; the agent's last word must come."""
    code = f"""
import sys, pathlib; sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_remote
peer = test_remote.Peer(pathlib.Path({str(tmp_path)!r}), "pipe")
peer.session.submit("wait", 60, 1)
print(peer.process.pid, flush=True)
peer.session.call("wait", 60, 2)
"""
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    agent = int(client.stdout.readline())
    client.kill()
    client.wait()
    client.stdout.close()
    deadline = time.monotonic() + 10
    while running(agent) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(agent)
    assert (tmp_path / "last-word").read_text() == "closed"


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_someone_else_at_the_other_end_is_an_error(tmp_path):
    mine, its = socket.socketpair()
    its.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(errors.TargetError, match="does not speak this protocol"):
        RemoteSession(wire.Stream(mine.detach()), name="stranger", timeout=10)
    its.close()


def test_another_version_is_told(tmp_path):
    mine, its = socket.socketpair()
    its.sendall(b"".join(wire.frame(wire.HELLO, wire.VERSION + 1, 0, {})))
    with pytest.raises(errors.TargetError, match=f"version {wire.VERSION + 1}"):
        RemoteSession(wire.Stream(mine.detach()), name="newer", timeout=10)
    its.close()


def test_silence_is_an_error_after_a_while():
    mine, its = socket.socketpair()
    with pytest.raises(errors.TargetError, match="does not answer"):
        RemoteSession(wire.Stream(mine.detach()), name="mute", timeout=0.2)
    its.close()
