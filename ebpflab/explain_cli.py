"""Commands that explain: explain, compare."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter

from .errors import EbpflabError
from .obj_cli import File, Json, program_of

Which = Annotated[str, Parameter(help="which program, where a C file or an object has several")]
SECONDS = 5.0


@contextmanager
def searching(seconds: float):
    """A bar for the search of a witness: yields what it is to be told."""
    from tqdm import tqdm

    with tqdm(total=100, unit="%", desc="looking for an input", bar_format="{desc}: {bar} {postfix}", leave=False,
              disable=None if seconds else True) as bar:
        def progress(runs: int, share: float) -> None:
            bar.n = min(int(100 * share), 100)
            bar.set_postfix_str(f"{runs} runs")

        yield progress


def explain_command(file: File, *, type: str = "", target: str = "sim", program: Which = "", witness: bool = False,
                    seconds: float = SECONDS, json_: Json = False):
    """Why FILE is rejected: the rule, what was known and what was needed, how it came to that, and the fix.

    --witness looks for an input (packet, map contents, helper results) that makes it go wrong, for about --seconds;
    Ctrl-C ends the search.
    """
    from . import lab

    trace = lab.verify(program_of(file, type, program=program, target=target), target=target)
    if trace.verdict.result != "reject":
        print(json.dumps({"program": trace.program.name, "verdict": trace.verdict.result, "by": trace.verdict.by,
                          "message": [trace.verdict.error] if trace.verdict.error else []}) if json_ else trace)
        return 0 if trace.ok else 2
    with searching(seconds if witness else 0.0) as progress:
        found = lab.explain(trace, witness=seconds if witness else 0.0, progress=progress)
    print(json.dumps(found.to_dict()) if json_ else found)
    return 1


def compare_command(file: File, *, with_: Annotated[list[str] | None, Parameter(name="--with")] = None,
                    target: str = "sim", type: str = "", program: Which = "", json_: Json = False):
    """Verify FILE on TARGET and on each --with TARGET, and show the first step at which they part.

    --target sim (ebpflab's own verifier) --with local --with qemu:6.1. Exit status 1 if they differ, 2 if there are
    not two verdicts to compare.
    """
    from . import lab

    found = lab.compare(program_of(file, type, program=program, target=target), (target, *(with_ or ("local",))))
    print(json.dumps(found.to_dict()) if json_ else found)
    if len(found.traces) < 2:
        raise EbpflabError("there are no two verdicts to compare", where=file,
                           hint="ebpflab doctor says which targets are to be had")
    return 0 if found.agree else 1
