"""explain, compare and slice, as they are reached: API, command line, magics."""

import json

import pytest

import ebpflab
from ebpflab.comparison import Comparison
from ebpflab.errors import EbpflabError, SpecError

from .test_cli import ebpflab as command
from .test_magics import shell  # noqa: F401  a fixture

BROKEN = """
.type socket_filter
.map m array u32 bytes[48] 1
r6 = *(u32 *)(r1 + 8)
*(u32 *)(r10 - 4) = 0
r7 = 5
r2 = r10
r2 += -4
r1 = m ll
call bpf_map_lookup_elem
if r0 == 0 goto out
if r6 > 47 goto out
r0 += r6
r0 = *(u64 *)(r0 + 0)
out:
r0 = 0
exit
"""


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.s"
    path.write_text(BROKEN)
    return path


def test_a_program_explains_itself_with_an_input_that_breaks_it():
    told = []
    with ebpflab.load(BROKEN) as program:
        assert program.explain().witness is None
        found = program.explain(witness=20, progress=lambda runs, share: told.append((runs, share)))
    assert found.id == "value-range" and found.witness
    assert "past the end of" in found.witness.what
    assert [runs for runs, _ in told] == list(range(len(told))) and all(0 <= share <= 1.1 for _, share in told)
    assert json.loads(json.dumps(found.to_dict()))["witness"]["found"] is True
    assert "This input breaks it" in str(found)


def test_a_search_can_be_interrupted():
    def press(runs, share):
        if runs:
            raise KeyboardInterrupt
    found = ebpflab.explain(".type socket_filter\n" + BROKEN.replace("48", "4096").replace("> 47", "> 4095"),
                            witness=20, progress=press).witness
    assert not found and "interrupted after 1 runs" in found.why


def test_what_is_accepted_cannot_be_explained_nor_one_verifier_be_compared():
    with pytest.raises(SpecError, match="no rejection to explain"):
        ebpflab.explain("r0 = 2\nexit")
    with pytest.raises(SpecError, match="two verifiers"):
        ebpflab.compare("r0 = 2\nexit", ["sim"])


def test_a_target_that_is_not_there_is_named():
    found = ebpflab.compare("r0 = 2\nexit", ["sim", "nowhere"])
    assert found.agree and set(found.absent) == {"nowhere"}
    assert "nowhere" in str(found) and found.to_dict()["absent"]["nowhere"]


@pytest.mark.kernel
def test_ours_and_the_kernel_s_walk_are_the_same(local):
    found = ebpflab.compare(BROKEN, ["sim", "local"])
    assert found.reference == "sim" and found.agree, str(found)
    assert "the same walk" in str(found)


def test_where_they_part_is_said_with_both_sides(monkeypatch):
    from ebpflab.verify import verify

    spec = ebpflab.assemble(BROKEN)
    other = ebpflab.assemble(BROKEN.replace("r7 = 5", "r7 = 6"))
    found = Comparison(spec, {"sim": verify(spec), "other": verify(other)}, {})
    assert not found.agree
    text = str(found)
    assert "part at step 2, instruction 2: (b7) r7 = 5" in text and "R7 differs in" in text
    side, = [each for each in found.to_dict()["sides"] if each["difference"]]
    assert side["difference"]["cells"][0] | {"fields": []} == {"name": "R7", "a": "5", "b": "6", "fields": []}


def test_command_line(broken):
    done = command("explain", broken, "--witness", "--json")
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["id"] == "value-range" and said["witness"]["found"] is True and said["chain"]
    done = command("compare", broken, "--with", "nowhere")
    assert done.returncode == 2 and b"no two verdicts" in done.stderr and b"nowhere" in done.stdout
    done = command("verify", broken, "--slice", "--json")
    assert done.returncode == 1
    assert 2 not in [step["pc"] for step in json.loads(done.stdout)["steps"]]


@pytest.mark.kernel
def test_compare_on_the_command_line(broken, local):
    done = command("compare", broken, "--with", "local", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["agree"] and [side["target"] for side in said["sides"]] == ["sim", "local"]


def test_magics(shell):  # noqa: F811
    shell.run_cell(f"%%bpf prog --view none\n{BROKEN}")
    assert shell.run_line_magic("bpf_explain", "").id == "value-range"
    assert shell.run_line_magic("bpf_explain", "prog --witness 20").witness
    assert shell.run_cell_magic("bpf_explain", "", "r0 = r3\nexit").id == "register-unset"
    found = shell.run_line_magic("bpf_compare", "prog --with nowhere")
    assert found.traces["sim"].verdict.result == "reject" and "nowhere" in found.absent
    with pytest.raises(EbpflabError, match="no program here"):
        shell.run_line_magic("bpf_explain", "nothing")


def test_a_slice_is_shown_as_text(shell, capsys):  # noqa: F811
    shell.run_cell(f"%%bpf prog --view slice\n{BROKEN}")
    shown = capsys.readouterr().out
    assert "r0 += r6" in shown and "r7 = 5" not in shown and "steps left out" in shown
