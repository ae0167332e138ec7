"""The verifier that explains itself: walks programs as Linux 6.18 does, with the same messages and states."""

from .explore import verify

__all__ = ["verify"]
