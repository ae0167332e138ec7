"""The command line: parse, call, print. Exit status 0 done, 1 rejected, 2 bad input or usage."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from .bench import SUBJECTS, measure
from .errors import EbpflabError, Rejected
from .obj_cli import File, Out, Syntax, is_compiled, object_of, program_of, write
from .obj_cli import read as _read

BAD_SHOWN = 5       # records that cannot be read and are named one by one
Program = Annotated[str, Parameter(help="which program, where a C file or an object has several")]

app = App(name="ebpflab", help="A lab for eBPF: assemble, verify step by step, run, load, watch.",
          version_flags=["--version"], error_console=Console(stderr=True))


@contextmanager
def _loaded(file: str, type: str, program: str, target: str):
    """A program that is loaded, with the others of its object, which it may call."""
    from . import lab

    data = _read(file) if file != "-" else b""
    if not is_compiled(file, data):
        with lab.load(program_of(file, type), target=target) as loaded:
            yield loaded
        return
    whole = object_of(file, data, target)
    with lab.load_object(whole, target=target) as bundle:
        yield bundle[whole.program(program).name]


def _packet(text: str) -> bytes:
    """Hex digits, or @FILE."""
    if text.startswith("@"):
        return _read(text[1:])
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise EbpflabError(f"{text!r} is not hex", where="--data",
                           hint="as 'ff ff ff …', or @FILE for a file's bytes") from None


@app.command
def asm(file: File, *, out: Out = "-", syntax: Syntax = "auto",
        format: Literal["bin", "hex", "json"] = "bin"):
    """Assemble FILE (or -) into raw instructions: their bytes, bytes in hex, or JSON (type, maps, bytes)."""
    spec = program_of(file, "", syntax)
    if format == "json":
        found = {"type": spec.type, "name": spec.name, "license": spec.license, "insns": spec.bytes.hex(),
                 "maps": [{"name": m.name, "type": m.type, "key_size": m.key_size, "value_size": m.value_size,
                           "max_entries": m.max_entries, "flags": m.flags} for m in spec.maps]}
        write(out, json.dumps(found).encode() + b"\n")
    else:
        write(out, spec.bytes if format == "bin" else spec.bytes.hex(" ").encode() + b"\n")


@app.command
def verify(file: File = "", *, type: str = "", target: str = "sim", program: Program = "", log: bool = False,
           slice: bool = False, json_: Annotated[bool, Parameter(name="--json")] = False, records: str = "",
           out: Out = "", jobs: int = 1, report: bool = False):
    """Verify FILE on a target; show every step (--slice: those that matter; --log: the kernel's own format).

    --records F.jsonl.gz --out OUT.jsonl verifies every program of a file of records instead, on --jobs processes;
    --report compares with what the records say: a table, or everything with --json.
    """
    from . import lab
    from .trace.slice import matter
    from .view.text import trace_text

    if records:
        return _records(records, out, jobs, report, json_)
    if not file:
        raise EbpflabError("nothing to verify", where="verify", hint="name a file, or --records F.jsonl.gz")

    trace = lab.verify(program_of(file, type, program=program, target=target), target=target)
    shown = matter(trace) if slice else None
    if json_:
        steps = trace.to_records()
        print(json.dumps({"program": trace.program.name, "verdict": asdict(trace.verdict),
                          "steps": steps if shown is None else [steps[at] for at in shown]}))
    elif log:
        print(trace.log, end="")
    else:
        print(trace_text(trace, steps=shown))
    return {"accept": 0, "reject": 1}.get(trace.verdict.result, 2)


def _records(file: str, out: str, jobs: int, report: bool, json_: bool) -> int:
    """Exit status 2 if a record could not be read, 1 if a verdict differs from the record's, 130 after Ctrl-C."""
    from tqdm import tqdm

    from .verify.records import btf_file, verify_file

    if not btf_file(file).exists():
        print(f"{btf_file(file)}: no such file; what needs types is not supported", file=sys.stderr)
    with tqdm(unit=" programs", disable=None) as bar:
        found = verify_file(file, sys.stdout if out == "-" else out or None, jobs=jobs, report=report,
                            progress=lambda done: bar.update(done - bar.n))
    if report:
        text = json.dumps(found.agreement.to_dict()) if json_ else str(found.agreement)
        print(text, file=sys.stderr if out == "-" else sys.stdout)
    for line in found.bad[:BAD_SHOWN]:
        print(line, file=sys.stderr)
    if len(found.bad) > BAD_SHOWN:
        print(f"… and {len(found.bad) - BAD_SHOWN} more records that cannot be read", file=sys.stderr)
    if found.interrupted:
        print(f"interrupted after {found.done} records", file=sys.stderr)
        return 130
    return 2 if found.bad else 1 if found.agreement.wrong else 0


@app.command
def run(file: File, *, data: str = "00" * 64, type: str = "", target: str = "sim", program: Program = "",
        repeat: int = 1, json_: Annotated[bool, Parameter(name="--json")] = False):
    """Load FILE and test-run it on a packet: --data HEX or @FILE."""
    with _loaded(file, type, program, target) as loaded:
        result = loaded.run(_packet(data), repeat=repeat)
        maps = {name: handle.frame() for name, handle in loaded.maps.items() if handle.spec.row.user_read}
    if json_:
        print(json.dumps({"retval": result.retval, "verdict": result.verdict, "duration_ns": result.duration_ns,
                          "repeat": result.repeat, "data": result.data.hex(),
                          "maps": {name: json.loads(frame.to_json(orient="records")) for name, frame in maps.items()}}))
        return
    print(f"{result.verdict or result.retval} (r0 = {result.retval:#x}), {result.duration_ns} ns a run")
    for name, frame in maps.items():
        print(f"\n{name}\n{frame.to_string(index=False, max_rows=40)}")


@app.command
def doctor(*, json_: Annotated[bool, Parameter(name="--json")] = False):
    """What this machine can do, what is missing, and the fix."""
    from .doctor import examine

    report = examine()
    print(json.dumps(report.to_json(), indent=1) if json_ else report)
    return 0 if report.ok else 1


@app.command
def bench(what: Literal[SUBJECTS] = "exec", *, json_: Annotated[bool, Parameter(name="--json")] = False):
    """Measure beside a peer in the same run; a ratio above 1 means better than the peer."""
    rows = measure(what)
    if json_:
        print(json.dumps(rows))
        return
    for row in rows:
        peer = f"{row['peer']}: {row['peer_value']:.4g}" if row["peer_value"] is not None else row["peer"]
        ratio = f"  ratio {row['ratio']:.3g}" if row["ratio"] is not None else ""
        print(f"{row['name']:44} {row['value']:10.4g} {row['unit']:18} {peer}{ratio}")


app.command("ebpflab.vm_cli:app", name="vm")
for _name in ("explain", "compare"):
    app.command(f"ebpflab.explain_cli:{_name}_command", name=_name)
for _name in ("compile", "disasm", "objdump", "btf", "plugin"):
    app.command(f"ebpflab.obj_cli:{_name}_command", name=_name)


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``ebpflab``."""
    try:
        status = app(argv, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:  # printed already, with the usage
        raise SystemExit(2) from None
    except Rejected as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    except EbpflabError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    raise SystemExit(status if isinstance(status, int) else 0)
