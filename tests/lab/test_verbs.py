"""The verbs of ``import ebpflab``: three of them are packages too, and stay callable whatever was imported before."""

import subprocess
import sys

import pytest

import ebpflab
from ebpflab import lab


@pytest.mark.parametrize("name", sorted(set(ebpflab.__all__)))
def test_every_public_name_is_there(name):
    assert getattr(ebpflab, name) is not None and getattr(ebpflab, name).__doc__


@pytest.mark.parametrize("first", ["", "import ebpflab.verify, ebpflab.explain, ebpflab.matrix",
                                   "lab.load('r0 = 2; exit')", "from ebpflab.verify import verify"])
def test_verify_is_a_verb_and_a_package(first):
    code = f"import ebpflab as lab\nlab.target\n{first}\nassert lab.verify('r0 = 2; exit').ok\n" \
           "import ebpflab.verify as package\nassert package.verify and package('r0 = 2; exit').ok"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_explain_takes_text_a_program_or_a_trace():
    assert lab.explain("r0 = r5; exit").to_dict()["id"] == "register-unset"
    program = lab.load("r0 = r5; exit")
    assert lab.explain(program).to_dict() == lab.explain(program.trace).to_dict()
    with pytest.raises(ebpflab.SpecError, match="no rejection"):
        lab.explain("r0 = 2; exit")


def test_matrix_on_the_simulator():
    table = lab.matrix("r0 = 2; exit", ["sim"], repeat=1)
    assert [row.result for row in table.rows] == ["accept"]
