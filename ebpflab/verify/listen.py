"""What the compiled verifier leaves to Python."""

from __future__ import annotations


def listen() -> None:
    """Let Python handle Ctrl-C and other threads run.

    Compiled code does neither; a call of a function that is not compiled, as this must stay, does both.
    """
