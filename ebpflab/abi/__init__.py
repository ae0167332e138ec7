"""The kernel's interface as tables: program types, map types, helpers, contexts, attach types.

The names and numbers are here at once; the large tables (contexts, helper prototypes) are read at first use.
"""

from .attach_types import ATTACH_TYPES
from .helper_ids import HELPER_IDS, HELPER_NAMES
from .map_types import MAP_TYPES, MapType
from .prog_types import PROG_TYPES, ProgType

#: name -> module that holds it
_LATER = {
    **dict.fromkeys(("CONTEXTS", "POINTERS", "Access", "Context", "access", "pointer_access"), "contexts"),
    **dict.fromkeys(("HELPERS", "Arg", "Helper", "may_call", "prototype"), "helpers"),
    **dict.fromkeys(("STRUCTS", "Member", "Struct"), "structs"),
}

__all__ = ["ATTACH_TYPES", "CONTEXTS", "HELPERS", "HELPER_IDS", "HELPER_NAMES", "MAP_TYPES", "POINTERS", "PROG_TYPES",
           "STRUCTS", "Access", "Arg", "Context", "Helper", "MapType", "Member", "ProgType", "Struct", "access",
           "may_call", "pointer_access", "prototype"]


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value
