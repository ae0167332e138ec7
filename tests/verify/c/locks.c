/* Spin locks. The line before a program is what the verifier says last of it; "accept" if it has nothing against it. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define __naked __attribute__((naked))

struct value { int count; struct bpf_spin_lock lock; int other; };

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 4);
        __type(key, int);
        __type(value, struct value);
} values SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, int);
        __type(value, int);
} plain SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 2);
        __uint(key_size, 4);
        __uint(value_size, 4);
} programs SEC(".maps");

struct bpf_spin_lock here SEC(".data.here");
struct bpf_spin_lock there SEC(".data.there");
int total;

static __always_inline struct value *find(int key)
{
        return bpf_map_lookup_elem(&values, &key);
}

static __noinline int work(struct __sk_buff *skb)
{
        return skb->len + total;
}

static __noinline int take(int key)
{
        bpf_spin_lock(&here);
        return key + 1;
}

__noinline int global(int key)
{
        return key + 2;
}

//= accept
SEC("tc") int counts(struct __sk_buff *skb)
{
        struct value *v = find(skb->len);

        if (!v)
                return 0;
        bpf_spin_lock(&v->lock);
        v->count++;
        if (v->count > 5)
                v->other = skb->mark;
        bpf_spin_unlock(&v->lock);
        return v->other;
}

//= accept
SEC("tc") int both_ways(struct __sk_buff *skb)
{
        struct value *v = find(skb->len), *w = find(skb->mark);

        if (!v || !w)
                return 0;
        if (skb->mark)
                v = w;
        bpf_spin_lock(&v->lock);
        v->count = work(skb);
        bpf_spin_unlock(&v->lock);
        return 1;
}

//= accept
SEC("tc") int in_functions(struct __sk_buff *skb)
{
        int sum = take(skb->len);

        sum += work(skb);
        bpf_spin_unlock(&here);
        return sum & 1;
}

//= bpf_spin_unlock of different lock
SEC("tc") int other_value(struct __sk_buff *skb)
{
        struct value *v = find(1), *w = find(1);

        if (!v || !w)
                return 0;
        bpf_spin_lock(&v->lock);
        bpf_spin_unlock(&w->lock);
        return 0;
}

//= bpf_spin_unlock of different lock
SEC("tc") int other_section(struct __sk_buff *skb)
{
        bpf_spin_lock(&here);
        bpf_spin_unlock(&there);
        return 0;
}

//= function calls are not allowed while holding a lock
SEC("tc") int two(struct __sk_buff *skb)
{
        bpf_spin_lock(&here);
        bpf_spin_lock(&there);
        bpf_spin_unlock(&there);
        bpf_spin_unlock(&here);
        return 0;
}

//= bpf_spin_unlock without taking a lock
SEC("tc") int none(struct __sk_buff *skb)
{
        bpf_spin_unlock(&here);
        return 0;
}

//= BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region
SEC("tc") int forgotten(struct __sk_buff *skb)
{
        struct value *v = find(1);

        if (!v)
                return 0;
        bpf_spin_lock(&v->lock);
        if (skb->len > 100)
                bpf_spin_unlock(&v->lock);
        return 0;
}

//= function calls are not allowed while holding a lock
SEC("tc") int asks(struct __sk_buff *skb)
{
        bpf_spin_lock(&here);
        total = bpf_ktime_get_ns();
        bpf_spin_unlock(&here);
        return 0;
}

//= function calls are not allowed while holding a lock
SEC("tc") int tail(struct __sk_buff *skb)
{
        bpf_spin_lock(&here);
        bpf_tail_call(skb, &programs, 0);
        bpf_spin_unlock(&here);
        return 0;
}

//= use static function instead
SEC("tc") int calls_global(struct __sk_buff *skb)
{
        int sum;

        bpf_spin_lock(&here);
        sum = global(skb->len);
        bpf_spin_unlock(&here);
        return sum;
}

//= off 0 doesn't point to 'struct bpf_spin_lock' that is at 4
SEC("tc") int beside(struct __sk_buff *skb)
{
        struct value *v = find(1);

        if (v)
                bpf_spin_lock((void *)&v->count);
        return 0;
}

//= map 'plain' has no valid bpf_spin_lock
SEC("tc") int without(struct __sk_buff *skb)
{
        int key = 0, *v = bpf_map_lookup_elem(&plain, &key);

        if (v)
                bpf_spin_lock((void *)v);
        return 0;
}

//= R1 type=map_value_or_null expected=map_value, ptr_
SEC("tc") int unchecked(struct __sk_buff *skb)
{
        struct value *v = find(1);

        bpf_spin_lock((void *)v);
        return 0;
}

//= R1 type=fp expected=map_value, ptr_
SEC("tc") int on_the_stack(struct __sk_buff *skb)
{
        struct bpf_spin_lock lock = {};

        bpf_spin_lock(&lock);
        return 0;
}

//= bpf_spin_lock cannot be accessed directly by load/store
SEC("tc") int reads_the_lock(struct __sk_buff *skb)
{
        struct value *v = find(1);

        return v ? *(volatile int *)&v->lock : 0;
}

//= bpf_spin_lock cannot be accessed directly by load/store
SEC("tc") int helper_writes_the_lock(struct __sk_buff *skb)
{
        struct value *v = find(1);

        return v ? bpf_skb_load_bytes(skb, 0, v, 8) : 0;
}

//= R1 doesn't have constant offset. bpf_spin_lock has to be at the constant offset
SEC("tc") int somewhere(struct __sk_buff *skb)
{
        struct value *v = find(1);

        if (v)
                bpf_spin_lock((void *)v + (skb->len & 4));
        return 0;
}

//= BPF_LD_[ABS|IND] cannot be used inside bpf_spin_lock-ed region
SEC("tc") __naked int loads_packet(void)
{
        asm volatile ("r6 = r1;"
                      "r1 = %[lock] ll;"
                      "call %[take];"
                      "r0 = *(u8 *)skb[0];"
                      "r1 = %[lock] ll;"
                      "call %[give];"
                      "r0 = 0;"
                      "exit;"
                      :
                      : [lock]"i"(&here), [take]"i"(bpf_spin_lock), [give]"i"(bpf_spin_unlock));
}

//= socket filter progs cannot use bpf_spin_lock yet
SEC("socket") int filter(struct __sk_buff *skb)
{
        bpf_spin_lock(&here);
        bpf_spin_unlock(&here);
        return 0;
}

//= tracing progs cannot use bpf_spin_lock yet
SEC("tracepoint/sched/sched_switch") int tracer(void *ctx)
{
        bpf_spin_lock(&here);
        bpf_spin_unlock(&here);
        return 0;
}

char _license[] SEC("license") = "GPL";
