// connect(2) of TCP, and of UDP to port 53: rewrites the destination to the proxy on the pod's own loopback.
#include "outbound.h"

// A socket may be connected again (AF_UNSPEC): what it once wanted must not be answered for what it does now. Not so in sendmsg,
// where one socket has many destinations, and where a connected v4-mapped socket comes by for each datagram.
static __always_inline void forget_destination(struct bpf_sock_addr *ctx) {
  struct bpf_sock *sk = ctx->sk;
  if (sk) bpf_sk_storage_delete(&sk_client, sk);
}

static __always_inline void forget_verdict(struct bpf_sock_addr *ctx) {
  struct bpf_sock *sk = ctx->sk;
  if (sk) bpf_sk_storage_delete(&sk_direct, sk);
}

// The app and the proxy then both see the pod's IP as source instead of 127.0.0.1. Fails where the app has bound: as it should.
static __always_inline void bind_own4(struct bpf_sock_addr *ctx, const struct pod *pod) {
  if (LOAD(ctx, type) != SOCK_STREAM || pod->ip4[3] == 0) return;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = pod->ip4[3]};
  bpf_bind(ctx, (struct sockaddr *)&a, sizeof a);
}

static __always_inline void bind_own6(struct bpf_sock_addr *ctx, const __u32 ip[4]) {
  if (LOAD(ctx, type) != SOCK_STREAM || (ip[2] == 0 && ip[3] == 0)) return;
  struct sockaddr_in6 a = {.sin6_family = AF_INET6};
  __builtin_memcpy(&a.sin6_addr, ip, sizeof a.sin6_addr);
  bpf_bind(ctx, (struct sockaddr *)&a, sizeof a);
}

SEC("cgroup/connect4") int connect4(struct bpf_sock_addr *ctx) {
  const struct pod *pod = pod_of(ctx);
  if (!pod) return 1;
  forget_verdict(ctx);
  __u16 port;
  enum way way = outbound4(ctx, pod, &port);
  if (way == LET_GO) forget_destination(ctx);
  if (way != REDIRECT) return way;
  bind_own4(ctx, pod);
  return redirect4(ctx, port);
}

// Also runs for v4-mapped destinations.
SEC("cgroup/connect6") int connect6(struct bpf_sock_addr *ctx) {
  const struct pod *pod = pod_of(ctx);
  if (!pod) return 1;
  forget_verdict(ctx);
  __u16 port;
  bool mapped;
  enum way way = outbound6(ctx, pod, &port, &mapped);
  if (way == LET_GO) forget_destination(ctx);
  if (way != REDIRECT) return way;
  bind_own6(ctx, mapped ? pod->ip4 : pod->ip6);
  return redirect6(ctx, mapped, port);
}
