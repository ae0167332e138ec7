// Functions that helpers call: how often, nobody knows.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sums { long count, sum; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, long);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, long);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 8);
	__type(value, long);
} queue SEC(".maps");

char bytes[64];

static long add(__u64 at, struct sums *s) { s->count++; s->sum += at; return 0; }
static long maybe(__u64 at, void *unused) { return bpf_get_prandom_u32() & 1; }
static long two(__u64 at, void *unused) { return 2; }
static long any(__u64 at, void *unused) { return bpf_get_prandom_u32(); }
static long checked(__u64 at, void *unused) { if (at < 64) bytes[at] = 1; return 0; }
static long unchecked(__u64 at, void *unused) { asm volatile("" : "+r"(at)); if (at < 65) bytes[at] = 1; return 0; }
static long own_count(__u64 at, struct sums *s) { if (s->count >= 0 && s->count < 64) bytes[s->count] = 1; s->count += 3; return 0; }
static long grows(__u64 at, struct sums *s) { long n = s->count; asm volatile("" : "+r"(n)); bytes[n] = 1; s->count = n + 1; return 0; }
static long inner(__u64 at, struct sums *s) { s->sum += 2; return s->count > 3; }
static long outer(__u64 at, struct sums *s) { bpf_loop(5, inner, s, 0); return 0; }
static long element(void *map, int *key, long *value, struct sums *s) { s->sum += *key + *value; *value = 3; return 0; }
static long no_context(void *map, int *key, long *value, struct sums *s) { return s ? s->sum == 3 : 1; }
static long writes_key(void *map, int *key, long *value, void *unused) { *key = 3; return 0; }
static long reads_beyond(void *map, int *key, long *value, void *unused) { return value[1] & 1; }

//= accept
SEC("xdp") int counted(struct xdp_md *xdp) { struct sums s = {}; bpf_loop(100, add, &s, 0); return s.count & 1; }

//= accept
SEC("xdp") int any_number(struct xdp_md *xdp) { struct sums s = {}; bpf_loop(bpf_get_prandom_u32(), add, &s, bpf_get_prandom_u32()); return s.sum & 1; }

//= accept
SEC("xdp") int once(struct xdp_md *xdp) { struct sums s = {}; bpf_loop(1, add, &s, 0); return s.count; }

//= accept
SEC("xdp") int never(struct xdp_md *xdp) { struct sums s = {}; bpf_loop(0, add, &s, 0); return s.count; }

//= accept
SEC("xdp") int without_context(struct xdp_md *xdp) { return bpf_loop(100, maybe, 0, 0) > 3; }

//= At callback return the register R0 has smin=2 smax=2 should have been in [0, 1]
SEC("xdp") int returns_two(struct xdp_md *xdp) { return bpf_loop(100, two, 0, 0) > 3; }

//= At callback return the register R0 has smin=0 smax=4294967295 should have been in [0, 1]
SEC("xdp") int returns_anything(struct xdp_md *xdp) { return bpf_loop(100, any, 0, 0) > 3; }

//= accept
SEC("xdp") int index(struct xdp_md *xdp) { return bpf_loop(100, checked, 0, 0) > 3; }

//= R2 max value is outside of the allowed memory range
SEC("xdp") int index_beyond(struct xdp_md *xdp) { return bpf_loop(100, unchecked, 0, 0) > 3; }

//= accept
SEC("xdp") int own_index(struct xdp_md *xdp) { struct sums s = {}; bpf_loop(100, own_count, &s, 0); return 0; }

//= accept
SEC("xdp") int known_rounds(struct xdp_md *xdp) { struct sums s = {}; bpf_loop(3, grows, &s, 0); return 0; }

//= accept
SEC("xdp") int nested(struct xdp_md *xdp) { struct sums s = {}; for (int i = 0; i < 3; i++) bpf_loop(2, outer, &s, 0); return s.sum & 1; }

//= accept
SEC("xdp") int elements(struct xdp_md *xdp) { struct sums s = {}; bpf_for_each_map_elem(&hash, element, &s, 0); bpf_for_each_map_elem(&percpu, element, &s, 0); return s.sum & 1; }

//= accept
SEC("xdp") int elements_without_context(struct xdp_md *xdp) { return bpf_for_each_map_elem(&hash, no_context, 0, 0) > 3; }

//= write to change key R2 not allowed
SEC("xdp") int key_written(struct xdp_md *xdp) { return bpf_for_each_map_elem(&hash, writes_key, 0, 0) > 3; }

//= R3 min value is outside of the allowed memory range
SEC("xdp") int value_beyond(struct xdp_md *xdp) { return bpf_for_each_map_elem(&hash, reads_beyond, 0, 0) > 3; }

//= callback function not allowed for map
SEC("xdp") int no_elements(struct xdp_md *xdp) { return bpf_for_each_map_elem(&queue, no_context, 0, 0) > 3; }

char LICENSE[] SEC("license") = "GPL";
