"""Programs that ask helpers, for ``test_helpers_kernel``: each writes what it was told into the array ``told``."""

HEAD = """
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __s64); __uint(max_entries, 64); }
        told SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __type(key, __u32); __type(value, __u32); __uint(max_entries, 1); }
        used SEC(".maps");

static __noinline int say(__s64 value)
{
        __u32 zero = 0, index;
        __u32 *at = bpf_map_lookup_elem(&used, &zero);
        if (!at) return 0;
        index = *at;
        *at = index + 1;
        bpf_map_update_elem(&told, &index, &value, BPF_ANY);
        return 0;
}
"""

#: name -> (section, the rest of the source); the function is called ``asks``
ASKED = {
    "xdp bytes": ("xdp", """
        struct xdp_md *x = (void *)ctx; char buffer[16] = {};
        say(bpf_xdp_get_buff_len(x));
        say(bpf_xdp_load_bytes(x, 14, buffer, 16)); say(buffer[0]); say(buffer[9]);
        say(bpf_xdp_load_bytes(x, 5000, buffer, 16));
        say(bpf_xdp_load_bytes(x, bpf_xdp_get_buff_len(x) - 15, buffer, 16));
        say(bpf_xdp_store_bytes(x, 30, buffer, 7));
        say(bpf_xdp_store_bytes(x, 5000, buffer, 7));
        return XDP_PASS;"""),
    "xdp redirects": ("xdp", """
        say(bpf_redirect(1, 0)); say(bpf_redirect(1, 1));
        say(bpf_redirect_map(&devices, 0, 0)); say(bpf_redirect_map(&devices, 0, XDP_PASS));
        say(bpf_redirect_map(&devices, 9, XDP_TX)); say(bpf_redirect_map(&devices, 0, 4));
        say(bpf_redirect_map(&devices, 0, 64)); say(bpf_redirect_map(&hashed, 7, XDP_PASS));
        say(bpf_redirect_map(&cpus, 0, XDP_DROP)); say(bpf_redirect_map(&cpus, 0, 8));
        say(bpf_redirect_map(&xsks, 0, XDP_PASS)); say(bpf_redirect_map(&xsks, 77, XDP_TX));
        return XDP_PASS;"""),
    "skb redirects": ("tc", """
        say(bpf_redirect(1, 0)); say(bpf_redirect(1, BPF_F_INGRESS)); say(bpf_redirect(1, 4));
        say(bpf_clone_redirect(skb, 99999, 0)); say(bpf_clone_redirect(skb, 1, 2));
        return TC_ACT_OK;"""),
    "skb marks": ("tc", """
        say(bpf_csum_update(skb, 0x1234)); bpf_set_hash(skb, 77); say(skb->hash); say(bpf_get_hash_recalc(skb));
        bpf_set_hash_invalid(skb); say(skb->hash);
        say(bpf_get_cgroup_classid(skb)); say(bpf_skb_cgroup_classid(skb)); say(bpf_get_route_realm(skb));
        struct bpf_xfrm_state state;
        say(bpf_skb_get_xfrm_state(skb, 0, &state, sizeof(state), 0));
        say(bpf_skb_under_cgroup(skb, &cgroups, 0)); say(bpf_skb_under_cgroup(skb, &cgroups, 9));
        return TC_ACT_OK;"""),
    "whose cgroup": ("tc", """
        say(bpf_skb_cgroup_id(skb) == bpf_get_current_cgroup_id());
        say(bpf_skb_ancestor_cgroup_id(skb, 99)); say(bpf_get_current_ancestor_cgroup_id(99));
        say(bpf_get_current_ancestor_cgroup_id(-1) == 0);
        say(bpf_get_socket_uid(skb));
        say(bpf_get_netns_cookie(skb) > 0); say(bpf_get_socket_cookie(skb) > 0);
        return TC_ACT_OK;"""),
    "sockets of a packet": ("cgroup_skb/ingress", """
        struct bpf_sock *sk = skb->sk;
        if (!sk) return 0;
        sk = bpf_sk_fullsock(sk);
        if (!sk) return 0;
        say(bpf_sk_cgroup_id(sk) == bpf_skb_cgroup_id(skb)); say(bpf_sk_ancestor_cgroup_id(sk, 99));
        __u64 *held = bpf_sk_storage_get(&stored, sk, 0, 0);
        say(held != 0);
        held = bpf_sk_storage_get(&stored, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
        if (!held) return 0;
        say(*held); *held = 5;
        held = bpf_sk_storage_get(&stored, sk, 0, 0);
        say(held ? *held : -1);
        say(bpf_sk_storage_delete(&stored, sk)); say(bpf_sk_storage_delete(&stored, sk));
        return 1;"""),
    "numbers of text": ("tc", """
        long signed_; unsigned long unsigned_;
        char texts[][8] = { "123", "-12x", "0x1f", " 7", "", "zz", "017", "+5" };
        say(bpf_strtol(texts[0], 8, 0, &signed_)); say(signed_);
        say(bpf_strtol(texts[1], 8, 10, &signed_)); say(signed_);
        say(bpf_strtol(texts[2], 8, 0, &signed_)); say(signed_);
        say(bpf_strtol(texts[3], 8, 0, &signed_)); say(signed_);
        say(bpf_strtol(texts[4], 8, 0, &signed_)); say(bpf_strtol(texts[5], 8, 16, &signed_));
        say(bpf_strtol(texts[6], 8, 0, &signed_)); say(signed_); say(bpf_strtol(texts[0], 8, 7, &signed_));
        say(bpf_strtoul(texts[0], 8, 16, &unsigned_)); say(unsigned_); say(bpf_strtoul(texts[1], 8, 10, &unsigned_));
        say(bpf_strtoul(texts[2], 8, 16, &unsigned_)); say(unsigned_);
        return TC_ACT_OK;"""),
    "text compared": ("tc", """
        char text[8] = "abcd", longer[8] = "abcde", other[8] = "abzd";
        say(bpf_strncmp(text, 8, "abcd")); say(bpf_strncmp(text, 2, "abzz"));
        say(bpf_strncmp(longer, 8, "abcd") > 0); say(bpf_strncmp(other, 8, "abcd") > 0);
        say(bpf_strncmp(text, 8, "abzd") < 0);
        return TC_ACT_OK;"""),
    "text made": ("tc", """
        char out[24] = {};
        __u64 words[3] = { 7, 0xfffffffffffffff9ULL, 0x41 };
        static const char plain[] = "%d|%lld|%c", hexed[] = "%08x %llx", none[] = "plain";
        say(bpf_snprintf(out, sizeof(out), plain, words, sizeof(words))); say(*(__u64 *)out);
        say(bpf_snprintf(out, sizeof(out), hexed, words, 16)); say(*(__u64 *)out); say(*(__u64 *)(out + 8));
        say(bpf_snprintf(out, 4, hexed, words, 16)); say(*(__u32 *)out);
        say(bpf_snprintf(out, sizeof(out), none, 0, 0)); say(*(__u64 *)out);
        return TC_ACT_OK;"""),
    "lines printed": ("tc", """
        char line[] = "ebpflab test %d\\\\n";
        say(bpf_trace_printk(line, sizeof(line), 7)); say(bpf_trace_printk(line, 3, 7));
        static const char many[] = "ebpflab test %d %d %d %d";
        __u64 words[4] = { 1, 2, 3, 4 };
        say(bpf_trace_vprintk(many, sizeof(many), words, 32)); say(bpf_trace_vprintk(many, sizeof(many), words, 12));
        return TC_ACT_OK;"""),
    "queues": ("tc", """
        __u32 value = 5, more = 6, third = 7, got = 0;
        say(bpf_map_peek_elem(&line, &got)); say(got); say(bpf_map_pop_elem(&line, &got)); say(got);
        say(bpf_map_push_elem(&line, &value, 0)); say(bpf_map_push_elem(&line, &more, 0));
        say(bpf_map_push_elem(&line, &third, 0)); say(bpf_map_push_elem(&line, &third, BPF_EXIST));
        say(bpf_map_peek_elem(&line, &got)); say(got); say(bpf_map_pop_elem(&line, &got)); say(got);
        say(bpf_map_push_elem(&pile, &value, 0)); say(bpf_map_push_elem(&pile, &more, 0));
        say(bpf_map_push_elem(&pile, &more, 7)); say(bpf_map_pop_elem(&pile, &got)); say(got);
        say(bpf_map_peek_elem(&seen, &value)); say(bpf_map_push_elem(&seen, &value, 0));
        say(bpf_map_peek_elem(&seen, &value)); say(bpf_map_push_elem(&seen, &value, 1));
        return TC_ACT_OK;"""),
    "per-CPU values": ("tc", """
        __u32 key = 3, other = 4; __u64 value = 9, *found;
        say(bpf_map_update_elem(&percpu, &key, &value, 0));
        found = bpf_map_lookup_percpu_elem(&percpu, &key, bpf_get_smp_processor_id()); say(found ? *found : -1);
        found = bpf_map_lookup_percpu_elem(&percpu, &key, 999999); say(found ? *found : -1);
        found = bpf_map_lookup_percpu_elem(&percpu, &other, 0); say(found ? *found : -1);
        say(bpf_map_delete_elem(&percpu, &other));
        return TC_ACT_OK;"""),
    "every element": ("tc", """
        __u64 sum = 0, value = 4; __u32 key = 11;
        bpf_map_update_elem(&table, &key, &value, 0); key = 12; bpf_map_update_elem(&table, &key, &value, 0);
        say(bpf_for_each_map_elem(&table, count, &sum, 0)); say(sum);
        say(bpf_for_each_map_elem(&table, count, &sum, 1));
        sum = 0; say(bpf_loop(10, adds, &sum, 0)); say(sum);
        say(bpf_loop(10, stops, &sum, 0)); say(bpf_loop(10, adds, &sum, 1)); say(bpf_loop(1 << 24, stops, &sum, 0));
        return TC_ACT_OK;"""),
    "ring buffer": ("tc", """
        __u64 word = 3, *record;
        say(bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE)); say(bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA));
        say(bpf_ringbuf_output(&ring, &word, 8, 0)); say(bpf_ringbuf_output(&ring, &word, 8, 8));
        say(bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA)); say(bpf_ringbuf_query(&ring, BPF_RB_PROD_POS));
        record = bpf_ringbuf_reserve(&ring, 8, 0); say(record != 0);
        if (record) { *record = 5; bpf_ringbuf_submit(record, 0); }
        record = bpf_ringbuf_reserve(&ring, 8, 0); say(record != 0); if (record) bpf_ringbuf_discard(record, 0);
        record = bpf_ringbuf_reserve(&ring, 5000, 0); say(record != 0); if (record) bpf_ringbuf_discard(record, 0);
        say(bpf_ringbuf_query(&ring, BPF_RB_PROD_POS)); say(bpf_ringbuf_query(&ring, 99));
        return TC_ACT_OK;"""),
    "locks and timers": ("tc", """
        __u32 key = 0; struct guarded *held = bpf_map_lookup_elem(&guards, &key);
        if (!held) return TC_ACT_SHOT;
        bpf_spin_lock(&held->lock); held->value += 7; bpf_spin_unlock(&held->lock); say(held->value);
        struct timed *timed = bpf_map_lookup_elem(&clocks, &key);
        if (!timed) return TC_ACT_SHOT;
        say(bpf_timer_start(&timed->timer, 1, 0)); say(bpf_timer_set_callback(&timed->timer, rings));
        say(bpf_timer_cancel(&timed->timer));
        say(bpf_timer_init(&timed->timer, &clocks, CLOCK_MONOTONIC)); say(bpf_timer_init(&timed->timer, &clocks, 1));
        say(bpf_timer_start(&timed->timer, 1, 0));
        say(bpf_timer_set_callback(&timed->timer, rings));
        say(bpf_timer_start(&timed->timer, 3600000000000ULL, 0)); say(bpf_timer_start(&timed->timer, 1, 16));
        say(bpf_timer_cancel(&timed->timer)); say(bpf_timer_cancel(&timed->timer));
        return TC_ACT_OK;"""),
    "the machine": ("tc", """
        __u64 before = bpf_ktime_get_ns();
        say(bpf_ktime_get_ns() >= before); say(bpf_ktime_get_boot_ns() > 0); say(bpf_ktime_get_coarse_ns() > 0);
        say(bpf_ktime_get_tai_ns() > 0); say(bpf_jiffies64() > 0); say(bpf_get_smp_processor_id());
        say(bpf_get_numa_node_id()); bpf_get_prandom_u32();
        return TC_ACT_OK;"""),
    "probe reads": ("raw_tp", """
        char text[8] = "abcdef", out[8] = {}; __u64 word = 77, got = 5;
        say(bpf_probe_read_kernel(&got, 8, &word)); say(got);
        say(bpf_probe_read_kernel(&got, 8, 0)); say(got); got = 5;
        say(bpf_probe_read(&got, 8, &word)); say(got);
        say(bpf_probe_read_kernel_str(out, 8, text)); say(*(__u64 *)out);
        say(bpf_probe_read_kernel_str(out, 3, text)); say(out[2]); say(bpf_probe_read_kernel_str(out, 4, 0));
        say(bpf_probe_read_str(out, 8, text)); say(*(__u64 *)out);
        got = 5; say(bpf_probe_read_user(&got, 8, (void *)0)); say(got);
        say(bpf_probe_read_user_str(out, 4, (void *)0)); say(out[0]);
        return 0;"""),
    "the task": ("raw_tp", """
        char name[16]; __u64 words[2] = { 7, 7 };
        say((bpf_get_current_pid_tgid() >> 32) > 0); say(bpf_get_current_uid_gid() == bpf_get_current_uid_gid());
        say(bpf_get_current_comm(name, sizeof(name))); say(name[0] != 0); say(name[15]);
        say(bpf_get_current_task() != 0); say(bpf_get_current_task_btf() != 0);
        say(bpf_get_ns_current_pid_tgid(1, 2, (void *)words, 8)); say(words[0]);
        say(bpf_current_task_under_cgroup(&cgroups, 0)); say(bpf_current_task_under_cgroup(&cgroups, 9));
        return 0;"""),
    "counters": ("raw_tp", """
        struct bpf_perf_event_value value = { 1, 2, 3 };
        say(bpf_perf_event_read(&counters, 0)); say(bpf_perf_event_read(&counters, 999));
        say(bpf_perf_event_read(&counters, 1ULL << 40));
        say(bpf_perf_event_read_value(&counters, 0, &value, sizeof(value))); say(value.counter);
        say(bpf_perf_event_read_value(&counters, 99, &value, sizeof(value)));
        return 0;"""),
    "stacks": ("raw_tp", """
        __u64 stack[4];
        say(bpf_get_stack(ctx, stack, sizeof(stack), 1 << 20)); say(bpf_get_stack(ctx, stack, 31, 0));
        say(bpf_get_stack(ctx, stack, sizeof(stack), 0) > 0); say(bpf_get_stackid(ctx, &traces, 1 << 20));
        say(bpf_get_stackid(ctx, &traces, 0) >= 0);
        return 0;"""),
}

