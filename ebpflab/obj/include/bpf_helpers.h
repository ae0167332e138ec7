/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every BPF program in C needs: sections, map definitions, attributes, helpers, printing, loops.
 * Names are those that libbpf made common, so programs written for it compile; the text is ebpflab's own.
 */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/bpf.h>
#include <linux/version.h>
#endif
#include "bpf_helper_defs.h"

#ifndef NULL
#define NULL ((void *) 0)
#endif

/* Where a function or variable goes, which says what it is: SEC("xdp"), SEC("license"), SEC(".maps"). */
#define SEC(name)                                                                                                      \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wignored-attributes\"")                      \
	__attribute__((section(name), used)) _Pragma("GCC diagnostic pop")

/* Members of a map definition: numbers, types and initial values are written into the BTF. */
#define __uint(name, number) int (*name)[number]
#define __type(name, ...) typeof(__VA_ARGS__) *name
#define __array(name, ...) typeof(__VA_ARGS__) *name[]
#define __ebl_join2(a, b) a##b
#define __ebl_join(a, b) __ebl_join2(a, b)
#define __ulong(name, number) enum { __ebl_join(__ebl_value_, __COUNTER__) = (number) } name

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif
#ifndef __unused
#define __unused __attribute__((unused))
#endif

/* Symbols that the loader finds in the kernel: functions and variables, configuration values. */
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))
#define bpf_ksym_exists(symbol) (!!(symbol))

#if __has_attribute(btf_type_tag)
#define __ebl_type_tag(tag) __attribute__((btf_type_tag(tag)))
#else
#define __ebl_type_tag(tag)
#endif
#if __has_attribute(btf_decl_tag)
#define __ebl_decl_tag(tag) __attribute__((btf_decl_tag(tag)))
#else
#define __ebl_decl_tag(tag)
#endif
#define __kptr __ebl_type_tag("kptr")
#define __kptr_untrusted __ebl_type_tag("kptr_untrusted")
#define __percpu_kptr __ebl_type_tag("percpu_kptr")
#define __uptr __ebl_type_tag("uptr")
#define __arg_ctx __ebl_decl_tag("arg:ctx")
#define __arg_nonnull __ebl_decl_tag("arg:nonnull")
#define __arg_nullable __ebl_decl_tag("arg:nullable")
#define __arg_trusted __ebl_decl_tag("arg:trusted")
#define __arg_untrusted __ebl_decl_tag("arg:untrusted")
#define __arg_arena __ebl_decl_tag("arg:arena")

enum libbpf_pin_type { LIBBPF_PIN_NONE, LIBBPF_PIN_BY_NAME };
enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };

#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif
#ifndef container_of
#define container_of(pointer, type, member)                                                                            \
	({                                                                                                             \
		void *__ebl_inside = (void *) (pointer);                                                               \
		(type *) (__ebl_inside - offsetof(type, member));                                                      \
	})
#endif
#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#endif

/* The compiler must not move memory accesses over it, or must believe that a variable changed. */
#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif
#ifndef barrier_var
#define barrier_var(variable) asm volatile("" : "+r"(variable))
#endif
#ifndef __bpf_unreachable
#define __bpf_unreachable() __builtin_trap()
#endif
#ifndef likely
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#endif

/* A tail call whose map and slot the verifier sees as constants, so that the JIT can make it a direct jump. */
static __always_inline void bpf_tail_call_static(void *ctx, const void *map, const __u32 slot)
{
	if (!__builtin_constant_p(slot))
		__bpf_unreachable();
	asm volatile("r1 = %[ctx]\n\t"
		     "r2 = %[map]\n\t"
		     "r3 = %[slot]\n\t"
		     "call 12"
		     :
		     : [ctx] "r"(ctx), [map] "r"(map), [slot] "i"(slot)
		     : "r0", "r1", "r2", "r3", "r4", "r5");
}

/* Number of variadic arguments, 0 to 12. */
#define __ebl_13th(a, b, c, d, e, f, g, h, i, j, k, l, m, n, ...) n
#define __ebl_count(...) __ebl_13th(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

/* Values of a format as an array of 64-bit words. */
#define __ebl_word(x) (unsigned long long) (x)
#define __ebl_words0()
#define __ebl_words1(x) __ebl_word(x)
#define __ebl_words2(x, ...) __ebl_word(x), __ebl_words1(__VA_ARGS__)
#define __ebl_words3(x, ...) __ebl_word(x), __ebl_words2(__VA_ARGS__)
#define __ebl_words4(x, ...) __ebl_word(x), __ebl_words3(__VA_ARGS__)
#define __ebl_words5(x, ...) __ebl_word(x), __ebl_words4(__VA_ARGS__)
#define __ebl_words6(x, ...) __ebl_word(x), __ebl_words5(__VA_ARGS__)
#define __ebl_words7(x, ...) __ebl_word(x), __ebl_words6(__VA_ARGS__)
#define __ebl_words8(x, ...) __ebl_word(x), __ebl_words7(__VA_ARGS__)
#define __ebl_words9(x, ...) __ebl_word(x), __ebl_words8(__VA_ARGS__)
#define __ebl_words10(x, ...) __ebl_word(x), __ebl_words9(__VA_ARGS__)
#define __ebl_words11(x, ...) __ebl_word(x), __ebl_words10(__VA_ARGS__)
#define __ebl_words12(x, ...) __ebl_word(x), __ebl_words11(__VA_ARGS__)
#define __ebl_words(...) __ebl_join(__ebl_words, __ebl_count(__VA_ARGS__))(__VA_ARGS__)

