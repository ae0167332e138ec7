"""The kernel's interface as tables: program types, map types, helpers, contexts, attach types."""

from .attach_types import ATTACH_TYPES
from .contexts import CONTEXTS, POINTERS, Access, Context, access, pointer_access
from .helper_ids import HELPER_IDS, HELPER_NAMES
from .map_types import MAP_TYPES, MapType
from .prog_types import PROG_TYPES, ProgType
from .structs import STRUCTS, Member, Struct

__all__ = ["ATTACH_TYPES", "CONTEXTS", "HELPER_IDS", "HELPER_NAMES", "MAP_TYPES", "POINTERS", "PROG_TYPES", "STRUCTS",
           "Access", "Context", "MapType", "Member", "ProgType", "Struct", "access", "pointer_access"]
