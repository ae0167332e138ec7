"""llvmlite, and nothing else that knows of it: IR text in, host addresses of functions out."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

from ...errors import Unsupported

FAST, HOT = 0, 2      # optimisation: only registers out of memory and quick selection; everything (-O2)


@lru_cache(maxsize=1)
def installed() -> bool:
    """Is llvmlite there? Does not import it."""
    return find_spec("llvmlite") is not None


@lru_cache(maxsize=1)
def _host():
    """(llvmlite.binding, target, CPU name, CPU features) of this machine."""
    try:
        import llvmlite.binding as llvm  # type: ignore[import-untyped]
    except ImportError as error:
        raise Unsupported(f"the JIT tier needs llvmlite: {error}", hint='pip install "ebpflab[jit]"') from None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm, llvm.Target.from_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


class Module:
    """Compiled IR. ``address(name)`` of its functions holds as long as the Module lives."""

    def __init__(self, text: str, level: int):
        llvm, target, cpu, features = _host()
        self.level = level
        machine = target.create_target_machine(cpu=cpu, features=features, opt=level, jit=True)
        parsed = llvm.parse_assembly(text)
        parsed.verify()
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
        if level == FAST:
            passes = llvm.create_new_module_pass_manager()
            passes.add_sroa_pass()
        else:
            passes = builder.getModulePassManager()
        passes.run(parsed, builder)
        self._engine = llvm.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Host address of a function."""
        return self._engine.get_function_address(name)
