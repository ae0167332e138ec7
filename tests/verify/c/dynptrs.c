/* Dynptrs: of a map's value, of a ring buffer, and those that user space wrote. The line before a program is what the
 * verifier says last of it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} from_user SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
} hash SEC(".maps");

char bytes[64];

#define AT(d) ((void *)&(d))
#define LOCAL(d) struct bpf_dynptr d; bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &d)
#define RESERVED(d, size) struct bpf_dynptr d; bpf_ringbuf_reserve_dynptr(&ring, size, 0, &d)

/* ---- of a map's value */

//= accept
SEC("xdp") int reads_and_writes(struct xdp_md *xdp)
{
	long word = 3;

	LOCAL(d);
	bpf_dynptr_write(&d, 8, &word, sizeof(word), 0);
	return bpf_dynptr_read(&word, sizeof(word), &d, 8, 0) ? 1 : word;
}

//= accept
SEC("xdp") int slice(struct xdp_md *xdp)
{
	char *p;

	LOCAL(d);
	p = bpf_dynptr_data(&d, 0, 16);
	return p ? p[15] = 3 : 0;
}

//= R0 invalid mem access 'mem_or_null'
SEC("xdp") int slice_unchecked(struct xdp_md *xdp)
{
	LOCAL(d);
	return *(volatile char *)bpf_dynptr_data(&d, 0, 16);
}

//= R1 min value is outside of the allowed memory range
SEC("xdp") int slice_beyond(struct xdp_md *xdp)
{
	volatile char *p;

	LOCAL(d);
	p = bpf_dynptr_data(&d, 0, 16);
	return p ? p[16] : 0;
}

//= R3 is not a known constant'
SEC("xdp") int slice_of_any_size(struct xdp_md *xdp)
{
	LOCAL(d);
	return bpf_dynptr_data(&d, 0, xdp->data_end - xdp->data) != 0;
}

//= Expected an initialized dynptr as arg #2
SEC("xdp") int never_made(struct xdp_md *xdp)
{
	struct bpf_dynptr d = {};
	long word;

	return bpf_dynptr_read(&word, sizeof(word), &d, 0, 0);
}

//= Unsupported reg type fp for bpf_dynptr_from_mem data
SEC("xdp") int of_the_stack(struct xdp_md *xdp)
{
	char own[16] = {};
	struct bpf_dynptr d;

	return bpf_dynptr_from_mem(own, sizeof(own), 0, &d);
}

//= Unsupported reg type mem for bpf_dynptr_from_mem data
SEC("xdp") int of_a_slice(struct xdp_md *xdp)
{
	struct bpf_dynptr e;
	void *p;

	LOCAL(d);
	p = bpf_dynptr_data(&d, 0, 16);
	return p ? bpf_dynptr_from_mem(p, 16, 0, &e) : 0;
}

//= R1 type=scalar expected=fp, dynptr_ptr
SEC("xdp") int no_pointer(struct xdp_md *xdp) { return bpf_dynptr_data((void *)5, 0, 16) != 0; }

//= Expected an initialized dynptr as arg #0
SEC("xdp") int second_half(struct xdp_md *xdp)
{
	LOCAL(d);
	return bpf_dynptr_data(AT(d) + 8, 0, 16) != 0;
}

//= invalid read from stack R3 off -16+0 size 16
SEC("xdp") int bytes_of_it_read(struct xdp_md *xdp)
{
	LOCAL(d);
	LOCAL(e);
	return bpf_dynptr_write(&e, 0, &d, sizeof(d), 0);
}

//= invalid read from stack off -16+0 size 8
SEC("xdp") int loaded(struct xdp_md *xdp)
{
	LOCAL(d);
	return *(volatile long *)&d;
}

//= accept
SEC("xdp") int made_twice(struct xdp_md *xdp)
{
	LOCAL(d);
	bpf_dynptr_from_mem(bytes, 8, 0, &d);
	return bpf_dynptr_data(&d, 0, 16) != 0;
}

//= R6 invalid mem access 'scalar'
SEC("xdp") int slice_of_the_first(struct xdp_md *xdp)
{
	volatile char *p;

	LOCAL(d);
	p = bpf_dynptr_data(&d, 0, 16);
	if (!p)
		return 0;
	bpf_dynptr_from_mem(bytes, 8, 0, &d);
	return *p;
}

