/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads that fit the kernel they run on (CO-RE): the compiler records which field of which type is meant, the loader
 * puts in where it is. BPF_CORE_READ(task, mm, owner, pid) is task->mm->owner->pid, each pointer read safely.
 */
#pragma once

#include "bpf_helpers.h"

/* What the loader can tell of a field, a type or an enumerator (enum bpf_core_relo_kind, as the compiler counts). */
enum bpf_field_info_kind {
	BPF_FIELD_BYTE_OFFSET = 0,
	BPF_FIELD_BYTE_SIZE = 1,
	BPF_FIELD_EXISTS = 2,
	BPF_FIELD_SIGNED = 3,
	BPF_FIELD_LSHIFT_U64 = 4,
	BPF_FIELD_RSHIFT_U64 = 5,
};
enum bpf_type_id_kind { BPF_TYPE_ID_LOCAL = 0, BPF_TYPE_ID_TARGET = 1 };
enum bpf_type_info_kind { BPF_TYPE_EXISTS = 0, BPF_TYPE_SIZE = 1, BPF_TYPE_MATCHES = 2 };
enum bpf_enum_value_kind { BPF_ENUMVAL_EXISTS = 0, BPF_ENUMVAL_VALUE = 1 };

/* A field is named by an expression, or by its type and its name: (task->pid) or (struct task_struct, pid). */
#define __ebl_field1(field) (field)
#define __ebl_field2(type, field) (((typeof(type) *) 0)->field)
#define __ebl_field(args...) __ebl_join(__ebl_field, __ebl_count(args))(args)
#define bpf_core_field_exists(field...) __builtin_preserve_field_info(__ebl_field(field), BPF_FIELD_EXISTS)
#define bpf_core_field_size(field...) __builtin_preserve_field_info(__ebl_field(field), BPF_FIELD_BYTE_SIZE)
#define bpf_core_field_offset(field...) __builtin_preserve_field_info(__ebl_field(field), BPF_FIELD_BYTE_OFFSET)

#define __ebl_a(type) (*(typeof(type) *) 0)
#define bpf_core_type_id_local(type) __builtin_btf_type_id(__ebl_a(type), BPF_TYPE_ID_LOCAL)
#define bpf_core_type_id_kernel(type) __builtin_btf_type_id(__ebl_a(type), BPF_TYPE_ID_TARGET)
#define bpf_core_type_exists(type) __builtin_preserve_type_info(__ebl_a(type), BPF_TYPE_EXISTS)
#define bpf_core_type_size(type) __builtin_preserve_type_info(__ebl_a(type), BPF_TYPE_SIZE)
#define bpf_core_type_matches(type) __builtin_preserve_type_info(__ebl_a(type), BPF_TYPE_MATCHES)
#define bpf_core_enum_value_exists(type, name)                                                                         \
	__builtin_preserve_enum_value(*(typeof(type) *) name, BPF_ENUMVAL_EXISTS)
#define bpf_core_enum_value(type, name) __builtin_preserve_enum_value(*(typeof(type) *) name, BPF_ENUMVAL_VALUE)

/* Reads of one place. */
#define bpf_core_read(out, size, from)                                                                                 \
	bpf_probe_read_kernel(out, size, (const void *) __builtin_preserve_access_index(from))
#define bpf_core_read_user(out, size, from)                                                                            \
	bpf_probe_read_user(out, size, (const void *) __builtin_preserve_access_index(from))
#define bpf_core_read_str(out, size, from)                                                                             \
	bpf_probe_read_kernel_str(out, size, (const void *) __builtin_preserve_access_index(from))
#define bpf_core_read_user_str(out, size, from)                                                                        \
	bpf_probe_read_user_str(out, size, (const void *) __builtin_preserve_access_index(from))
#define bpf_core_cast(pointer, type) ((typeof(type) *) bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(type)))
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/*
 * Chains. With n members: chain is the expression, hop reads the first n pointers into __ebl_p, into reads the last
 * member to where it is wanted.
 */
#define __ebl_chain1(s, a) (s)->a
#define __ebl_chain2(s, a, b) (s)->a->b
#define __ebl_chain3(s, a, b, c) (s)->a->b->c
#define __ebl_chain4(s, a, b, c, d) (s)->a->b->c->d
#define __ebl_chain5(s, a, b, c, d, e) (s)->a->b->c->d->e
#define __ebl_chain6(s, a, b, c, d, e, f) (s)->a->b->c->d->e->f
#define __ebl_chain7(s, a, b, c, d, e, f, g) (s)->a->b->c->d->e->f->g
#define __ebl_chain8(s, a, b, c, d, e, f, g, h) (s)->a->b->c->d->e->f->g->h
#define __ebl_chain9(s, a, b, c, d, e, f, g, h, i) (s)->a->b->c->d->e->f->g->h->i
#define __ebl_chain10(s, a, b, c, d, e, f, g, h, i, j) (s)->a->b->c->d->e->f->g->h->i->j

