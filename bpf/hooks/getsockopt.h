// SO_ORIGINAL_DST for the proxy: the same call as with conntrack. Attached to the proxy's cgroup alone.
#include "maps.h"
#include "net.h"

#define SO_ORIGINAL_DST 80
#define LEVEL_IP4 0
#define LEVEL_IP6 41

// The two fields are neighbours; clang would write both with one store, which the verifier refuses.
static __always_inline int answered(struct bpf_sockopt *ctx, __u32 length) {
  ctx->optlen = length;
  asm volatile("" ::: "memory");
  ctx->retval = 0;
  return 1;
}

static __always_inline int answer4(struct bpf_sockopt *ctx, const struct destination *d) {
  struct sockaddr_in *a = ctx->optval;
  if ((void *)(a + 1) > ctx->optval_end) return 0;
  __builtin_memset(a, 0, sizeof *a);
  a->sin_family = AF_INET;
  a->sin_port = d->wire_port;
  a->sin_addr.s_addr = d->ip[3];
  return answered(ctx, sizeof *a);
}

static __always_inline int answer6(struct bpf_sockopt *ctx, const struct destination *d) {
  struct sockaddr_in6 *a = ctx->optval;
  if ((void *)(a + 1) > ctx->optval_end) return 0;
  __builtin_memset(a, 0, sizeof *a);
  a->sin6_family = AF_INET6;
  a->sin6_port = d->wire_port;
  __builtin_memcpy(&a->sin6_addr, d->ip, sizeof a->sin6_addr);
  return answered(ctx, sizeof *a);
}

SEC("cgroup/getsockopt") int getsockopt_original(struct bpf_sockopt *ctx) {
  bool ours = (ctx->level == LEVEL_IP4 || ctx->level == LEVEL_IP6) && ctx->optname == SO_ORIGINAL_DST;
  if (!ours) {
    // The kernel copied only a page: it must not copy that back over an option that is larger.
    if (ctx->optlen > 4096) ctx->optlen = 0;
    return 1;
  }
  struct bpf_sock *sk = ctx->sk;
  if (!sk) return 1;
  const struct destination *d = bpf_sk_storage_get(&sk_server, sk, 0, 0);
  if (!d) return 1;
  bool ip4 = is_ip4(d->ip);
  if (ip4 != (ctx->level == LEVEL_IP4)) return 1;
  return ip4 ? answer4(ctx, d) : answer6(ctx, d);
}
