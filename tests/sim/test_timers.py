"""Timers: what the helpers answer, here and in the kernel, and what happens when time passes."""

import struct
from errno import EBUSY, EDEADLK, EINVAL

import pytest

from ebpflab.errors import Fault
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object
from ebpflab.sim import Machine, packets

from .conftest import TIERS

FRAME = packets.udp()
SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";
struct value { __u64 count, at; struct bpf_timer timer; };
#define MAP(name, kind, key_, value_, entries) struct { __uint(type, BPF_MAP_TYPE_##kind); \\
        __uint(max_entries, entries); __type(key, key_); __type(value, value_); } name SEC(".maps")
MAP(values, ARRAY, int, struct value, 4);
MAP(entries, HASH, int, struct value, 4);
MAP(answers, ARRAY, int, long, 16);

static int counts(void *map, int *key, struct value *v)
{
        v->count++;
        v->at = bpf_ktime_get_ns();
        return 0;
}

static int repeats(void *map, int *key, struct value *v)
{
        counts(map, key, v);
        bpf_timer_start(&v->timer, 1000, 0);
        return 0;
}

static int deletes(void *map, int *key, struct value *v)
{
        long own = bpf_timer_cancel(&v->timer);
        int slot = 0;

        bpf_map_update_elem(&answers, &slot, &own, 0);
        bpf_map_delete_elem(&entries, key);
        return 0;
}

static int wrong(void *map, int *key, struct value *v)
{
        return *(volatile int *)(long)v->count;
}

#define START(name, map, index, callback, ns) SEC("tc") int name(struct __sk_buff *skb) { \\
        int key = index; struct value *v = bpf_map_lookup_elem(&map, &key); \\
        if (!v) return 1; \\
        bpf_timer_init(&v->timer, &map, 1); bpf_timer_set_callback(&v->timer, callback); \\
        return bpf_timer_start(&v->timer, ns, 0); }
START(once, values, 1, counts, 5000)
START(later, values, 2, counts, 9000)
START(again, values, 1, repeats, 1000)
START(gone, entries, 7, deletes, 1000)
START(kept, entries, 7, counts, 1000)
START(bad, values, 3, wrong, 1000)

static void answer(int slot, long value)
{
        bpf_map_update_elem(&answers, &slot, &value, 0);
}

