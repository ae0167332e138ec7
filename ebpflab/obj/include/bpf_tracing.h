/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arguments of traced functions: by register name (PT_REGS_PARM1 ...), or as the parameters of the program itself
 * (BPF_PROG, BPF_KPROBE ...). The machine is __TARGET_ARCH_x86 or __TARGET_ARCH_arm64, which ebpflab sets.
 */
#pragma once

#include "bpf_core_read.h"

#if !defined(__TARGET_ARCH_x86) && !defined(__TARGET_ARCH_arm64)
#if defined(__x86_64__)
#define __TARGET_ARCH_x86
#elif defined(__aarch64__)
#define __TARGET_ARCH_arm64
#endif
#endif

#if defined(__TARGET_ARCH_x86)
/* System V ABI; a system call's fourth argument is in r10. The kernel's struct and the one for user space differ. */
#if defined(__KERNEL__) || defined(__VMLINUX_H__)
#define __EBL_PARM1 di
#define __EBL_PARM2 si
#define __EBL_PARM3 dx
#define __EBL_PARM4 cx
#define __EBL_RET sp
#define __EBL_FP bp
#define __EBL_RC ax
#define __EBL_SP sp
#define __EBL_IP ip
#else
#define __EBL_PARM1 rdi
#define __EBL_PARM2 rsi
#define __EBL_PARM3 rdx
#define __EBL_PARM4 rcx
#define __EBL_RET rsp
#define __EBL_FP rbp
#define __EBL_RC rax
#define __EBL_SP rsp
#define __EBL_IP rip
#endif
#define __EBL_PARM5 r8
#define __EBL_PARM6 r9
#define __EBL_PARM7 __only_six_arguments_are_in_registers
#define __EBL_PARM8 __only_six_arguments_are_in_registers
#define __EBL_SYS4 r10
#define __ebl_regs(regs) ((struct pt_regs *) (regs))
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *) PT_REGS_PARM1(ctx))
#define SYS_PREFIX "__x64_"
#elif defined(__TARGET_ARCH_arm64)
/* AAPCS64: eight arguments in x0 ... x7, the return address in x30; the first system call argument is kept apart. */
struct __ebl_pt_regs_arm64 {
	unsigned long long regs[31];
	unsigned long long sp;
	unsigned long long pc;
	unsigned long long pstate;
	unsigned long long orig_x0;
};
#define __EBL_PARM1 regs[0]
#define __EBL_PARM2 regs[1]
#define __EBL_PARM3 regs[2]
#define __EBL_PARM4 regs[3]
#define __EBL_PARM5 regs[4]
#define __EBL_PARM6 regs[5]
#define __EBL_PARM7 regs[6]
#define __EBL_PARM8 regs[7]
#define __EBL_RET regs[30]
#define __EBL_FP regs[29]
#define __EBL_RC regs[0]
#define __EBL_SP sp
#define __EBL_IP pc
#define __EBL_SYS1 orig_x0
#define __EBL_SYS4 regs[3]
#define __ebl_regs(regs) ((const struct __ebl_pt_regs_arm64 *) (regs))
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *) PT_REGS_PARM1(ctx))
#define SYS_PREFIX "__arm64_"
#endif

#ifdef SYS_PREFIX
#ifndef __EBL_SYS1
#define __EBL_SYS1 __EBL_PARM1
#endif
#define __EBL_SYS2 __EBL_PARM2
#define __EBL_SYS3 __EBL_PARM3
#define __EBL_SYS5 __EBL_PARM5
#define __EBL_SYS6 __EBL_PARM6
#define __ebl_sysregs(regs) __ebl_regs(regs)
struct pt_regs;