//= Expected an initialized dynptr as arg #0
SEC("xdp") int overwritten(struct xdp_md *xdp)
{
	LOCAL(d);
	*(volatile char *)(AT(d) + 12) = 1;
	return bpf_dynptr_data(&d, 0, 16) != 0;
}

//= Expected an initialized dynptr as arg #0
SEC("xdp") int overwritten_somewhere(struct xdp_md *xdp)
{
	unsigned long at = bpf_get_prandom_u32() & 15;

	LOCAL(d);
	asm volatile("" : "+r"(at));
	*(volatile char *)(AT(d) + at) = 1;
	return bpf_dynptr_data(&d, 0, 16) != 0;
}

//= potential write to dynptr at off=-16 disallowed
SEC("xdp") int read_over_itself(struct xdp_md *xdp)
{
	LOCAL(d);
	return bpf_dynptr_read(&d, sizeof(d), &d, 0, 0);
}

//= accept
SEC("xdp") int made_on_two_paths(struct xdp_md *xdp)
{
	struct bpf_dynptr d;
	char *p;

	if (xdp->ingress_ifindex)
		bpf_dynptr_from_mem(bytes, 8, 0, &d);
	else
		bpf_dynptr_from_mem(bytes + 8, 16, 0, &d);
	p = bpf_dynptr_data(&d, 0, 16);
	return p ? *p : 0;
}

//= Expected an initialized dynptr as arg #0
SEC("xdp") int made_on_one_path(struct xdp_md *xdp)
{
	struct bpf_dynptr d;

	if (xdp->ingress_ifindex)
		bpf_dynptr_from_mem(bytes, 8, 0, &d);
	else
		asm volatile("" ::: "memory");
	return bpf_dynptr_data(&d, 0, 16) != 0;
}

//= accept
SEC("xdp") int in_a_loop(struct xdp_md *xdp)
{
	char byte = 0;

	LOCAL(d);
	for (int i = 0; i < 40; i++) {
		bpf_dynptr_write(&d, i, &byte, 1, 0);
		bpf_dynptr_read(&byte, 1, &d, i + 1, 0);
	}
	return byte;
}

//= accept
SEC("xdp") int made_in_a_loop(struct xdp_md *xdp)
{
	char *p;

	for (int i = 0; i < 10; i++) {
		LOCAL(d);
		p = bpf_dynptr_data(&d, i, 8);
		if (p)
			*p += i;
	}
	return 0;
}

/* ---- of a ring buffer */

//= accept
SEC("xdp") int submitted(struct xdp_md *xdp)
{
	long word = 3;

	RESERVED(d, xdp->data_end - xdp->data);
	bpf_dynptr_write(&d, 0, &word, sizeof(word), 0);
	bpf_ringbuf_submit_dynptr(&d, 0);
	return 0;
}

//= accept
SEC("xdp") int failure_is_discarded(struct xdp_md *xdp)
{
	struct bpf_dynptr d;
	long *p;

	if (!bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &d)) {
		p = bpf_dynptr_data(&d, 0, 8);
		if (p)
			*p = 1;
		bpf_ringbuf_submit_dynptr(&d, 0);
	} else {
		bpf_ringbuf_discard_dynptr(&d, 0);
	}
	return 0;
}

//= BPF_EXIT instruction in main prog would lead to reference leak
SEC("xdp") int kept(struct xdp_md *xdp)
{
	RESERVED(d, 8);
	return 0;
}

//= BPF_EXIT instruction in main prog would lead to reference leak
SEC("xdp") int failure_is_kept(struct xdp_md *xdp)
{
	struct bpf_dynptr d;

	if (!bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &d))
		bpf_ringbuf_submit_dynptr(&d, 0);
	return 0;
}

//= arg 1 is an unacquired reference
SEC("xdp") int submitted_twice(struct xdp_md *xdp)
{
	RESERVED(d, 8);
	bpf_ringbuf_submit_dynptr(&d, 0);
	bpf_ringbuf_submit_dynptr(&d, 0);
	return 0;
}

//= arg 1 is an unacquired reference
SEC("xdp") int local_submitted(struct xdp_md *xdp)
{
	LOCAL(d);
	bpf_ringbuf_submit_dynptr(&d, 0);
	return 0;
}

//= R6 invalid mem access 'scalar'
SEC("xdp") int slice_after_submit(struct xdp_md *xdp)
{
	volatile char *p;

	RESERVED(d, 8);
	p = bpf_dynptr_data(&d, 0, 8);
	bpf_ringbuf_submit_dynptr(&d, 0);
	return p ? *p : 0;
}

