// Addresses in the common form of abi.h, and context loads that the verifier accepts.
#pragma once
#include "abi.h"
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define DNS_PORT 53

// A 4-byte load of a context field. clang merges plain loads of two branches into arithmetic on the context pointer, which the
// verifier refuses ("dereference of modified ctx ptr"); an asm load stays where it is.
#define LOAD(ctx, field) \
  ({ \
    __u64 value_; \
    asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(value_) : "r"(ctx), "i"(__builtin_offsetof(typeof(*(ctx)), field))); \
    (__u32) value_; \
  })

#define LOAD_IP6(to, ctx, field) \
  do { \
    (to)[0] = LOAD(ctx, field[0]); \
    (to)[1] = LOAD(ctx, field[1]); \
    (to)[2] = LOAD(ctx, field[2]); \
    (to)[3] = LOAD(ctx, field[3]); \
  } while (0)

static __always_inline void set_ip4(__u32 to[4], __u32 ip4) {
  to[0] = 0;
  to[1] = 0;
  to[2] = bpf_htonl(0xffff);
  to[3] = ip4;
}

static __always_inline bool is_ip4(const __u32 ip[4]) {
  return ip[0] == 0 && ip[1] == 0 && ip[2] == bpf_htonl(0xffff);
}

static __always_inline bool same_ip(const __u32 a[4], const __u32 b[4]) {
  return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

// 127/8 and ::1.
static __always_inline bool is_loopback(const __u32 ip[4]) {
  if (is_ip4(ip)) return (ip[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
  return ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] == bpf_htonl(1);
}

// 0.0.0.0 and ::, with which connect(2) means loopback.
static __always_inline bool is_unspecified(const __u32 ip[4]) {
  return ip[0] == 0 && ip[1] == 0 && ip[3] == 0 && (ip[2] == 0 || ip[2] == bpf_htonl(0xffff));
}

static __always_inline bool is_own_ip(const struct pod *pod, const __u32 ip[4]) {
  return same_ip(pod->ip4, ip) || same_ip(pod->ip6, ip);
}
