"""The time-travel debugger: a recorded run of the simulator, walked both ways beside what the verifier knew."""

from .claims import Claim
from .coverage import Coverage, coverage
from .debugger import Breakpoint, Cell, Debugger, debug
from .journey import Hop, Journey, journey
from .places import Place, place
from .run import run_trace

__all__ = ["Breakpoint", "Cell", "Claim", "Coverage", "Debugger", "Hop", "Journey", "Place", "coverage", "debug",
           "journey", "place", "run_trace"]
