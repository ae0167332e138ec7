// Functions of a program: global ones stand on their own BTF, static ones on what each caller passes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define noinline __attribute__((noinline))
#define arg(tag) __attribute__((btf_decl_tag("arg:" #tag)))
#define on_exception(function) __attribute__((btf_decl_tag("exception_callback:" #function)))
#define used(x) asm volatile("" : "+r"(x))      // the compiler may not guess the argument, nor leave it out

struct pair { int first, second; long third; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct pair);
} pairs SEC(".maps");

char bytes[100];
long total;
const volatile int constant = 3;

noinline int number(int n) { used(n); return n * 2; }
noinline int byte_at(int at) { used(at); return at >= 0 && at < 100 ? bytes[at] : 0; }
noinline int byte_unchecked(int at) { used(at); return bytes[at]; }
noinline int inner(int n) { used(n); return n & 1; }
noinline int middle(int n) { used(n); return inner(n) + inner(n + 1); }
noinline int first_of(struct pair *p) { used(p); return p ? p->first : 0; }
noinline int first_unchecked(struct pair *p) { used(p); return p->first; }
noinline int swap(struct pair *p arg(nonnull)) { used(p); int n = p->first; p->first = p->second; p->second = n; return n; }
noinline int beyond(struct pair *p arg(nonnull)) { used(p); return *(int *)((void *)p + 16); }
noinline int anywhere(void *p) { used(p); return p != 0; }
noinline int length(struct __sk_buff *skb) { used(skb); return skb->len; }
noinline int length_tagged(void *skb arg(ctx)) { used(skb); return ((struct __sk_buff *)skb)->len; }
noinline int wrong_context(int *skb arg(ctx)) { used(skb); return 0; }
noinline int unknown_tag(int *p arg(mine)) { used(p); return 0; }
noinline int may_be_null(int *p arg(nullable)) { used(p); return 0; }
noinline int tagged_number(int n arg(nonnull)) { used(n); return n; }
noinline int peek(int *p arg(untrusted)) { used(p); return *p; }
noinline int poke(int *p arg(untrusted)) { used(p); *p = 1; return 0; }
noinline int pull(struct __sk_buff *skb) { used(skb); return bpf_skb_pull_data(skb, 0); }
noinline int leak(int n) { used(n); return (long)bpf_map_lookup_elem(&pairs, &n); }
noinline int caught(long cookie) { used(cookie); return cookie & 1; }
noinline void nothing(int n) { total = n; }
static noinline int second_of(struct pair *p) { used(p); return p->second; }
static noinline int tagged_static(struct __sk_buff *skb arg(ctx)) { used(skb); return skb->len; }

//= accept
SEC("tc") int numbers(struct __sk_buff *skb) { return number(skb->len) + byte_at(skb->mark); }

//= Caller passes invalid args into func#1 ('number')
SEC("tc") int pointer_for_a_number(struct __sk_buff *skb) { return number((long)skb); }

//= accept
SEC("tc") int chain(struct __sk_buff *skb) { return middle(skb->len); }

//= value -2147483648 makes map_value pointer be out of bounds
SEC("tc") int any_number(struct __sk_buff *skb) { return byte_unchecked(3); }

//= accept
SEC("tc") int memory(struct __sk_buff *skb) { struct pair p = {1, 2, 3}; int key = 0; return first_of(&p) + first_of(0) + first_of(bpf_map_lookup_elem(&pairs, &key)); }

//= R1 invalid mem access 'mem_or_null'
SEC("tc") int not_checked(struct __sk_buff *skb) { struct pair p = {}; return first_unchecked(&p); }

//= accept
SEC("tc") int never_null(struct __sk_buff *skb) { struct pair p = {1, 2, 3}; swap(&p); return p.first == 2; }

//= Caller passes invalid args into func#1 ('swap')
SEC("tc") int perhaps_null(struct __sk_buff *skb) { int key = 0; return swap(bpf_map_lookup_elem(&pairs, &key)); }

