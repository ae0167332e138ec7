"""A notebook whose kernel is killed leaves no program, map, link or namespace behind: looked for by id."""

import json
import os
import queue
import signal
import subprocess
import time

import pytest
from jupyter_client.manager import start_new_kernel

CELL = """
import json
get_ipython().run_line_magic("load_ext", "ebpflab")
get_ipython().run_cell_magic("bpf", "counter --type xdp --target local --view none", '''
.map counts percpu_array u32 u64 4
*(u32 *)(r10 - 4) = 0
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
''')
import ebpflab as lab
before = set(lab.target("local").session.ids("link"))
net = lab.target("local").net()
link = counter.attach(net, "lab0")
net.send([bytes(64)], end="lab1", count=10)
chart = get_ipython().run_line_magic("bpf_watch", "counts --every 0.05")
session = lab.target("local").session
print("FOUND" + json.dumps({"prog": [counter.id], "map": session.prog_info(counter._loaded.handle)["map_ids"],
                            "link": sorted(set(session.ids("link")) - before),
                            "count": int(counts.frame(per_cpu="sum")["value"].iloc[0])}))
"""


def run(client, code, timeout=60):
    """What a cell prints."""
    said, message = "", client.execute(code)
    while True:
        try:
            reply = client.get_iopub_msg(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"the cell did not end: {said}") from None
        if reply["parent_header"].get("msg_id") != message:
            continue
        if reply["msg_type"] == "stream":
            said += reply["content"]["text"]
        elif reply["msg_type"] == "error":
            raise AssertionError("\n".join(reply["content"]["traceback"]))
        elif reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            return said


def namespaces() -> set[str]:
    listing = subprocess.run(["lsns", "--json", "--type", "net", "--output", "NS"], capture_output=True, text=True)
    return {str(row["ns"]) for row in json.loads(listing.stdout)["namespaces"]}


@pytest.mark.kernel
def test_kill_9_of_the_notebooks_kernel_leaves_nothing(local):
    spaces = namespaces()
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        found = json.loads(run(client, CELL).split("FOUND")[1])
        assert found["count"] == 10 and found["link"]
        session = local.session
        for kind in ("prog", "map", "link"):
            assert set(found[kind]) <= set(session.ids(kind)), "they were there"
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        until = time.monotonic() + 10
        left = found
        while any(left.values()) and time.monotonic() < until:
            time.sleep(0.05)
            left = {kind: sorted(set(found[kind]) & set(session.ids(kind))) for kind in ("prog", "map", "link")}
        assert not any(left.values()), f"still in the kernel: {left}"
        assert namespaces() <= spaces
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
