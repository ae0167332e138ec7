/* SPDX-License-Identifier: GPL-2.0-only */
/* Byte order: bpf_htons and its kin; constants are swapped by the compiler. */
#pragma once

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_be16_to_cpu(x) __builtin_bswap16(x)
#define bpf_be32_to_cpu(x) __builtin_bswap32(x)
#define bpf_be64_to_cpu(x) __builtin_bswap64(x)
#define bpf_le16_to_cpu(x) (x)
#define bpf_le32_to_cpu(x) (x)
#define bpf_le64_to_cpu(x) (x)
#else
#define bpf_be16_to_cpu(x) (x)
#define bpf_be32_to_cpu(x) (x)
#define bpf_be64_to_cpu(x) (x)
#define bpf_le16_to_cpu(x) __builtin_bswap16(x)
#define bpf_le32_to_cpu(x) __builtin_bswap32(x)
#define bpf_le64_to_cpu(x) __builtin_bswap64(x)
#endif

#define bpf_cpu_to_be16(x) bpf_be16_to_cpu(x)
#define bpf_cpu_to_be32(x) bpf_be32_to_cpu(x)
#define bpf_cpu_to_be64(x) bpf_be64_to_cpu(x)
#define bpf_cpu_to_le16(x) bpf_le16_to_cpu(x)
#define bpf_cpu_to_le32(x) bpf_le32_to_cpu(x)
#define bpf_cpu_to_le64(x) bpf_le64_to_cpu(x)
#define bpf_ntohs(x) bpf_be16_to_cpu(x)
#define bpf_htons(x) bpf_cpu_to_be16(x)
#define bpf_ntohl(x) bpf_be32_to_cpu(x)
#define bpf_htonl(x) bpf_cpu_to_be32(x)
