// What connect and sendmsg have in common: which port of the proxy a socket gets instead of its destination.
#pragma once
#include "maps.h"
#include "net.h"
#include "verdict.h"

#define SOL_SOCKET 1
#define SO_BINDTODEVICE 25
// Deeper than any cgroup path seen: kubepods on systemd nodes ends at 5.
#define MAX_CGROUP_LEVEL 16

// The first two are what a hook returns.
enum way { REFUSE = 0, LET_GO = 1, REDIRECT = 2 };

// By cgroup, never by mark: a pod with the default CAP_NET_RAW sets any mark. Ancestors count, so that a worker may sit in a
// cgroup below. The level is searched because a cgroup namespace hides how deep its root is.
static __always_inline bool is_ztunnel(void) {
  for (int level = 0; level < MAX_CGROUP_LEVEL; level++) {
    __u64 id = bpf_get_current_ancestor_cgroup_id(level);
    if (id == 0) return false;
    if (bpf_map_lookup_elem(&ztunnels, &id)) return true;
  }
  return false;
}

// Without this the SYN for 127.0.0.1 would leave by the device, and time out.
static __always_inline void unbind_device(struct bpf_sock_addr *ctx) {
  struct bpf_sock *sk = ctx->sk;
  if (!sk || sk->bound_dev_if == 0) return;
  char none = 0;
  if (bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, &none, sizeof none) == 0) count(COUNTER_outbound_device_unbound);
}

static __always_inline bool proxy_listens(struct bpf_sock_addr *ctx, bool tcp, bool ip4, __u16 port) {
  struct bpf_sock_tuple t = {};
  __u32 size;
  if (ip4) {
    t.ipv4.saddr = t.ipv4.daddr = bpf_htonl(0x7f000001);
    t.ipv4.dport = bpf_htons(port);
    size = sizeof t.ipv4;
  } else {
    t.ipv6.saddr[3] = t.ipv6.daddr[3] = bpf_htonl(1);
    t.ipv6.dport = bpf_htons(port);
    size = sizeof t.ipv6;
  }
  struct bpf_sock *sk = tcp ? bpf_sk_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0)
                            : bpf_sk_lookup_udp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
  if (!sk) return false;
  bpf_sk_release(sk);
  return true;
}

static __always_inline enum way refuse(void) {
  count(COUNTER_outbound_refused);
  return REFUSE;
}

// The same-node fast path. What is bound to a device goes where that leads, which nobody has judged.
static __always_inline bool goes_direct(struct bpf_sock_addr *ctx, const __u32 ip[4], __u16 wire_port) {
  struct bpf_sock *sk = ctx->sk;
  if (!sk || sk->bound_dev_if != 0) return false;
  __u64 id = verdict_of(bpf_get_netns_cookie(ctx), ip, bpf_ntohs(wire_port));
  if (id == 0) return false;
  struct direct *d = bpf_sk_storage_get(&sk_direct, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!d) return false;
  d->verdict = id;
  return true;
}

// `ip` is the destination. On REDIRECT `*to` is the proxy's port on loopback of the same family.
static __always_inline enum way outbound(struct bpf_sock_addr *ctx, const struct pod *pod, const __u32 ip[4], __u16 *to) {
  __u32 type = LOAD(ctx, type);
  __u32 protocol = LOAD(ctx, protocol);
  __u16 wire_port = LOAD(ctx, user_port);
  bool dns = wire_port == bpf_htons(DNS_PORT);
  bool tcp = type == SOCK_STREAM && protocol == IPPROTO_TCP; // also the subflows of MPTCP
  bool udp = type == SOCK_DGRAM && protocol == IPPROTO_UDP && dns && (pod->flags & POD_DNS_UDP);
  if (!tcp && !udp) return LET_GO;
  if (is_ztunnel()) {
    count(COUNTER_outbound_ztunnel);
    return LET_GO;
  }
  if (is_loopback(ip) || is_unspecified(ip) || is_own_ip(pod, ip)) {
    count(COUNTER_outbound_local);
    return LET_GO;
  }

  bool dns_tcp = tcp && dns && (pod->flags & POD_DNS_TCP);
  if (tcp && !dns_tcp && goes_direct(ctx, ip, wire_port)) {
    count_direct(COUNTER_same_node_direct);
    return LET_GO;
  }

  bool ip4 = is_ip4(ip);
  __u16 port;
  if (udp) port = ip4 ? pod->dns_udp[0] : pod->dns_udp[1];
  else if (dns_tcp) port = ip4 ? pod->dns_tcp[0] : pod->dns_tcp[1];
  else port = ip4 ? pod->outbound[0] : pod->outbound[1];

  if ((pod->flags & POD_FAIL_OPEN) && !proxy_listens(ctx, tcp, ip4, port)) {
    count(COUNTER_outbound_failed_open);
    return LET_GO;
  }
  if (port == 0) return refuse();

  struct bpf_sock *sk = ctx->sk;
  if (!sk) return refuse();
  struct destination *d = bpf_sk_storage_get(&sk_client, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!d) return refuse();
  d->ip[0] = ip[0];
  d->ip[1] = ip[1];
  d->ip[2] = ip[2];
  d->ip[3] = ip[3];
  d->wire_port = wire_port;
  d->wire_via = bpf_htons(port);

  unbind_device(ctx);
  count(tcp ? COUNTER_outbound_captured : COUNTER_outbound_dns);
  *to = port;
  return REDIRECT;
}

static __always_inline enum way outbound4(struct bpf_sock_addr *ctx, const struct pod *pod, __u16 *to) {
  __u32 ip[4];
  set_ip4(ip, LOAD(ctx, user_ip4));
  return outbound(ctx, pod, ip, to);
}

// Also for v4-mapped destinations: `*mapped` tells.
static __always_inline enum way outbound6(struct bpf_sock_addr *ctx, const struct pod *pod, __u16 *to, bool *mapped) {
  __u32 ip[4];
  LOAD_IP6(ip, ctx, user_ip6);
  *mapped = is_ip4(ip);
  return outbound(ctx, pod, ip, to);
}

static __always_inline const struct pod *pod_of(struct bpf_sock_addr *ctx) {
  __u64 netns = bpf_get_netns_cookie(ctx);
  return bpf_map_lookup_elem(&pods, &netns);
}

static __always_inline int redirect4(struct bpf_sock_addr *ctx, __u16 port) {
  ctx->user_ip4 = bpf_htonl(0x7f000001);
  ctx->user_port = bpf_htons(port);
  return 1;
}

// A v4-mapped destination stays mapped: only its last word changes.
static __always_inline int redirect6(struct bpf_sock_addr *ctx, bool mapped, __u16 port) {
  if (mapped) {
    ctx->user_ip6[3] = bpf_htonl(0x7f000001);
  } else {
    ctx->user_ip6[0] = 0;
    ctx->user_ip6[1] = 0;
    ctx->user_ip6[2] = 0;
    ctx->user_ip6[3] = bpf_htonl(1);
  }
  ctx->user_port = bpf_htons(port);
  return 1;
}