#: what the programs above share
MAPS = """
#define CLOCK_MONOTONIC 1
struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __type(key, __u32); __type(value, __u32); __uint(max_entries, 4); }
        devices SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_DEVMAP_HASH); __type(key, __u32); __type(value, __u32); __uint(max_entries, 4); }
        hashed SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_CPUMAP); __type(key, __u32); __type(value, __u32); __uint(max_entries, 2); }
        cpus SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_XSKMAP); __type(key, __u32); __type(value, __u32); __uint(max_entries, 4); }
        xsks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_CGROUP_ARRAY); __type(key, __u32); __type(value, __u32); __uint(max_entries, 4); }
        cgroups SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_SK_STORAGE); __type(key, int); __type(value, __u64);
         __uint(map_flags, BPF_F_NO_PREALLOC); } stored SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __type(value, __u32); __uint(max_entries, 2); } line SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK); __type(value, __u32); __uint(max_entries, 2); } pile SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_BLOOM_FILTER); __type(value, __u32); __uint(max_entries, 64); } seen SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_HASH); __type(key, __u32); __type(value, __u64); __uint(max_entries, 2); }
        percpu SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); __type(value, __u64); __uint(max_entries, 4); }
        table SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
struct guarded { struct bpf_spin_lock lock; int value; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, struct guarded); __uint(max_entries, 1); }
        guards SEC(".maps");
struct timed { struct bpf_timer timer; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, struct timed); __uint(max_entries, 1); }
        clocks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __type(key, __u32); __type(value, __u32);
         __uint(max_entries, 2); } counters SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(key_size, 4); __uint(value_size, 80); __uint(max_entries, 64); }
        traces SEC(".maps");

static long count(struct bpf_map *map, const void *key, void *value, void *ctx)
{
        *(__u64 *)ctx += *(__u64 *)value + *(const __u32 *)key;
        return 0;
}
static long adds(__u32 index, void *ctx) { *(__u64 *)ctx += index; return 0; }
static long stops(__u32 index, void *ctx) { return index == 3; }
static int rings(void *map, int *key, void *value) { return 0; }
"""
CONTEXT = {"cgroup_skb/ingress": "struct __sk_buff *skb", "tc": "struct __sk_buff *skb", "xdp": "struct xdp_md *ctx",
           "raw_tp": "struct bpf_raw_tracepoint_args *ctx"}


def source(name: str) -> str:
    """The C program that asks."""
    section, body = ASKED[name]
    return f'{HEAD}{MAPS}\nSEC("{section}")\nint asks({CONTEXT[section]})\n{{{body}\n}}\n'
