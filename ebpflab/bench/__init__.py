"""``ebpflab bench``: what is measured, beside a peer in the same run. One module a subject, each with ``measure()``."""

from __future__ import annotations

from importlib import import_module

#: subjects, as the command line names them
SUBJECTS = ("asm", "exec", "verify")


def measure(subject: str) -> list[dict]:
    """The rows of a subject (see ``rows``)."""
    return import_module(f".{subject}", __name__).measure()
