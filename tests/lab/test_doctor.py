"""The doctor finds, and never falls ill."""

import json
import subprocess
import sys

import pytest

from ebpflab import doctor


def test_every_check_gives_a_row_and_a_fix_where_something_is_missing():
    report = doctor.examine()
    assert [f.check for f in report] == [row[0] for row in doctor.CHECKS]
    for finding in report:
        assert finding.status in doctor.MARKS and finding.result and finding.needed_for
        assert finding.status == doctor.OK or finding.fix, f"{finding.check} is {finding.status} and has no fix"
    assert {f.check: f.status for f in report}["simulator"] == doctor.OK


def test_a_probe_that_raises_is_a_finding(monkeypatch):
    def broken():
        raise RuntimeError("the sky fell")

    monkeypatch.setattr(doctor, "CHECKS", (("sky", "everything", broken),))
    report = doctor.examine()
    assert not report.ok
    assert "the sky fell" in str(report) and "the sky fell" in report._repr_html_()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_on_the_command_line(form):
    done = subprocess.run([sys.executable, "-m", "ebpflab", "doctor", *form], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    if form:
        assert {row["check"] for row in json.loads(done.stdout)} == {row[0] for row in doctor.CHECKS}
    else:
        assert "simulator" in done.stdout


def test_without_any_tool_on_path_it_still_answers():
    done = subprocess.run([sys.executable, "-m", "ebpflab", "doctor", "--json"], capture_output=True, text=True,
                          env={"PATH": "/nonexistent", "HOME": "/nonexistent"})
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert rows["QEMU"]["status"] == "missing" and "install" in rows["QEMU"]["fix"]
