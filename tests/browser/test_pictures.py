"""The annotated view as the documentation shows it: C that is rejected, two kernels, and both in narrow places.

The screenshots go to EBPFLAB_SCREENSHOTS if that is set (``make screenshots``), else to the test's own folder.
"""

import json
import os
from pathlib import Path

import pytest

from ebpflab.explain import witness
from ebpflab.isa import slots
from ebpflab.lab import compile_c
from ebpflab.spec import ProgramSpec
from ebpflab.trace import klog
from ebpflab.verify import verify
from ebpflab.view.html import pair_page

from .test_stepper import static_page

pytestmark = pytest.mark.browser
LOGS = Path(__file__).parents[1] / "trace" / "logs"
HISTOGRAM = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64[16]);
} histogram SEC(".maps");

SEC("xdp") int count_ports(struct xdp_md *ctx)
{
    __u8 *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    __u32 key = 0;
    __u64 *buckets = bpf_map_lookup_elem(&histogram, &key);

    if (!buckets || data + 38 > (__u8 *)end)
        return XDP_PASS;
    __u8 bucket = data[36];
    if (bucket > 16)
        return XDP_PASS;
    buckets[bucket]++;
    return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
"""
# The page's own width may not be exceeded: nothing is cut off, nothing scrolls sideways.
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def shots(tmp_path):
    return Path(os.environ.get("EBPFLAB_SCREENSHOTS") or tmp_path)


@pytest.fixture(scope="module")
def histogram():
    """One off: 16 passes the check, and the value has 16 buckets."""
    trace = verify(compile_c(HISTOGRAM, file="histogram.c").program("count_ports"))
    assert trace.verdict.result == "reject"
    return trace


def recorded(kernel: str, program: str):
    row = next(row for row in json.loads((LOGS / f"linux-{kernel}.json").read_text())
               if row["program"] == program and row["level"] == 2)
    spec = ProgramSpec(slots(bytes.fromhex(row["insns"])), row["type"], "element")
    return klog.parse("\n".join(row["log"]), spec, ok=row["ok"], by=f"Linux {kernel}", errno=row["errno"])


def test_c_that_is_rejected(tmp_path, shots, histogram):
    with static_page(tmp_path / "c.html", histogram, witness=witness(histogram.program, histogram)) as page:
        page.wait_for_timeout(300)
        assert page.locator(".ebpflab .row.c.here .text").inner_text().strip() == "buckets[bucket]++;"
        assert page.locator(".ebpflab .lanes .span").count() == 2
        page.locator(".ebpflab").screenshot(path=shots / "stepper-c.png")


def test_two_kernels(tmp_path, shots):
    pair = [recorded(kernel, "known element of an array") for kernel in ("5.10", "6.18")]
    with static_page(tmp_path / "pair.html", pair, page_of=pair_page) as page:
        page.wait_for_timeout(300)
        assert "✗" in page.locator(".ebpflab").inner_text() and page.locator(".ebpflab .cell.apart").count()
        page.locator(".ebpflab").screenshot(path=shots / "stepper-pair.png")


@pytest.mark.parametrize(("width", "height"), [(700, 900), (390, 844)], ids=["column", "phone"])
def test_narrow(tmp_path, histogram, width, height):
    pair = [recorded(kernel, "known element of an array") for kernel in ("5.10", "6.18")]
    size = {"viewport": {"width": width, "height": height}}
    for name, trace, options in (("c", histogram, size), ("pair", pair, {"page_of": pair_page, **size})):
        with static_page(tmp_path / f"{name}.html", trace, **options) as page:
            page.wait_for_timeout(300)
            page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert page.evaluate(TOO_WIDE) <= 0