//= R1 type=mem expected=ringbuf_mem
SEC("xdp") int slice_submitted(struct xdp_md *xdp)
{
	void *p;

	RESERVED(d, 8);
	p = bpf_dynptr_data(&d, 0, 8);
	if (p)
		bpf_ringbuf_submit(p, 0);
	bpf_ringbuf_discard_dynptr(&d, 0);
	return 0;
}

//= cannot overwrite referenced dynptr
SEC("xdp") int reserved_twice(struct xdp_md *xdp)
{
	RESERVED(d, 8);
	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &d);
	bpf_ringbuf_submit_dynptr(&d, 0);
	return 0;
}

//= cannot overwrite referenced dynptr
SEC("xdp") int reservation_overwritten(struct xdp_md *xdp)
{
	RESERVED(d, 8);
	*(volatile char *)AT(d) = 1;
	bpf_ringbuf_submit_dynptr(&d, 0);
	return 0;
}

//= accept
SEC("xdp") int two_reservations(struct xdp_md *xdp)
{
	long word = 3;

	RESERVED(d, 8);
	RESERVED(e, 8);
	bpf_ringbuf_submit_dynptr(&d, 0);
	bpf_dynptr_write(&e, 0, &word, sizeof(word), 0);
	bpf_ringbuf_discard_dynptr(&e, 0);
	return 0;
}

//= Expected an initialized dynptr as arg #0
SEC("xdp") int the_other_one(struct xdp_md *xdp)
{
	long word = 3;

	RESERVED(d, 8);
	RESERVED(e, 8);
	bpf_ringbuf_submit_dynptr(&e, 0);
	bpf_dynptr_write(&e, 0, &word, sizeof(word), 0);
	bpf_ringbuf_discard_dynptr(&d, 0);
	return 0;
}

//= cannot pass map_type 1 into func bpf_ringbuf_reserve_dynptr#198
SEC("xdp") int no_ring_buffer(struct xdp_md *xdp)
{
	struct bpf_dynptr d;

	bpf_ringbuf_reserve_dynptr(&hash, 8, 0, &d);
	bpf_ringbuf_discard_dynptr(&d, 0);
	return 0;
}

/* ---- given to functions */

__attribute__((noinline)) static long first_byte(struct bpf_dynptr *d)
{
	char *p = bpf_dynptr_data(d, 0, 1);

	return p ? *p : 0;
}

__attribute__((noinline)) static void gives_back(struct bpf_dynptr *d) { bpf_ringbuf_discard_dynptr(d, 0); }

__attribute__((noinline)) static void makes(struct bpf_dynptr *d) { bpf_dynptr_from_mem(bytes, 8, 0, d); }

__attribute__((noinline)) int of_anyone(struct bpf_dynptr *d)
{
	char *p = bpf_dynptr_data(d, 0, 1);

	return p ? *p : 0;
}

__attribute__((noinline)) int overwrites(struct bpf_dynptr *d) { return bpf_dynptr_from_mem(bytes, 8, 0, d); }

__attribute__((noinline)) int releases(struct bpf_dynptr *d) { bpf_ringbuf_discard_dynptr(d, 0); return 0; }

__attribute__((noinline)) int looks_inside(struct bpf_dynptr *d) { return *(volatile int *)d; }

//= accept
SEC("xdp") int to_a_function(struct xdp_md *xdp)
{
	LOCAL(d);
	return first_byte(&d);
}

//= accept
SEC("xdp") int given_back_by_a_function(struct xdp_md *xdp)
{
	RESERVED(d, 8);
	gives_back(&d);
	return 0;
}

//= accept
SEC("xdp") int made_by_a_function(struct xdp_md *xdp)
{
	struct bpf_dynptr d;

	makes(&d);
	return first_byte(&d);
}

//= accept
SEC("xdp") int to_a_global_function(struct xdp_md *xdp)
{
	RESERVED(d, 8);
	of_anyone(&d);
	bpf_ringbuf_submit_dynptr(&d, 0);
	return 0;
}

//= Caller passes invalid args into func#1 ('of_anyone')
SEC("xdp") int none_to_a_global_function(struct xdp_md *xdp)
{
	struct bpf_dynptr d = {};

	return of_anyone(&d);
}

//= Caller passes invalid args into func#1 ('of_anyone')
SEC("xdp") int number_to_a_global_function(struct xdp_md *xdp) { return of_anyone((void *)3); }

