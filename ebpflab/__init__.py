"""ebpflab: a lab for learning eBPF and doing research with it.

>>> import ebpflab as lab
>>> prog = lab.load("r0 = 2; exit", type="xdp")      # assembled, verified, loaded on the simulator
>>> prog.run(bytes(64)).verdict
'XDP_PASS'

In a notebook: ``%load_ext ebpflab``, then ``%%bpf`` cells.
"""

from importlib import import_module

__version__ = "0.1.0"

#: public name -> module that holds it; loaded when first used, so that importing the package costs nothing
_LAZY = {
    **dict.fromkeys(("Bundle", "Program", "assemble", "available", "close", "compare", "compile_c", "coverage",
                     "debug", "disassemble", "explain", "journey", "load", "load_object", "matrix", "run", "run_many",
                     "set_default", "target", "verify"), "lab"),
    **dict.fromkeys(("MapSpec", "ObjectSpec", "ProgramSpec", "map_spec"), "spec"),
    "Traffic": "traffic",
    "doctor": "doctor",
    "Insn": "isa",
    "packets": "sim",
    **dict.fromkeys(("EbpflabError", "AsmError", "DecodeError", "SpecError", "Rejected", "Unsupported", "Fault",
                     "KernelError", "TargetError"), "errors"),
}
__all__ = sorted([*_LAZY, "load_ipython_extension"])


def __getattr__(name: str):
    if name in _LAZY:
        module = import_module(f".{_LAZY[name]}", __name__)
        if _LAZY[name] == name:
            return module
        return getattr(module, name) if hasattr(module, name) else import_module(f".{_LAZY[name]}.{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])


def load_ipython_extension(ipython) -> None:
    """``%load_ext ebpflab``: the magics and the displays."""
    from .magics import register

    register(ipython)


def unload_ipython_extension(ipython) -> None:
    """``%unload_ext ebpflab``: close what is open."""
    from .lab import close

    close()
