// Connections of the same-node fast path, from the SYN to the close of the client's socket: who may let them in, and what they moved.
#pragma once
#include "tuple.h"
#include "verdict.h"

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_CLOSING 11

static __always_inline struct direct *direct_of(struct bpf_sock_ops *ctx) {
  struct bpf_sock *sk = ctx->sk;
  return sk ? bpf_sk_storage_get(&sk_direct, sk, 0, 0) : 0;
}

// Entered first and asked again after that: whoever takes a verdict back looks for flows after that, and so finds this one, or is
// seen by it.
static __always_inline void direct_begins(struct bpf_sock_ops *ctx, struct direct *d) {
  struct tuple t;
  if (!read_tuple(ctx, &t)) return;
  __u64 netns = bpf_get_netns_cookie(ctx);
  struct flow f;
  client_flow(&f, 0, &t);
  struct direct_flow entry = {.verdict = d->verdict, .cookie = bpf_get_socket_cookie(ctx), .netns = netns};
  d->began = bpf_ktime_get_ns();
  if (bpf_map_update_elem(&direct_flows, &f, &entry, BPF_ANY) != 0) {
    // Inbound does not know it, so to the proxy of the destination it is plain text that came from outside.
    count_direct(COUNTER_same_node_refused);
    return;
  }
  watch_state(ctx);
  const struct pod *pod = bpf_map_lookup_elem(&pods, &netns);
  if (pod && is_own_ip(pod, t.local_ip) && verdict_of(netns, t.remote_ip, t.remote_port) == d->verdict) return;
  struct direct_flow *entered = bpf_map_lookup_elem(&direct_flows, &f);
  if (entered) entered->flags |= DIRECT_REFUSED;
  count_direct(COUNTER_same_node_refused);
}

static __always_inline struct direct_event *event_of(const struct flow *f, const struct direct *d, __u64 netns, __u32 kind) {
  struct direct_event *e = bpf_ringbuf_reserve(&direct_events, sizeof *e, 0);
  if (!e) {
    count_direct(COUNTER_same_node_events_lost);
    return 0;
  }
  __builtin_memset(e, 0, sizeof *e);
  __builtin_memcpy(&e->flow, f, sizeof e->flow);
  e->verdict = d->verdict;
  e->netns = netns;
  e->ns = bpf_ktime_get_ns() - d->began;
  e->kind = kind;
  return e;
}

static __always_inline void direct_stands(struct bpf_sock_ops *ctx, const struct direct *d) {
  struct tuple t;
  if (!read_tuple(ctx, &t)) return;
  struct flow f;
  client_flow(&f, 0, &t);
  struct direct_event *e = event_of(&f, d, bpf_get_netns_cookie(ctx), DIRECT_OPENED);
  if (e) bpf_ringbuf_submit(e, 0);
}

// TCP counts a SYN and a FIN as a byte each, of both of its counters. Whether FIN_WAIT2 ended with the peer's FIN only the peer's
// socket tells.
static __always_inline void direct_ends(struct bpf_sock_ops *ctx, struct direct *d) {
  struct tuple t;
  struct bpf_sock *sk = ctx->sk;
  if (!sk || !read_tuple(ctx, &t)) return;
  __u32 state = ctx->args[0];
  struct flow f;
  client_flow(&f, 0, &t);
  const struct direct_flow *entry = bpf_map_lookup_elem(&direct_flows, &f);
  bool heard = state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING ||
               (state == TCP_FIN_WAIT2 && entry && (entry->flags & DIRECT_SERVER_FIN));
  bool acked = state == TCP_FIN_WAIT2 || ((state == TCP_LAST_ACK || state == TCP_CLOSING) && ctx->snd_una == ctx->snd_nxt);
  __u64 overhead = acked ? 2 : 1;
  __u64 sent = ctx->bytes_acked, received = ctx->bytes_received;
  struct direct_event *e =
      event_of(&f, d, bpf_get_netns_cookie(ctx), state == TCP_SYN_SENT ? DIRECT_FAILED : DIRECT_CLOSED);
  if (e) {
    e->state = state;
    e->sent = sent > overhead ? sent - overhead : 0;
    e->received = heard && received > 0 ? received - 1 : received;
    bpf_ringbuf_submit(e, 0);
  }
  bpf_map_delete_elem(&direct_flows, &f);
  bpf_sk_storage_delete(&sk_direct, sk);
}

static __always_inline void server_accepts(struct bpf_sock_ops *ctx) {
  struct tuple t;
  if (!read_tuple(ctx, &t)) return;
  struct flow f;
  server_flow(&f, 0, &t);
  if (bpf_map_lookup_elem(&direct_flows, &f)) watch_state(ctx);
}

static __always_inline void server_ends(struct bpf_sock_ops *ctx) {
  struct tuple t;
  if (!read_tuple(ctx, &t)) return;
  struct flow f;
  server_flow(&f, 0, &t);
  struct direct_flow *entry = bpf_map_lookup_elem(&direct_flows, &f);
  if (entry) entry->flags |= DIRECT_SERVER_FIN;
}

static __always_inline void direct(struct bpf_sock_ops *ctx) {
  struct direct *d = direct_of(ctx);
  switch (ctx->op) {
  case BPF_SOCK_OPS_TCP_CONNECT_CB:
    if (d) direct_begins(ctx, d);
    break;
  case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
    if (d) direct_stands(ctx, d);
    break;
  case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB: server_accepts(ctx); break;
  case BPF_SOCK_OPS_STATE_CB:
    if (d && ctx->args[1] == TCP_CLOSE) direct_ends(ctx, d);
    else if (!d && (ctx->args[1] == TCP_FIN_WAIT1 || ctx->args[1] == TCP_LAST_ACK)) server_ends(ctx);
    break;
  }
}
