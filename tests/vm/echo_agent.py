"""An agent for tests of the wire: serves calls that echo, fail, wait and print. Argument: a file for its last word."""

import os
import sys
import time

from ebpflab import errors
from ebpflab.kernel import agent, wire


class Echo:
    CALLS = ("echo", "fail", "wait", "log", "close_all")

    def __init__(self, last_word: str):
        self.last_word = last_word
        self.seen = []

    def echo(self, value, *, twice: bool = False):
        print("this must not end up among the frames")
        return [value, value] if twice else value

    def fail(self, how: str):
        if how == "kernel":
            raise errors.KernelError("no", errno=7, call="BPF_PROG_LOAD", log="R0 !read_ok", where="x", hint="try")
        if how == "unsupported":
            raise errors.Unsupported("not here", hint="there")
        if how == "os":
            os.stat("/no/such/file")
        if how == "answer":
            return object()
        raise ZeroDivisionError("oops")

    def wait(self, seconds: float, tag):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(0.01, max(end - time.monotonic(), 0)))
        self.seen.append(tag)
        return tag

    def log(self):
        return self.seen

    def close_all(self):
        with open(self.last_word, "w") as file:
            file.write("closed")


if __name__ == "__main__":
    stream = wire.Stream(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    agent.serve(Echo(sys.argv[1]), stream)
