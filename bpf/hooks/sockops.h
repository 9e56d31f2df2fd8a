// Carries the destination from the app's socket to the one that the proxy accepts, and looks after what goes past the proxy.
#include "sockops-direct.h"
#include "tuple.h"

// The local port is chosen and the SYN not yet sent: nothing can come too early.
static __always_inline void offer(struct bpf_sock_ops *ctx) {
  struct bpf_sock *sk = ctx->sk;
  struct tuple t;
  if (!sk || !read_tuple(ctx, &t) || !is_loopback(t.remote_ip)) return;
  const struct destination *d = bpf_sk_storage_get(&sk_client, sk, 0, 0);
  if (!d || d->wire_via != bpf_htons(t.remote_port)) return;
  struct flow f;
  client_flow(&f, bpf_get_netns_cookie(ctx), &t);
  bpf_map_update_elem(&handshakes, &f, d, BPF_ANY);
  watch_state(ctx);
}

static __always_inline void take(struct bpf_sock_ops *ctx) {
  struct bpf_sock *sk = ctx->sk;
  struct tuple t;
  if (!sk || !read_tuple(ctx, &t) || !is_loopback(t.local_ip)) return;
  struct flow f;
  server_flow(&f, bpf_get_netns_cookie(ctx), &t);
  const struct destination *d = bpf_map_lookup_elem(&handshakes, &f);
  if (!d) return;
  struct destination copy = *d;
  bpf_sk_storage_get(&sk_server, sk, &copy, BPF_SK_STORAGE_GET_F_CREATE);
  bpf_map_delete_elem(&handshakes, &f);
}

// A handshake that came to nothing leaves its entry; after any other this finds none.
static __always_inline void revoke(struct bpf_sock_ops *ctx) {
  struct tuple t;
  if (!read_tuple(ctx, &t) || !is_loopback(t.remote_ip)) return;
  struct flow f;
  client_flow(&f, bpf_get_netns_cookie(ctx), &t);
  bpf_map_delete_elem(&handshakes, &f);
}

SEC("sockops") int sockops_carry(struct bpf_sock_ops *ctx) {
  direct(ctx);
  switch (ctx->op) {
  case BPF_SOCK_OPS_TCP_CONNECT_CB: offer(ctx); break;
  case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB: take(ctx); break;
  case BPF_SOCK_OPS_STATE_CB:
    if (ctx->args[1] == TCP_CLOSE) revoke(ctx);
    break;
  }
  return 1;
}