#define __ebl_hop1(read, s, a) read(&__ebl_p, sizeof(__ebl_p), &(s)->a);
#define __ebl_hop2(read, s, a, b)                                                                                      \
	__ebl_hop1(read, s, a)                                                                                         \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain1(s, a))) __ebl_p)->b);
#define __ebl_hop3(read, s, a, b, c)                                                                                   \
	__ebl_hop2(read, s, a, b)                                                                                      \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain2(s, a, b))) __ebl_p)->c);
#define __ebl_hop4(read, s, a, b, c, d)                                                                                \
	__ebl_hop3(read, s, a, b, c)                                                                                   \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain3(s, a, b, c))) __ebl_p)->d);
#define __ebl_hop5(read, s, a, b, c, d, e)                                                                             \
	__ebl_hop4(read, s, a, b, c, d)                                                                                \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain4(s, a, b, c, d))) __ebl_p)->e);
#define __ebl_hop6(read, s, a, b, c, d, e, f)                                                                          \
	__ebl_hop5(read, s, a, b, c, d, e)                                                                             \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain5(s, a, b, c, d, e))) __ebl_p)->f);
#define __ebl_hop7(read, s, a, b, c, d, e, f, g)                                                                       \
	__ebl_hop6(read, s, a, b, c, d, e, f)                                                                          \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain6(s, a, b, c, d, e, f))) __ebl_p)->g);
#define __ebl_hop8(read, s, a, b, c, d, e, f, g, h)                                                                    \
	__ebl_hop7(read, s, a, b, c, d, e, f, g)                                                                       \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain7(s, a, b, c, d, e, f, g))) __ebl_p)->h);
#define __ebl_hop9(read, s, a, b, c, d, e, f, g, h, i)                                                                 \
	__ebl_hop8(read, s, a, b, c, d, e, f, g, h)                                                                    \
	read(&__ebl_p, sizeof(__ebl_p), &((typeof(__ebl_chain8(s, a, b, c, d, e, f, g, h))) __ebl_p)->i);

#define __ebl_into1(read, last, out, s, a) last(out, sizeof(*(out)), &(s)->a)
#define __ebl_into2(read, last, out, s, a, b)                                                                          \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop1(read, s, a)                                                                                 \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain1(s, a))) __ebl_p)->b);                                 \
	})
#define __ebl_into3(read, last, out, s, a, b, c)                                                                       \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop2(read, s, a, b)                                                                              \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain2(s, a, b))) __ebl_p)->c);                              \
	})
#define __ebl_into4(read, last, out, s, a, b, c, d)                                                                    \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop3(read, s, a, b, c)                                                                           \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain3(s, a, b, c))) __ebl_p)->d);                           \
	})
#define __ebl_into5(read, last, out, s, a, b, c, d, e)                                                                 \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop4(read, s, a, b, c, d)                                                                        \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain4(s, a, b, c, d))) __ebl_p)->e);                        \
	})
#define __ebl_into6(read, last, out, s, a, b, c, d, e, f)                                                              \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop5(read, s, a, b, c, d, e)                                                                     \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain5(s, a, b, c, d, e))) __ebl_p)->f);                     \
	})
#define __ebl_into7(read, last, out, s, a, b, c, d, e, f, g)                                                           \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop6(read, s, a, b, c, d, e, f)                                                                  \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain6(s, a, b, c, d, e, f))) __ebl_p)->g);                  \
	})
#define __ebl_into8(read, last, out, s, a, b, c, d, e, f, g, h)                                                        \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop7(read, s, a, b, c, d, e, f, g)                                                               \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain7(s, a, b, c, d, e, f, g))) __ebl_p)->h);               \
	})
#define __ebl_into9(read, last, out, s, a, b, c, d, e, f, g, h, i)                                                     \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop8(read, s, a, b, c, d, e, f, g, h)                                                            \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain8(s, a, b, c, d, e, f, g, h))) __ebl_p)->i);            \
	})
#define __ebl_into10(read, last, out, s, a, b, c, d, e, f, g, h, i, j)                                                 \
	({                                                                                                             \
		const void *__ebl_p;                                                                                   \
		__ebl_hop9(read, s, a, b, c, d, e, f, g, h, i)                                                         \
		last(out, sizeof(*(out)), &((typeof(__ebl_chain9(s, a, b, c, d, e, f, g, h, i))) __ebl_p)->j);         \
	})