SEC("tc") int asks(struct __sk_buff *skb)
{
        int key = 0;
        struct value *v = bpf_map_lookup_elem(&values, &key), fresh = {};

        if (!v)
                return 1;
        answer(0, bpf_timer_start(&v->timer, 1000000000, 0));
        answer(1, bpf_timer_cancel(&v->timer));
        answer(2, bpf_timer_set_callback(&v->timer, counts));
        answer(3, bpf_timer_init(&v->timer, &values, 5));
        answer(4, bpf_timer_init(&v->timer, &values, 7));
        answer(5, bpf_timer_init(&v->timer, &values, 1));
        answer(6, bpf_timer_start(&v->timer, 1000000000, 0));
        answer(7, bpf_timer_set_callback(&v->timer, counts));
        answer(8, bpf_timer_cancel(&v->timer));
        answer(9, bpf_timer_start(&v->timer, 1000000000, 0));
        bpf_timer_set_callback(&v->timer, counts);
        answer(10, bpf_timer_start(&v->timer, 1000000000, 4));
        answer(11, bpf_timer_start(&v->timer, 1000000000, 0));
        answer(12, bpf_timer_cancel(&v->timer));
        bpf_timer_set_callback(&v->timer, counts);
        bpf_timer_start(&v->timer, 1000000000, 0);
        bpf_map_update_elem(&values, &key, &fresh, 0);
        answer(13, bpf_timer_cancel(&v->timer));
        return 0;
}
"""
ANSWERS = [-EINVAL, -EINVAL, -EINVAL, -EINVAL, 0, -EBUSY, -EINVAL, 0, 0, -EINVAL, -EINVAL, 0, 1, -EINVAL]




class Together:
    """The programs of the source on one machine, with the same maps."""

    def __init__(self, object_, tier):
        self.machine, self.tier, self.maps = Machine(), tier, {}
        for name, spec in object_.programs.items():
            program = self.machine.load(spec, self.maps)
            self.maps |= program.maps
            setattr(self, name, program)

    def run(self, name):
        assert getattr(self, name).run(FRAME, tier=self.tier).retval == 0

    def value(self, key, map_="values"):
        """count and at of a value; None if there is none."""
        found = self.maps[map_].lookup(key.to_bytes(4, "little"))
        return struct.unpack_from("<QQ", found) if found is not None else None


@pytest.fixture(scope="module")
def object_():
    return read_object(compile_c(SOURCE, file="timers.c").data)


@pytest.fixture(params=TIERS)
def lab(request, object_):
    return Together(object_, request.param)


def answers(found):
    return [int.from_bytes(found.lookup(slot.to_bytes(4, "little")), "little", signed=True)
            for slot in range(len(ANSWERS))]


def test_answers(lab):
    lab.run("asks")
    assert answers(lab.maps["answers"]) == ANSWERS


@pytest.mark.kernel
def test_answers_of_the_kernel(object_, local):
    with local.load(object_.programs["asks"]) as loaded:
        assert loaded.run(FRAME).retval == 0
        assert answers(loaded.maps["answers"]) == ANSWERS


def test_they_run_when_time_passes_and_in_order(lab):
    start = lab.machine.clock.now
    lab.run("later")
    lab.run("once")
    assert lab.value(1) == lab.value(2) == (0, 0)
    assert lab.machine.advance(2000) == 0
    assert lab.machine.advance(4000) == 1
    assert lab.value(1)[0] == 1 and lab.value(2)[0] == 0
    assert lab.machine.advance(1_000_000) == 1
    first, second = lab.value(1)[1] - start, lab.value(2)[1] - start
    assert 5000 < first < 6000 and 9000 < second < 10_000
    assert lab.machine.advance(1_000_000) == 0
    assert lab.machine.clock.now >= start + 2_006_000


def test_the_earlier_one_comes_first_whoever_was_started_first(lab):
    lab.run("later")
    lab.run("once")
    assert lab.machine.advance(1_000_000) == 2
    assert lab.value(1)[1] < lab.value(2)[1]


def test_one_that_starts_itself_again(lab):
    lab.run("again")
    calls = lab.machine.advance(11_000)
    assert calls == lab.value(1)[0]
    assert 8 <= calls <= 11
    with pytest.raises(Fault, match="budget"):
        lab.machine.advance(10**12, budget=10_000)


def test_a_callback_may_delete_its_own_entry(lab):
    lab.maps["entries"].update((7).to_bytes(4, "little"), bytes(32))
    lab.run("gone")
    assert lab.machine.advance(1_000_000) == 1
    assert lab.value(7, "entries") is None
    assert answers(lab.maps["answers"])[0] == -EDEADLK


@pytest.mark.parametrize("end", ("delete", "update", "close"))
def test_a_timer_goes_with_its_value(lab, end):
    entries, key = lab.maps["entries"], (7).to_bytes(4, "little")
    entries.update(key, bytes(32))
    lab.run("kept")
    if end == "update":
        entries.update(key, bytes(32))
    elif end == "delete":
        entries.delete(key)
    else:
        entries.close()
    assert lab.machine.advance(1_000_000) == 0


def test_a_fault_names_the_timer(lab):
    lab.run("bad")
    with pytest.raises(Fault, match=r"NULL pointer") as caught:
        lab.machine.advance(1_000_000)
    assert "timer callback of the value of values[3], instruction" in caught.value.where
    assert lab.machine.timers.running is None
    lab.run("once")
    assert lab.machine.advance(1_000_000) == 1


def test_a_debugger_sees_callbacks(lab):
    lab.run("once")
    seen = []
    lab.machine.advance(1_000_000, hook=lambda program, code, regs, depth: seen.append((program.spec.name, depth)))
    assert set(seen) == {("once", 0)}
