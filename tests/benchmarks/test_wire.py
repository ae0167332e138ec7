"""Our wire beside RPyC's, each between two processes over one pair of sockets: what a call and a map's columns cost.

CPU time of both processes together, since what is spent here and what is spent in the guest count alike.
"""

import socket
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from ebpflab.kernel import wire
from ebpflab.targets.remote import RemoteSession

pytestmark = pytest.mark.benchmark
ROWS = 100_000
PEER = """
import sys, socket
def read(rows): return {"keys": b"k" * 4 * rows, "values": b"v" * 8 * rows, "count": rows, "lost": 0, "unsettled": []}
def lookup(handle, key): return b"\\0" * 8
end = socket.socket(fileno=0)
if sys.argv[1] == "ours":
    import os
    from ebpflab.kernel import agent, wire
    class Calls:
        CALLS = ("read", "lookup")
        read, lookup = staticmethod(read), staticmethod(lookup)
        def close_all(self): pass
    agent.serve(Calls(), wire.Stream(end.detach()))
else:
    import rpyc
    from rpyc.core.stream import SocketStream
    class Calls(rpyc.Service):
        exposed_read, exposed_lookup = staticmethod(read), staticmethod(lookup)
    rpyc.utils.factory.connect_stream(SocketStream(end), Calls, {"allow_public_attrs": True}).serve_all()
"""


class Side:
    """One of the two: a process that serves, and the client here."""

    def __init__(self, name: str):
        mine, its = socket.socketpair()
        self.process = subprocess.Popen([sys.executable, "-c", PEER, name], stdin=its)
        its.close()
        if name == "ours":
            session = RemoteSession(wire.Stream(mine.detach()), name=name)
            self.read, self.lookup = lambda: session.call("read", ROWS), lambda: session.call("lookup", 1, bytes(4))
            self.close = session.disconnect
        else:
            import rpyc
            from rpyc.core.stream import SocketStream

            connection = rpyc.utils.factory.connect_stream(SocketStream(mine))
            # a dict comes as a reference there: what is in it is asked for piece by piece
            self.read = lambda: dict(connection.root.read(ROWS))
            self.lookup = lambda: connection.root.lookup(1, bytes(4))
            self.close = connection.close

    def cpu(self, call, turns: int, rounds: int = 5) -> float:
        """Median CPU seconds of a call, both processes, all their threads."""
        taken = []
        for _ in range(rounds):
            before = spent("self") + spent(self.process.pid)
            for _ in range(turns):
                call()
            taken.append((spent("self") + spent(self.process.pid) - before) / turns)
        return statistics.median(taken)


def spent(pid) -> float:
    """Seconds on a CPU of all threads of a process that live now (Documentation/scheduler/sched-stats)."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@pytest.fixture(scope="module")
def sides():
    pytest.importorskip("rpyc", reason="the peer of this benchmark is not installed: pip install rpyc")
    both = {name: Side(name) for name in ("ours", "rpyc")}
    yield both
    for side in both.values():
        side.close()
        side.process.wait(10)


def test_a_small_call(sides, report):
    assert sides["ours"].lookup() == sides["rpyc"].lookup() == bytes(8)
    ours, theirs = (sides[name].cpu(sides[name].lookup, 500) * 1e6 for name in ("ours", "rpyc"))
    report("a map lookup over the wire", ours, "us CPU", "rpyc", theirs)


def test_the_columns_of_a_large_map(sides, report):
    ours, theirs = (sides[name].read() for name in ("ours", "rpyc"))
    assert ours["values"] == theirs["values"] and len(ours["keys"]) == 4 * ROWS and ours["count"] == theirs["count"]
    ours, theirs = (sides[name].cpu(sides[name].read, 20) * 1e3 for name in ("ours", "rpyc"))
    report("100,000 rows over the wire", ours, "ms CPU", "rpyc", theirs)
