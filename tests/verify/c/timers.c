/* Timers. The line before a program is what the verifier says last of it; "accept" if it has nothing against it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct value { int count; struct bpf_timer timer; };

struct inner {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 4);
        __type(key, int);
        __type(value, struct value);
} values SEC(".maps"), others SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
        __uint(max_entries, 2);
        __type(key, int);
        __array(values, struct inner);
} maps SEC(".maps") = { .values = { &values } };

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, int);
        __type(value, long[4]);
} plain SEC(".maps");

static __always_inline struct value *find(int key)
{
        return bpf_map_lookup_elem(&values, &key);
}

//= accept
SEC("tc") int starts(struct __sk_buff *skb)
{
        struct value *v = find(1);

        if (!v || bpf_timer_init(&v->timer, &values, 1))
                return 0;
        bpf_timer_start(&v->timer, 1000, 0);
        v->count++;
        return bpf_timer_cancel(&v->timer);
}

//= timer pointer in R1 map_uid=0 doesn't match map pointer in R2 map_uid=0
SEC("tc") int another_map(struct __sk_buff *skb)
{
        struct value *v = find(1);

        return v ? bpf_timer_init(&v->timer, &others, 1) : 0;
}

//= accept
SEC("tc") int inner_map(struct __sk_buff *skb)
{
        int key = 0;
        void *map = bpf_map_lookup_elem(&maps, &key);
        struct value *v;

        if (!map)
                return 0;
        v = bpf_map_lookup_elem(map, &key);
        return v ? bpf_timer_init(&v->timer, map, 1) : 0;
}

//= timer pointer in R1 map_uid=1 doesn't match map pointer in R2 map_uid=2
SEC("tc") int another_inner_map(struct __sk_buff *skb)
{
        int key = 0, other = 1;
        void *map = bpf_map_lookup_elem(&maps, &key), *second = bpf_map_lookup_elem(&maps, &other);
        struct value *v;

        if (!map || !second)
                return 0;
        v = bpf_map_lookup_elem(map, &key);
        return v ? bpf_timer_init(&v->timer, second, 1) : 0;
}

//= off 0 doesn't point to 'struct bpf_timer' that is at 8
SEC("tc") int beside(struct __sk_buff *skb)
{
        struct value *v = find(1);

        return v ? bpf_timer_cancel((void *)v) : 0;
}

//= map 'plain' has no valid bpf_timer
SEC("tc") int without(struct __sk_buff *skb)
{
        int key = 0;
        void *v = bpf_map_lookup_elem(&plain, &key);

        return v ? bpf_timer_cancel(v) : 0;
}

//= R1 doesn't have constant offset. bpf_timer has to be at the constant offset
SEC("tc") int somewhere(struct __sk_buff *skb)
{
        struct value *v = find(1);

        return v ? bpf_timer_cancel((void *)v + (skb->len & 8)) : 0;
}

//= R1 type=fp expected=map_value
SEC("tc") int on_the_stack(struct __sk_buff *skb)
{
        struct bpf_timer timer = {};

        return bpf_timer_cancel(&timer);
}

//= bpf_timer cannot be accessed directly by load/store
SEC("tc") int writes_the_timer(struct __sk_buff *skb)
{
        struct value *v = find(1);

        if (v)
                *(volatile int *)&v->timer = 0;
        return 0;
}

char _license[] SEC("license") = "GPL";