//= Dynptr has to be an uninitialized dynptr
SEC("xdp") int function_overwrites(struct xdp_md *xdp)
{
	LOCAL(d);
	return overwrites(&d);
}

//= cannot release unowned const bpf_dynptr
SEC("xdp") int function_releases(struct xdp_md *xdp)
{
	LOCAL(d);
	return releases(&d);
}

//= R1 invalid mem access 'dynptr_ptr'
SEC("xdp") int function_looks_inside(struct xdp_md *xdp)
{
	LOCAL(d);
	return looks_inside(&d);
}

/* ---- records of user space */

static long copies(struct bpf_dynptr *d, long *sum)
{
	long word = 0;

	if (bpf_dynptr_read(&word, sizeof(word), d, 0, 0))
		return 1;
	*sum += word;
	return 0;
}

static long views(struct bpf_dynptr *d, void *unused)
{
	long *p = bpf_dynptr_data(d, 0, 8);

	return p ? *p & 1 : 1;
}

static long views_unchecked(struct bpf_dynptr *d, void *unused) { return *(volatile long *)bpf_dynptr_data(d, 0, 8) & 1; }
static long moves(struct bpf_dynptr *d, void *unused) { return bpf_dynptr_data((void *)d + 8, 0, 8) != 0; }
static long discards(struct bpf_dynptr *d, void *unused) { bpf_ringbuf_discard_dynptr(d, 0); return 0; }
static long makes_again(struct bpf_dynptr *d, void *unused) { bpf_dynptr_from_mem(bytes, 8, 0, d); return 0; }
static long writes_it(struct bpf_dynptr *d, void *unused) { *(volatile long *)d = 0; return 0; }
static long returns_two(struct bpf_dynptr *d, void *unused) { return 2; }
static long reserves(struct bpf_dynptr *d, void *unused) { RESERVED(e, 8); return 0; }
static long copies_record(struct bpf_dynptr *d, void *unused)
{
	char byte = 0;

	RESERVED(e, 8);
	bpf_dynptr_read(&byte, 1, d, 0, 0);
	bpf_dynptr_write(&e, 0, &byte, 1, 0);
	bpf_ringbuf_submit_dynptr(&e, 0);
	return 0;
}
static long over_callers(struct bpf_dynptr *d, struct bpf_dynptr *callers)
{
	bpf_dynptr_from_mem(bytes, 8, 0, callers);
	return 0;
}

//= accept
SEC("xdp") int drained(struct xdp_md *xdp)
{
	long sum = 0;

	bpf_user_ringbuf_drain(&from_user, copies, &sum, 0);
	return sum & 1;
}

//= accept
SEC("xdp") int viewed(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, views, 0, 0) & 1; }

//= R0 invalid mem access 'mem_or_null'
SEC("xdp") int viewed_unchecked(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, views_unchecked, 0, 0) & 1; }

//= dereference of modified dynptr_ptr ptr R1 off=8 disallowed
SEC("xdp") int moved(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, moves, 0, 0) & 1; }

//= cannot release unowned const bpf_dynptr
SEC("xdp") int discarded_by_callback(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, discards, 0, 0) & 1; }

//= Dynptr has to be an uninitialized dynptr
SEC("xdp") int made_by_callback(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, makes_again, 0, 0) & 1; }

//= R1 invalid mem access 'dynptr_ptr'
SEC("xdp") int written_by_callback(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, writes_it, 0, 0) & 1; }

//= At callback return the register R0 has smin=2 smax=2 should have been in [0, 1]
SEC("xdp") int callback_returns_two(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, returns_two, 0, 0) & 1; }

//= BPF_EXIT instruction in main prog would lead to reference leak
SEC("xdp") int callback_keeps(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, reserves, 0, 0) & 1; }

//= accept
SEC("xdp") int callback_submits(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&from_user, copies_record, 0, 0) & 1; }

//= accept
SEC("xdp") int callers_dynptr(struct xdp_md *xdp)
{
	LOCAL(d);
	bpf_user_ringbuf_drain(&from_user, over_callers, &d, 0);
	return first_byte(&d);
}

//= cannot pass map_type 27 into func bpf_user_ringbuf_drain#209
SEC("xdp") int drains_the_other_kind(struct xdp_md *xdp) { return bpf_user_ringbuf_drain(&ring, views, 0, 0) & 1; }
