"""The kernel's interface as tables: program types, map types, helpers, contexts, attach types."""

from .attach_types import ATTACH_TYPES
from .contexts import CONTEXTS, POINTERS, Access, Context, access, pointer_access
from .helper_ids import HELPER_IDS, HELPER_NAMES
from .helpers import HELPERS, Arg, Helper, may_call, prototype
from .map_types import MAP_TYPES, MapType
from .prog_types import PROG_TYPES, ProgType
from .structs import STRUCTS, Member, Struct

__all__ = ["ATTACH_TYPES", "CONTEXTS", "HELPERS", "HELPER_IDS", "HELPER_NAMES", "MAP_TYPES", "POINTERS", "PROG_TYPES",
           "STRUCTS", "Access", "Arg", "Context", "Helper", "MapType", "Member", "ProgType", "Struct", "access",
           "may_call", "pointer_access", "prototype"]
