"""``python -m ebpflab`` is the command ``ebpflab``."""

from .cli import main

main()