/* Registers of a context, read in place ... */
#define PT_REGS_PARM1(regs) (__ebl_regs(regs)->__EBL_PARM1)
#define PT_REGS_PARM2(regs) (__ebl_regs(regs)->__EBL_PARM2)
#define PT_REGS_PARM3(regs) (__ebl_regs(regs)->__EBL_PARM3)
#define PT_REGS_PARM4(regs) (__ebl_regs(regs)->__EBL_PARM4)
#define PT_REGS_PARM5(regs) (__ebl_regs(regs)->__EBL_PARM5)
#define PT_REGS_PARM6(regs) (__ebl_regs(regs)->__EBL_PARM6)
#define PT_REGS_PARM7(regs) (__ebl_regs(regs)->__EBL_PARM7)
#define PT_REGS_PARM8(regs) (__ebl_regs(regs)->__EBL_PARM8)
#define PT_REGS_RET(regs) (__ebl_regs(regs)->__EBL_RET)
#define PT_REGS_FP(regs) (__ebl_regs(regs)->__EBL_FP)
#define PT_REGS_RC(regs) (__ebl_regs(regs)->__EBL_RC)
#define PT_REGS_SP(regs) (__ebl_regs(regs)->__EBL_SP)
#define PT_REGS_IP(regs) (__ebl_regs(regs)->__EBL_IP)
#define PT_REGS_PARM1_SYSCALL(regs) (__ebl_sysregs(regs)->__EBL_SYS1)
#define PT_REGS_PARM2_SYSCALL(regs) (__ebl_sysregs(regs)->__EBL_SYS2)
#define PT_REGS_PARM3_SYSCALL(regs) (__ebl_sysregs(regs)->__EBL_SYS3)
#define PT_REGS_PARM4_SYSCALL(regs) (__ebl_sysregs(regs)->__EBL_SYS4)
#define PT_REGS_PARM5_SYSCALL(regs) (__ebl_sysregs(regs)->__EBL_SYS5)
#define PT_REGS_PARM6_SYSCALL(regs) (__ebl_sysregs(regs)->__EBL_SYS6)
/* ... and of a struct pt_regs elsewhere in the kernel. */
#define PT_REGS_PARM1_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM1)
#define PT_REGS_PARM2_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM2)
#define PT_REGS_PARM3_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM3)
#define PT_REGS_PARM4_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM4)
#define PT_REGS_PARM5_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM5)
#define PT_REGS_PARM6_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM6)
#define PT_REGS_PARM7_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM7)
#define PT_REGS_PARM8_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_PARM8)
#define PT_REGS_RET_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_RET)
#define PT_REGS_FP_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_FP)
#define PT_REGS_RC_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_RC)
#define PT_REGS_SP_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_SP)
#define PT_REGS_IP_CORE(regs) BPF_CORE_READ(__ebl_regs(regs), __EBL_IP)
#define PT_REGS_PARM1_CORE_SYSCALL(regs) BPF_CORE_READ(__ebl_sysregs(regs), __EBL_SYS1)
#define PT_REGS_PARM2_CORE_SYSCALL(regs) BPF_CORE_READ(__ebl_sysregs(regs), __EBL_SYS2)
#define PT_REGS_PARM3_CORE_SYSCALL(regs) BPF_CORE_READ(__ebl_sysregs(regs), __EBL_SYS3)
#define PT_REGS_PARM4_CORE_SYSCALL(regs) BPF_CORE_READ(__ebl_sysregs(regs), __EBL_SYS4)
#define PT_REGS_PARM5_CORE_SYSCALL(regs) BPF_CORE_READ(__ebl_sysregs(regs), __EBL_SYS5)
#define PT_REGS_PARM6_CORE_SYSCALL(regs) BPF_CORE_READ(__ebl_sysregs(regs), __EBL_SYS6)

#define BPF_KPROBE_READ_RET_IP(ip, ctx)                                                                                \
	({ bpf_probe_read_kernel(&(ip), sizeof(ip), (void *) (PT_REGS_FP(ctx) + sizeof(ip))); })
#define BPF_KRETPROBE_READ_RET_IP(ip, ctx) BPF_KPROBE_READ_RET_IP(ip, ctx)
#endif

