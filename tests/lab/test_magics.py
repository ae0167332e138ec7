"""The magics in a real IPython shell: what a cell says, binds, and shows."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

COUNTER = """
.map counts percpu_array u32 u64 256
r6 = 0
*(u32 *)(r10 - 4) = r6
r1 = counts ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1
out:
r0 = 2
exit
"""


@pytest.fixture
def shell():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "ebpflab")
    yield shell
    shell.run_line_magic("unload_ext", "ebpflab")
    InteractiveShell.clear_instance()


def cell(shell, line, body):
    """Run a %%bpf cell; (result, stdout, displayed mime bundles)."""
    with capture_output() as captured:
        result = shell.run_cell(f"%%bpf {line}\n{body}")
    return result, captured.stdout, [output.data for output in captured.outputs]


def test_a_cell_is_assembled_verified_shown_and_bound(shell):
    result, said, shown = cell(shell, "hello --type xdp --target sim", "r0 = 2\nexit")
    assert result.success
    program = shell.user_ns["hello"]
    assert program.ok and program.trace.ok and len(program.trace.steps) == 2
    assert program.run(bytes(64)).verdict == "XDP_PASS"
    assert "hello" in said and "accepted" in said
    assert any("accepted" in data["text/plain"] and "ebpflab" in data["text/html"] for data in shown)


def test_the_maps_of_a_cell_are_variables(shell):
    result, said, _ = cell(shell, "counter --type xdp", COUNTER)
    assert result.success and "counts" in said
    for _ in range(3):
        shell.user_ns["counter"].run(bytes(64))
    assert shell.user_ns["counts"].frame(per_cpu="sum")["value"].iloc[0] == 3


def test_a_variable_of_the_user_is_left_alone(shell):
    shell.user_ns["counts"] = "mine"
    _, said, _ = cell(shell, "counter", COUNTER)
    assert shell.user_ns["counts"] == "mine" and 'counter.maps["counts"]' in said


def test_running_the_cell_again_closes_the_program_before(shell):
    cell(shell, "hello", "r0 = 2\nexit")
    first = shell.user_ns["hello"]
    cell(shell, "hello", "r0 = 1\nexit")
    assert not first.ok and shell.user_ns["hello"].run(bytes(64)).verdict == "XDP_DROP"


def test_a_rejected_program_is_shown_and_bound_but_not_loaded(shell):
    result, said, shown = cell(shell, "bad", "r0 = r5\nexit")
    assert result.success and shown and "rejected" in said
    bad = shell.user_ns["bad"]
    assert bad.trace.verdict.error == "R5 !read_ok" and not bad.ok
    with pytest.raises(Exception, match="not loaded"):
        bad.run(bytes(64))


@pytest.mark.parametrize("line, body, words", [
    ("x", "r0 = 2\nr1 =* 3\nexit", ["%%bpf x:2:", "^"]),
    ("x", "r0 = 2\ncall bpf_map_lokup_elem\nexit", ["%%bpf x:2:", "map_lookup_elem"]),
    ("x", ".map m percpu_aray u32 u64 4\nr0 = 2\nexit", ["percpu_aray", "percpu_array"]),
    ("x", "r1 = nothere ll\nr0 = 2\nexit", ["nothere"]),
    ("x --target nowhere", "r0 = 2\nexit", ["nowhere", "sim"]),
    ("x --type xpd", "r0 = 2\nexit", ["xpd"]),
    ("x", "\n  \n", ["no instructions", "exit"]),
    ("x", "// only\n# comments\n; and nothing else", ["no instructions"]),
    ("x", ".map m hash u32 u64 99999999999\nr0 = 2\nexit", ["%%bpf x:1:", "32 bits"]),
    ("3x", "r0 = 2\nexit", ["'3x' cannot be a variable"]),
    ("class", "r0 = 2\nexit", ["'class' cannot be a variable"]),
])
def test_bad_input_is_a_short_error(shell, line, body, words):
    with capture_output() as captured:
        result = shell.run_cell(f"%%bpf {line}\n{body}")
    assert not result.success
    said = captured.stdout + captured.stderr
    for word in words:
        assert word in said, said
    assert "Traceback" not in said and len(said.splitlines()) < 25
    assert "x" not in shell.user_ns


@pytest.mark.parametrize("expr, words", [("count", ["'count' is not defined", "maps here: counts"]),
                                         ("1+", ["invalid syntax"]), ("counter", ["Program cannot be watched"])])
def test_watching_what_is_no_map_is_a_short_error(shell, expr, words):
    cell(shell, "counter", COUNTER)
    with capture_output() as captured:
        result = shell.run_cell(f"%bpf_watch {expr}")
    said = captured.stdout + captured.stderr
    assert not result.success and "Traceback" not in said and len(said.splitlines()) < 6
    assert all(word in said for word in words), said


def test_an_error_in_a_cell_of_python_names_its_line_and_shows_no_way_through_the_library(shell):
    with capture_output() as captured:
        result = shell.run_cell("import ebpflab as lab\nbad = lab.load('r0 = r5; exit', target='sim')\nbad.run(b'')")
    assert not result.success
    said = (captured.stdout + captured.stderr).strip().splitlines()
    assert said[0] == "line 3: bad.run(b'')" and "R5 !read_ok" in said[1] and len(said) < 5, said


def test_a_run_is_shown_in_a_line(shell):
    cell(shell, "hello", "r0 = 2\nexit")
    shown = repr(shell.user_ns["hello"].run(bytes(1500), repeat=3))
    assert shown.startswith("<XDP_PASS (2), 1500 bytes, ") and shown.endswith(" ns, mean of 3 runs>")


def test_target_says_where_programs_go(shell):
    with capture_output() as captured:
        shell.run_line_magic("bpf_target", "sim")
    assert captured.stdout.startswith("sim: simulated")


def test_doctor_gives_a_table(shell):
    report = shell.run_line_magic("bpf_doctor", "")
    assert "<table" in report._repr_html_()


def test_watch_gives_a_chart_and_ends_with_it(shell):
    cell(shell, "counter", COUNTER)
    chart = shell.run_line_magic("bpf_watch", "counts --chart bar --every 0.05")
    assert chart.stream.running
    chart.stop()
    assert not chart.stream.running
