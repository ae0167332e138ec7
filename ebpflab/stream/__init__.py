"""From a map's bytes to typed frames and live streams; the same for sim, local and remote targets.

=============  =================================================================
``schema``     Layout -> numpy dtype and flat columns
``values``     one key or value: Python object <-> bytes
``frames``     Snapshot -> columns -> DataFrame, per-CPU long, wide or summed
``diff``       differences of two readings
``write``      DataFrame -> bytes, checked
``poller``     ``Stream``: a reading thread, a bounded buffer, counted losses
``maps``       ``LabMap``: the typed handle of a live map
``cells``      what a notebook cell started ends when it runs again
=============  =================================================================

numpy and pandas are imported by what is used, never by ``import ebpflab.stream``.
"""

from __future__ import annotations

__all__ = ["Batch", "LabMap", "Stream", "frame", "watch"]

_HOME = {"Batch": "poller", "LabMap": "maps", "Stream": "poller"}


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def frame(target_map, *, per_cpu: str = "long"):
    """A TargetMap's (or LabMap's) contents as a typed DataFrame; see ``LabMap.frame``."""
    from .maps import lab_map

    return lab_map(target_map).frame(per_cpu=per_cpu)


def watch(target_map, every: float = 0.2, **options):
    """A Stream of a TargetMap (or LabMap), one reading every ``every`` seconds; see ``LabMap.watch``."""
    from .maps import lab_map

    return lab_map(target_map).watch(every=every, **options)