/* ctx and the n arguments after it, as the wrappers below pass them on. */
#define __ebl_ctx0() ctx
#define __ebl_ctx1(a) __ebl_ctx0(), (void *) ctx[0]
#define __ebl_ctx2(a, b) __ebl_ctx1(a), (void *) ctx[1]
#define __ebl_ctx3(a, b, c) __ebl_ctx2(a, b), (void *) ctx[2]
#define __ebl_ctx4(a, b, c, d) __ebl_ctx3(a, b, c), (void *) ctx[3]
#define __ebl_ctx5(a, b, c, d, e) __ebl_ctx4(a, b, c, d), (void *) ctx[4]
#define __ebl_ctx6(a, b, c, d, e, f) __ebl_ctx5(a, b, c, d, e), (void *) ctx[5]
#define __ebl_ctx7(a, b, c, d, e, f, g) __ebl_ctx6(a, b, c, d, e, f), (void *) ctx[6]
#define __ebl_ctx8(a, b, c, d, e, f, g, h) __ebl_ctx7(a, b, c, d, e, f, g), (void *) ctx[7]
#define __ebl_ctx9(a, b, c, d, e, f, g, h, i) __ebl_ctx8(a, b, c, d, e, f, g, h), (void *) ctx[8]
#define __ebl_ctx10(a, b, c, d, e, f, g, h, i, j) __ebl_ctx9(a, b, c, d, e, f, g, h, i), (void *) ctx[9]
#define __ebl_ctx11(a, b, c, d, e, f, g, h, i, j, k) __ebl_ctx10(a, b, c, d, e, f, g, h, i, j), (void *) ctx[10]
#define __ebl_ctx12(a, b, c, d, e, f, g, h, i, j, k, l) __ebl_ctx11(a, b, c, d, e, f, g, h, i, j, k), (void *) ctx[11]
#define __ebl_ctx(args...) __ebl_join(__ebl_ctx, __ebl_count(args))(args)
#define __ebl_kp0() ctx
#define __ebl_kp1(a) __ebl_kp0(), (void *) PT_REGS_PARM1(ctx)
#define __ebl_kp2(a, b) __ebl_kp1(a), (void *) PT_REGS_PARM2(ctx)
#define __ebl_kp3(a, b, c) __ebl_kp2(a, b), (void *) PT_REGS_PARM3(ctx)
#define __ebl_kp4(a, b, c, d) __ebl_kp3(a, b, c), (void *) PT_REGS_PARM4(ctx)
#define __ebl_kp5(a, b, c, d, e) __ebl_kp4(a, b, c, d), (void *) PT_REGS_PARM5(ctx)
#define __ebl_kp6(a, b, c, d, e, f) __ebl_kp5(a, b, c, d, e), (void *) PT_REGS_PARM6(ctx)
#define __ebl_kp7(a, b, c, d, e, f, g) __ebl_kp6(a, b, c, d, e, f), (void *) PT_REGS_PARM7(ctx)
#define __ebl_kp8(a, b, c, d, e, f, g, h) __ebl_kp7(a, b, c, d, e, f, g), (void *) PT_REGS_PARM8(ctx)
#define __ebl_kp(args...) __ebl_join(__ebl_kp, __ebl_count(args))(args)
#define __ebl_ret0() ctx
#define __ebl_ret1(a) ctx, (void *) PT_REGS_RC(ctx)
#define __ebl_ret(args...) __ebl_join(__ebl_ret, __ebl_count(args))(args)
#define __ebl_sys0() ctx
#define __ebl_sys1(a) __ebl_sys0(), (void *) PT_REGS_PARM1_SYSCALL(regs)
#define __ebl_sys2(a, b) __ebl_sys1(a), (void *) PT_REGS_PARM2_SYSCALL(regs)
#define __ebl_sys3(a, b, c) __ebl_sys2(a, b), (void *) PT_REGS_PARM3_SYSCALL(regs)
#define __ebl_sys4(a, b, c, d) __ebl_sys3(a, b, c), (void *) PT_REGS_PARM4_SYSCALL(regs)
#define __ebl_sys5(a, b, c, d, e) __ebl_sys4(a, b, c, d), (void *) PT_REGS_PARM5_SYSCALL(regs)
#define __ebl_sys6(a, b, c, d, e, f) __ebl_sys5(a, b, c, d, e), (void *) PT_REGS_PARM6_SYSCALL(regs)
#define __ebl_sysread0() ctx
#define __ebl_sysread1(a) __ebl_sysread0(), (void *) PT_REGS_PARM1_CORE_SYSCALL(regs)
#define __ebl_sysread2(a, b) __ebl_sysread1(a), (void *) PT_REGS_PARM2_CORE_SYSCALL(regs)
#define __ebl_sysread3(a, b, c) __ebl_sysread2(a, b), (void *) PT_REGS_PARM3_CORE_SYSCALL(regs)
#define __ebl_sysread4(a, b, c, d) __ebl_sysread3(a, b, c), (void *) PT_REGS_PARM4_CORE_SYSCALL(regs)
#define __ebl_sysread5(a, b, c, d, e) __ebl_sysread4(a, b, c, d), (void *) PT_REGS_PARM5_CORE_SYSCALL(regs)
#define __ebl_sysread6(a, b, c, d, e, f) __ebl_sysread5(a, b, c, d, e), (void *) PT_REGS_PARM6_CORE_SYSCALL(regs)
#define __ebl_sysargs(args...) __ebl_join(__ebl_sysread, __ebl_count(args))(args)