//= R1 min value is outside of the allowed memory range
SEC("tc") int too_far(struct __sk_buff *skb) { struct pair p = {}; return beyond(&p); }

//= Caller passes invalid args into func#1 ('first_of')
SEC("tc") int too_small(struct __sk_buff *skb) { return first_of((void *)&bytes[98]); }

//= Caller passes invalid args into func#1 ('first_of')
SEC("tc") int read_only(struct __sk_buff *skb) { return first_of((void *)&constant); }

//= Caller passes invalid args into func#1 ('first_of')
SEC("tc") int context_for_memory(struct __sk_buff *skb) { return first_of((void *)skb); }

//= accept
SEC("tc") int packet(struct __sk_buff *skb) { void *data = (void *)(long)skb->data; return data + 16 > (void *)(long)skb->data_end ? 0 : first_of(data); }

//= Caller passes invalid args into func#1 ('anywhere')
SEC("tc") int void_pointer(struct __sk_buff *skb) { return anywhere(skb); }

//= accept
SEC("tc") int contexts(struct __sk_buff *skb) { return length(skb) + length_tagged(skb); }

//= Caller passes invalid args into func#1 ('length')
SEC("tc") int context_moved(struct __sk_buff *skb) { return length((void *)skb + 4); }

//= Caller passes invalid args into func#1 ('wrong_context')
SEC("tc") int tag_of_another_type(struct __sk_buff *skb) { return wrong_context((void *)skb); }

//= Caller passes invalid args into func#1 ('unknown_tag')
SEC("tc") int tag_of_no_meaning(struct __sk_buff *skb) { int n = 0; return unknown_tag(&n); }

//= Caller passes invalid args into func#1 ('may_be_null')
SEC("tc") int tag_that_needs_another(struct __sk_buff *skb) { int n = 0; return may_be_null(&n); }

//= Caller passes invalid args into func#1 ('tagged_number')
SEC("tc") int tag_of_a_number(struct __sk_buff *skb) { return tagged_number(3); }

//= accept
SEC("tc") int untrusted(struct __sk_buff *skb) { return peek((int *)(long)bpf_get_prandom_u32()); }

//= R1 cannot write into rdonly_untrusted_mem
SEC("tc") int untrusted_write(struct __sk_buff *skb) { int n = 0; return poke(&n); }

//= R6 invalid mem access 'scalar'
SEC("tc") int packet_moved(struct __sk_buff *skb) { char *data = (void *)(long)skb->data; if (data + 1 > (char *)(long)skb->data_end) return 0; pull(skb); return *data; }

//= At subprogram exit the register R0 is not a scalar value (map_value_or_null)
SEC("tc") int pointer_returned(struct __sk_buff *skb) { return leak(3); }

//= Caller passes invalid args into func#1 ('nothing')
SEC("tc") int nothing_returned(struct __sk_buff *skb) { nothing(3); return 0; }

//= accept
SEC("tc") int statics(struct __sk_buff *skb) { struct pair p = {1, 2, 3}; return second_of(&p) + tagged_static(skb); }

//= Caller passes invalid args into func#1 ('first_of')
SEC("kprobe/x") int context_is_read_only(void *regs) { return first_of(regs); }

//= insn 1 cannot call exception cb directly
on_exception(caught)
SEC("tc") int exception_called(struct __sk_buff *skb) { return caught(3); }

//= exception cb only supports single integer argument
on_exception(swap)
SEC("tc") int exception_with_memory(struct __sk_buff *skb) { struct pair p = {}; return swap(&p); }

//= exception callback 'second_of' must have global linkage
on_exception(second_of)
SEC("tc") int exception_static(struct __sk_buff *skb) { struct pair p = {}; return second_of(&p); }

//= exception callback type id not found in func_info
on_exception(caught)
SEC("tc") int exception_elsewhere(struct __sk_buff *skb) { return number(3); }

char LICENSE[] SEC("license") = "GPL";
