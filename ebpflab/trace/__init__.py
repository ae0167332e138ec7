"""The trace model that every verifier fills and every view reads."""

from .model import Frame, Slot, State, Stats, Step, Trace, Value, Verdict, changed

__all__ = ["Frame", "Slot", "State", "Stats", "Step", "Trace", "Value", "Verdict", "changed"]