/* tp_btf, fentry, fexit, lsm, struct_ops, raw tracepoints: the context is an array of 64-bit arguments. */
#define BPF_PROG(name, args...)                                                                                        \
	name(unsigned long long *ctx);                                                                                 \
	static __always_inline typeof(name(0)) __ebl_##name(unsigned long long *ctx, ##args);                          \
	typeof(name(0)) name(unsigned long long *ctx)                                                                  \
	{                                                                                                              \
		_Pragma("GCC diagnostic push")                                                                         \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                                                 \
		return __ebl_##name(__ebl_ctx(args));                                                                  \
		_Pragma("GCC diagnostic pop")                                                                          \
	}                                                                                                              \
	static __always_inline typeof(name(0)) __ebl_##name(unsigned long long *ctx, ##args)

/* kprobe, uprobe: arguments are in registers. */
#define BPF_KPROBE(name, args...)                                                                                      \
	name(struct pt_regs *ctx);                                                                                     \
	static __always_inline typeof(name(0)) __ebl_##name(struct pt_regs *ctx, ##args);                              \
	typeof(name(0)) name(struct pt_regs *ctx)                                                                      \
	{                                                                                                              \
		_Pragma("GCC diagnostic push")                                                                         \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                                                 \
		return __ebl_##name(__ebl_kp(args));                                                                   \
		_Pragma("GCC diagnostic pop")                                                                          \
	}                                                                                                              \
	static __always_inline typeof(name(0)) __ebl_##name(struct pt_regs *ctx, ##args)
#define BPF_UPROBE BPF_KPROBE

/* kretprobe, uretprobe: at most one argument, the value that is returned. */
#define BPF_KRETPROBE(name, args...)                                                                                   \
	name(struct pt_regs *ctx);                                                                                     \
	static __always_inline typeof(name(0)) __ebl_##name(struct pt_regs *ctx, ##args);                              \
	typeof(name(0)) name(struct pt_regs *ctx)                                                                      \
	{                                                                                                              \
		_Pragma("GCC diagnostic push")                                                                         \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                                                 \
		return __ebl_##name(__ebl_ret(args));                                                                  \
		_Pragma("GCC diagnostic pop")                                                                          \
	}                                                                                                              \
	static __always_inline typeof(name(0)) __ebl_##name(struct pt_regs *ctx, ##args)
#define BPF_URETPROBE BPF_KRETPROBE

/* ksyscall: arguments of a system call, which its wrapper gets as a struct pt_regs. (Kernels with wrappers: x86, arm64.) */
#define BPF_KSYSCALL(name, args...)                                                                                    \
	name(struct pt_regs *ctx);                                                                                     \
	static __always_inline typeof(name(0)) __ebl_##name(struct pt_regs *ctx, ##args);                              \
	typeof(name(0)) name(struct pt_regs *ctx)                                                                      \
	{                                                                                                              \
		struct pt_regs *regs __attribute__((unused)) = PT_REGS_SYSCALL_REGS(ctx);                              \
		_Pragma("GCC diagnostic push")                                                                         \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                                                 \
		return __ebl_##name(__ebl_sysargs(args));                                                              \
		_Pragma("GCC diagnostic pop")                                                                          \
	}                                                                                                              \
	static __always_inline typeof(name(0)) __ebl_##name(struct pt_regs *ctx, ##args)
#define BPF_KPROBE_SYSCALL BPF_KSYSCALL
