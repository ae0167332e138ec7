"""The verifier that explains itself: walks programs as Linux 6.18 does, with the same messages and states."""

from . import explore
from .explore import verify

#: does the compiled build run here (docs/speed.md)? It says and does the same as the source, faster.
COMPILED = not explore.__file__.endswith(".py")

__all__ = ["COMPILED", "verify"]