#ifdef BPF_NO_GLOBAL_DATA
#define __ebl_format char
#else
#define __ebl_format static const char
#endif

#define __ebl_formatted(call, format, args...)                                                                         \
	({                                                                                                             \
		__ebl_format __ebl_text[] = format;                                                                    \
		unsigned long long __ebl_values[__ebl_count(args) ?: 1] = { __ebl_words(args) };                       \
		call;                                                                                                  \
	})

/* A line in the kernel's trace pipe. Up to three values on every kernel, up to twelve since 5.16. */
#define __ebl_print_few(format, args...)                                                                               \
	({                                                                                                             \
		__ebl_format __ebl_text[] = format;                                                                    \
		bpf_trace_printk(__ebl_text, sizeof(__ebl_text), ##args);                                              \
	})
#define __ebl_print_many(format, args...)                                                                              \
	__ebl_formatted(bpf_trace_vprintk(__ebl_text, sizeof(__ebl_text), __ebl_values, sizeof(__ebl_values)),          \
			format, ##args)
#define __ebl_print0 __ebl_print_few
#define __ebl_print1 __ebl_print_few
#define __ebl_print2 __ebl_print_few
#define __ebl_print3 __ebl_print_few
#define __ebl_print4 __ebl_print_many
#define __ebl_print5 __ebl_print_many
#define __ebl_print6 __ebl_print_many
#define __ebl_print7 __ebl_print_many
#define __ebl_print8 __ebl_print_many
#define __ebl_print9 __ebl_print_many
#define __ebl_print10 __ebl_print_many
#define __ebl_print11 __ebl_print_many
#define __ebl_print12 __ebl_print_many
#define bpf_printk(format, args...) __ebl_join(__ebl_print, __ebl_count(args))(format, ##args)
#define __bpf_printk bpf_printk
#define __bpf_vprintk __ebl_print_many

/* Formatted text into a buffer, or into the file of an iterator. */
#define BPF_SNPRINTF(out, size, format, args...)                                                                       \
	__ebl_formatted(bpf_snprintf(out, size, __ebl_text, __ebl_values,                                              \
				     __ebl_count(args) ? sizeof(__ebl_values) : 0), format, ##args)
#define BPF_SEQ_PRINTF(seq, format, args...)                                                                           \
	__ebl_formatted(bpf_seq_printf(seq, __ebl_text, sizeof(__ebl_text), __ebl_values,                              \
				       __ebl_count(args) ? sizeof(__ebl_values) : 0), format, ##args)

/* Loops that the verifier walks once (open-coded iterators, since 6.4). */
#if defined(LINUX_VERSION_CODE) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0) && !defined(__VMLINUX_H__)
struct bpf_iter_num {
	__u64 __opaque[1];
} __attribute__((aligned(8)));
#else
struct bpf_iter_num;
#endif
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

#ifndef bpf_for_each
#define bpf_for_each(type, current, args...)                                                                           \
	for (struct bpf_iter_##type __ebl_it                                                                           \
		     __attribute__((aligned(8), cleanup(bpf_iter_##type##_destroy))),                                  \
	     *__ebl_once __attribute__((aligned(8), unused)) =                                                         \
		     (bpf_iter_##type##_new(&__ebl_it, ##args), (void *) bpf_iter_##type##_destroy, (void *) 0);       \
	     ((current) = bpf_iter_##type##_next(&__ebl_it));)
#endif
#ifndef bpf_for
#define bpf_for(i, start, end)                                                                                         \
	for (struct bpf_iter_num __ebl_it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),                  \
	     *__ebl_once __attribute__((aligned(8), unused)) =                                                         \
		     (bpf_iter_num_new(&__ebl_it, (start), (end)), (void *) bpf_iter_num_destroy, (void *) 0);         \
	     ({                                                                                                        \
		     int *__ebl_at = bpf_iter_num_next(&__ebl_it); /* the bounds let the verifier see i's range */     \
		     (__ebl_at && ((i) = *__ebl_at, (i) >= (start) && (i) < (end)));                                   \
	     });)
#endif
#ifndef bpf_repeat
#define bpf_repeat(count)                                                                                              \
	for (struct bpf_iter_num __ebl_it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),                  \
	     *__ebl_once __attribute__((aligned(8), unused)) =                                                         \
		     (bpf_iter_num_new(&__ebl_it, 0, (count)), (void *) bpf_iter_num_destroy, (void *) 0);             \
	     bpf_iter_num_next(&__ebl_it);)
#endif

/* Loops that the kernel ends after many rounds (may_goto, since 6.10): for (...; ... && can_loop; ...) */
#ifndef can_loop
#define __ebl_may_goto(label)                                                                                          \
	asm volatile goto("1: .byte 0xe5\n\t.byte 0\n\t"                                                               \
			  ".long ((%l[" #label "] - 1b - 8) / 8) & 0xffff\n\t.short 0" :::: label)
#define can_loop                                                                                                       \
	({                                                                                                             \
		__label__ __ebl_out, __ebl_on;                                                                         \
		_Bool __ebl_more = 1;                                                                                  \
		__ebl_may_goto(__ebl_out);                                                                             \
		goto __ebl_on;                                                                                         \
	__ebl_out:                                                                                                     \
		__ebl_more = 0;                                                                                        \
	__ebl_on:;                                                                                                     \
		__ebl_more;                                                                                            \
	})
#define cond_break                                                                                                     \
	if (!can_loop)                                                                                                 \
	break
#endif
