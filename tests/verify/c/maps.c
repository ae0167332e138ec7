/* Which programs may use which maps. The line before a program is what the verifier says last of it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct timed { int count; struct bpf_timer timer; };
struct queued { int count; struct bpf_wq work; };

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, int);
        __type(value, struct timed);
} timed SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, int);
        __type(value, struct queued);
} queued SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
        __type(key, struct bpf_cgroup_storage_key);
        __type(value, int);
} mine SEC(".maps"), yours SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
        __type(key, struct bpf_cgroup_storage_key);
        __type(value, int);
} parts SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 4);
        __uint(key_size, 8);
        __uint(value_size, 4);
} routes SEC(".maps");

//= accept
SEC("socket") int filters_with_timers(struct __sk_buff *skb)
{
        int key = 0;
        struct timed *v = bpf_map_lookup_elem(&timed, &key);

        return v ? v->count : 0;
}

//= tracing progs cannot use bpf_timer yet
SEC("kprobe/x") int traces_with_timers(void *ctx)
{
        int key = 0;
        struct timed *v = bpf_map_lookup_elem(&timed, &key);

        return v ? v->count : 0;
}

//= tracing progs cannot use bpf_wq yet
SEC("kprobe/x") int traces_with_work(void *ctx)
{
        int key = 0;
        struct queued *v = bpf_map_lookup_elem(&queued, &key);

        return v ? v->count : 0;
}

//= accept
SEC("cgroup/skb") int storage_of_two_kinds(struct __sk_buff *skb)
{
        int *all = bpf_get_local_storage(&mine, 0), *part = bpf_get_local_storage(&parts, 0);

        return *all > *part;
}

//= only one cgroup storage of each type is allowed
SEC("cgroup/skb") int storage_twice(struct __sk_buff *skb)
{
        int *one = bpf_get_local_storage(&mine, 0), *other = bpf_get_local_storage(&yours, 0);

        return *one > *other;
}

//= Sleepable programs can only use array, hash, ringbuf and local storage maps
SEC("uprobe.s/x") int sleeps(void *ctx)
{
        long key = 8;

        return bpf_map_lookup_elem(&routes, &key) != 0;
}

char _license[] SEC("license") = "GPL";
