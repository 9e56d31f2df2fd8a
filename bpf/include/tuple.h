// The two ends of a TCP socket in sockops, in the common form of abi.h.
#pragma once
#include "maps.h"
#include "net.h"

#define TCP_CLOSE 7

struct tuple {
  __u32 local_ip[4];
  __u32 remote_ip[4];
  __u16 local_port;
  __u16 remote_port;
};

static __always_inline bool read_tuple(struct bpf_sock_ops *ctx, struct tuple *t) {
  __u32 family = LOAD(ctx, family);
  if (family == AF_INET) {
    set_ip4(t->local_ip, LOAD(ctx, local_ip4));
    set_ip4(t->remote_ip, LOAD(ctx, remote_ip4));
  } else if (family == AF_INET6) {
    LOAD_IP6(t->local_ip, ctx, local_ip6);
    LOAD_IP6(t->remote_ip, ctx, remote_ip6);
  } else {
    return false;
  }
  t->local_port = LOAD(ctx, local_port);
  t->remote_port = bpf_ntohl(LOAD(ctx, remote_port));
  return true;
}

// The flow of a socket that dialled.
static __always_inline void client_flow(struct flow *f, __u64 netns, const struct tuple *t) {
  __builtin_memset(f, 0, sizeof *f);
  f->netns = netns;
  __builtin_memcpy(f->client_ip, t->local_ip, sizeof f->client_ip);
  __builtin_memcpy(f->server_ip, t->remote_ip, sizeof f->server_ip);
  f->client_port = t->local_port;
  f->server_port = t->remote_port;
}

// The same flow, seen by the socket that accepted it.
static __always_inline void server_flow(struct flow *f, __u64 netns, const struct tuple *t) {
  __builtin_memset(f, 0, sizeof *f);
  f->netns = netns;
  __builtin_memcpy(f->client_ip, t->remote_ip, sizeof f->client_ip);
  __builtin_memcpy(f->server_ip, t->local_ip, sizeof f->server_ip);
  f->client_port = t->remote_port;
  f->server_port = t->local_port;
}

// Asks for BPF_SOCK_OPS_STATE_CB, to learn of the close.
static __always_inline void watch_state(struct bpf_sock_ops *ctx) {
  bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

// Lets inbound pass this flow until its socket is closed: a SYN cookie's last ACK comes after it is established here.
static __always_inline void pass(struct bpf_sock_ops *ctx, const struct tuple *t) {
  struct flow f;
  __u8 yes = 1;
  client_flow(&f, 0, t);
  bpf_map_update_elem(&pass_flows, &f, &yes, BPF_ANY);
  watch_state(ctx);
}

static __always_inline void unpass(const struct tuple *t) {
  struct flow f;
  client_flow(&f, 0, t);
  bpf_map_delete_elem(&pass_flows, &f);
}
