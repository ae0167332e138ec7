"""Starts agents: the one part of ebpflab that is built into a guest.

The agent's code is not in the image. A client greets with the code's digest; if it is not the code that runs here,
the client sends it (a zip), it is imported once, and every connection is then served by a fork. So a guest that is
restored from a snapshot answers at once, and a change of ebpflab needs neither a new image nor a new snapshot.
A client repeats its greeting until it is answered, since the agent of a client before it may swallow the first one.

    client:  EBPFLAB1 {"nonce", "sha", "size", "time", "seed"}
    zygote:  EBPFLAB1 {"nonce", "have": true|false, "python"}
    client:  EBPFLAB1 {"nonce", "go": true}, and the zip if it was not there
             (or at once {…, "shell": [rows, columns]}: then it is bytes of a terminal from the answer on)
    zygote:  EBPFLAB1 {"nonce", "ok": true} or {"nonce", "error": traceback}
    and from then on ``ebpflab.kernel.wire``

As process 1 it serves a virtio-serial port for ever; otherwise standard input and output, once.
Standard library alone, Python 3.9 and later.
"""

import fcntl
import hashlib
import io
import json
import os
import select
import shutil
import signal
import struct
import sys
import time
import traceback
import zipfile

MAGIC = b"EBPFLAB1 "
END = b"\0ebpflab: bye\n"
PORT = "ebpflab.agent"
RNDADDENTROPY, RNDRESEEDCRNG = 0x40085203, 0x5207


class Zygote:
    """Holds the imported agent; ``where`` is a directory for its code."""

    def __init__(self, where):
        self.where, self.sha, self.shell = where, None, None

    def welcome(self, reading, writing):
        """Talk to one client up to the point where an agent can take over; False if there is none to serve."""
        source, hello = Source(reading), {"nonce": None}
        reply = source.message("sha")
        while "go" not in reply or reply["nonce"] != hello["nonce"]:
            if "sha" in reply and reply["nonce"] != hello["nonce"]:      # else it repeats itself
                hello = reply        # the client before may have given up
                set_clock_and_seed(hello)
                nonce = {"nonce": hello["nonce"]}
                self.shell = hello if "shell" in hello else None
                if self.shell:
                    say(writing, dict(nonce, ok=True))
                    return True
                say(writing, dict(nonce, have=self.sha == hello["sha"], python=sys.version.split()[0]))
            reply = source.message("sha", "go")
        if self.sha != hello["sha"]:
            try:
                self.load(hello["sha"], source.exactly(hello["size"]))
            except EOFError:
                raise
            except Exception:
                self.unload()
                say(writing, dict(nonce, error=traceback.format_exc()))
                return False
        say(writing, dict(nonce, ok=True))
        return True

    def load(self, sha, code):
        if hashlib.sha256(code).hexdigest() != sha:
            raise ValueError("the agent's code was damaged on the way")
        self.unload()
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            archive.extractall(self.where)
        sys.path.insert(0, self.where)
        import ebpflab.kernel.agent
        import ebpflab.kernel.session  # noqa: F401 (what a fork needs is loaded once)
        self.sha = sha

    def unload(self):
        self.sha = None
        shutil.rmtree(self.where, ignore_errors=True)
        sys.path[:] = [entry for entry in sys.path if entry != self.where]
        sys.path_importer_cache.clear()
        for name in [name for name in sys.modules if name.split(".")[0] == "ebpflab"]:
            del sys.modules[name]

    def serve(self, reading, writing):
        if self.shell:
            return shell(reading, self.shell)
        from ebpflab.kernel import agent
        agent.main(reading, writing)


class Source:
    """Lines, then bytes, of one client."""

    def __init__(self, fd):
        self.fd, self.held = fd, b""

    def message(self, *keys):
        """The next message that has one of ``keys``, whatever a dead client left before it."""
        while True:
            while b"\n" not in self.held:
                self.held = self.held[-65536:] + self.more(65536)
            line, self.held = self.held.split(b"\n", 1)
            at = line.rfind(MAGIC)
            if at >= 0:
                try:
                    message = json.loads(line[at + len(MAGIC):])
                except ValueError:
                    continue
                if "nonce" in message and any(key in message for key in keys):
                    return message

    def exactly(self, size):
        pieces, have = [self.held], len(self.held)
        self.held = b""
        while have < size:
            pieces.append(self.more(min(size - have, 1 << 20)))
            have += len(pieces[-1])
        return b"".join(pieces)

    def more(self, size):
        piece = os.read(self.fd, size)
        if not piece:
            raise EOFError
        return piece


def say(writing, what):
    data = b"\n" + MAGIC + json.dumps(what).encode() + b"\n"
    while data:
        data = data[os.write(writing, data):]


def set_clock_and_seed(hello):
    """A restored guest has the clock and the random numbers of the moment when it was saved: give it new ones."""
    if os.getpid() != 1:
        return
    time.clock_settime(time.CLOCK_REALTIME, hello["time"])
    seed = bytes.fromhex(hello["seed"])
    with open("/dev/urandom", "wb", buffering=0) as random:
        fcntl.ioctl(random, RNDADDENTROPY, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
        fcntl.ioctl(random, RNDRESEEDCRNG)


def shell(fd, hello):
    """A shell on a pseudo-terminal of the client's size; its end, or the client's, is the other's end."""
    import pty
    import termios
    child, terminal = pty.fork()
    if not child:
        os.chdir("/root")
        os.environ.update(TERM=hello["term"], HOME="/root", PS1="\\h:\\w# ")
        os.execvp("bash", ["bash", "--norc", "-i"] if hello["echo"] else ["bash", "--norc"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *hello["shell"], 0, 0))
    if not hello["echo"]:
        settings = termios.tcgetattr(terminal)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
    try:
        while True:
            ready, _, _ = select.select([fd, terminal], [], [])
            if terminal in ready:
                os.write(fd, os.read(terminal, 4096))
            if fd in ready:
                data = os.read(fd, 4096)
                if not data:
                    break
                os.write(terminal, data)
    except OSError:              # the shell has ended
        os.write(fd, END)
    os.kill(child, signal.SIGKILL)
    os._exit(0)


def port():
    """The path of our virtio-serial port."""
    while True:
        for name in os.listdir("/sys/class/virtio-ports"):
            with open("/sys/class/virtio-ports/" + name + "/name") as file:
                if file.read().strip() == PORT:
                    return "/dev/" + name
        time.sleep(0.01)


def wait_for_client(fd):
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while not any(event & select.POLLIN for _, event in poller.poll(1000)):
        time.sleep(0.01)         # a port without a client reports a hang-up at once


def for_ever():
    zygote = Zygote("/run/ebpflab")
    fd = os.open(port(), os.O_RDWR)
    print("ebpflab: ready", flush=True)
    while True:
        wait_for_client(fd)
        try:
            if not zygote.welcome(fd, fd):
                continue
        except (OSError, EOFError):
            continue
        child = os.fork()
        if not child:
            os.setsid()
            try:
                zygote.serve(fd, fd)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        while os.wait()[0] != child:
            pass
        try:                     # whatever the agent started goes with it
            os.kill(-1, signal.SIGKILL)
            while True:
                os.wait()
        except (ChildProcessError, ProcessLookupError):
            pass


def once():
    import tempfile
    with tempfile.TemporaryDirectory(prefix="ebpflab-agent-") as where:
        zygote = Zygote(where)
        if not zygote.welcome(0, 1):
            sys.exit(1)
    zygote.serve(0, 1)


if __name__ == "__main__":
    for_ever() if os.getpid() == 1 else once()
