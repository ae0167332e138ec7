"""Places where programs run: simulator, this kernel, a kernel in a guest."""

from .base import AttachPoint, Facts, Link, Loaded, Net, RunResult, Snapshot, Target, TargetMap

__all__ = ["AttachPoint", "Facts", "Link", "Loaded", "Net", "RunResult", "Snapshot", "Target", "TargetMap"]