#define __ebl_into(read, last, out, s, members...)                                                                     \
	__ebl_join(__ebl_into, __ebl_count(members))(read, last, out, s, ##members)
#define __ebl_value(read, s, members...)                                                                               \
	({                                                                                                             \
		typeof(__ebl_join(__ebl_chain, __ebl_count(members))(s, ##members)) __ebl_got;                         \
		__ebl_into(read, read, &__ebl_got, s, ##members);                                                      \
		__ebl_got;                                                                                             \
	})

#define BPF_CORE_READ_INTO(out, s, members...) __ebl_into(bpf_core_read, bpf_core_read, out, s, ##members)
#define BPF_CORE_READ_USER_INTO(out, s, members...)                                                                    \
	__ebl_into(bpf_core_read_user, bpf_core_read_user, out, s, ##members)
#define BPF_CORE_READ_STR_INTO(out, s, members...) __ebl_into(bpf_core_read, bpf_core_read_str, out, s, ##members)
#define BPF_CORE_READ_USER_STR_INTO(out, s, members...)                                                                \
	__ebl_into(bpf_core_read_user, bpf_core_read_user_str, out, s, ##members)
#define BPF_CORE_READ(s, members...) __ebl_value(bpf_core_read, s, ##members)
#define BPF_CORE_READ_USER(s, members...) __ebl_value(bpf_core_read_user, s, ##members)

/* The same without relocation, for types whose layout never changes. */
#define BPF_PROBE_READ_INTO(out, s, members...)                                                                        \
	__ebl_into(bpf_probe_read_kernel, bpf_probe_read_kernel, out, s, ##members)
#define BPF_PROBE_READ_USER_INTO(out, s, members...)                                                                   \
	__ebl_into(bpf_probe_read_user, bpf_probe_read_user, out, s, ##members)
#define BPF_PROBE_READ_STR_INTO(out, s, members...)                                                                    \
	__ebl_into(bpf_probe_read_kernel, bpf_probe_read_kernel_str, out, s, ##members)
#define BPF_PROBE_READ_USER_STR_INTO(out, s, members...)                                                               \
	__ebl_into(bpf_probe_read_user, bpf_probe_read_user_str, out, s, ##members)
#define BPF_PROBE_READ(s, members...) __ebl_value(bpf_probe_read_kernel, s, ##members)
#define BPF_PROBE_READ_USER(s, members...) __ebl_value(bpf_probe_read_user, s, ##members)

/*
 * Bit fields: the bytes that hold it are read into a word, then two shifts cut it out and extend its sign.
 * PROBED reads by helper, the other by a load that the verifier must know to be safe.
 */
#define __ebl_info(s, field, what) __builtin_preserve_field_info((s)->field, BPF_FIELD_##what)
#define __ebl_cut(value, s, field)                                                                                     \
	({                                                                                                             \
		(value) <<= __ebl_info(s, field, LSHIFT_U64);                                                          \
		__ebl_info(s, field, SIGNED) ? (unsigned long long) ((long long) (value) >>                            \
								      __ebl_info(s, field, RSHIFT_U64))               \
					     : (value) >> __ebl_info(s, field, RSHIFT_U64);                            \
	})
#define BPF_CORE_READ_BITFIELD_PROBED(s, field)                                                                        \
	({                                                                                                             \
		unsigned long long __ebl_bits = 0;                                                                     \
		bpf_probe_read_kernel(&__ebl_bits, __ebl_info(s, field, BYTE_SIZE),                                    \
				      (const void *) (s) + __ebl_info(s, field, BYTE_OFFSET));                         \
		__ebl_cut(__ebl_bits, s, field);                                                                       \
	})
#define BPF_CORE_READ_BITFIELD(s, field)                                                                               \
	({                                                                                                             \
		const void *__ebl_at = (const void *) (s) + __ebl_info(s, field, BYTE_OFFSET);                         \
		unsigned long long __ebl_bits = 0;                                                                     \
		barrier_var(__ebl_at);                                                                                 \
		switch (__ebl_info(s, field, BYTE_SIZE)) {                                                             \
		case 1: __ebl_bits = *(const unsigned char *) __ebl_at; break;                                         \
		case 2: __ebl_bits = *(const unsigned short *) __ebl_at; break;                                        \
		case 4: __ebl_bits = *(const unsigned int *) __ebl_at; break;                                          \
		case 8: __ebl_bits = *(const unsigned long long *) __ebl_at; break;                                    \
		}                                                                                                      \
		__ebl_cut(__ebl_bits, s, field);                                                                       \
	})
