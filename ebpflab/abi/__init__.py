"""The kernel's interface as tables: program types, map types, helpers, contexts, attach types."""

from .attach_types import ATTACH_TYPES
from .helper_ids import HELPER_IDS, HELPER_NAMES
from .map_types import MAP_TYPES, MapType
from .prog_types import PROG_TYPES, ProgType

__all__ = ["ATTACH_TYPES", "HELPER_IDS", "HELPER_NAMES", "MAP_TYPES", "PROG_TYPES", "MapType", "ProgType"]
