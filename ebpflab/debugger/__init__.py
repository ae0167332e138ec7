"""The time-travel debugger: a recorded run of the simulator, walked both ways beside what the verifier knew."""

from .claims import Claim
from .coverage import Coverage, coverage
from .debugger import Breakpoint, Cell, Debugger, debug
from .places import Place, place
from .run import run_trace

__all__ = ["Breakpoint", "Cell", "Claim", "Coverage", "Debugger", "Place", "coverage", "debug", "place", "run_trace"]
