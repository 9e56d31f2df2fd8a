// Shows an app the peer it asked for instead of the proxy: getpeername, and the source of DNS replies.
#pragma once
#include "maps.h"
#include "net.h"

// Only where the address really is the proxy's: an unconnected socket may also hear from others.
static __always_inline const struct destination *asked(struct bpf_sock_addr *ctx, const __u32 peer[4]) {
  if (!is_loopback(peer)) return 0;
  struct bpf_sock *sk = ctx->sk;
  if (!sk) return 0;
  const struct destination *d = bpf_sk_storage_get(&sk_client, sk, 0, 0);
  return d && d->wire_via == (__u16)LOAD(ctx, user_port) ? d : 0;
}

static __always_inline int restore4(struct bpf_sock_addr *ctx) {
  __u32 peer[4];
  set_ip4(peer, LOAD(ctx, user_ip4));
  const struct destination *d = asked(ctx, peer);
  if (!d) return 1;
  ctx->user_ip4 = d->ip[3];
  ctx->user_port = d->wire_port;
  return 1;
}

static __always_inline int restore6(struct bpf_sock_addr *ctx) {
  __u32 peer[4];
  LOAD_IP6(peer, ctx, user_ip6);
  const struct destination *d = asked(ctx, peer);
  if (!d) return 1;
  ctx->user_ip6[0] = d->ip[0];
  ctx->user_ip6[1] = d->ip[1];
  ctx->user_ip6[2] = d->ip[2];
  ctx->user_ip6[3] = d->ip[3];
  ctx->user_port = d->wire_port;
  return 1;
}
