"""What the browser is given: the files of this folder, put together to one module and one sheet."""

from functools import cache
from importlib.resources import files

SCRIPTS = ("model.js", "draw.js", "list.js", "code.js", "state.js", "controls.js", "why.js", "walk.js", "stepper.js",
           "compare.js", "memory.js", "debug.js", "start.js")


@cache
def module() -> str:
    """The stepper as one ECMAScript module; it imports nothing."""
    return "\n".join(files(__name__).joinpath(name).read_text("utf-8") for name in SCRIPTS)


@cache
def style() -> str:
    return files(__name__).joinpath("stepper.css").read_text("utf-8")
