// Flows that inbound must not capture. They are recorded before their SYN leaves and forgotten when their socket is closed.
// Attached to the cgroups of those who may: what decides is the cgroup that the socket was made in.
#include "tuple.h"

// Whether a socket dials, and which two ends it has. A flow whose socket closes is forgotten here.
static __always_inline bool dials(struct bpf_sock_ops *ctx, struct tuple *t) {
  __u32 op = ctx->op;
  if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_STATE_CB) return false;
  if (!read_tuple(ctx, t)) return false;
  if (op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == TCP_CLOSE) unpass(t);
  return op == BPF_SOCK_OPS_TCP_CONNECT_CB;
}

// The proxy's dial to the app, from inside the pod's netns.
SEC("sockops") int sockops_ztunnel(struct bpf_sock_ops *ctx) {
  struct tuple t;
  if (!dials(ctx, &t)) return 1;
  __u64 netns = bpf_get_netns_cookie(ctx);
  const struct pod *pod = bpf_map_lookup_elem(&pods, &netns);
  if (pod && is_own_ip(pod, t.remote_ip)) pass(ctx, &t);
  return 1;
}

// The node's probes (kubelet), from the node's netns.
SEC("sockops") int sockops_probe(struct bpf_sock_ops *ctx) {
  struct tuple t;
  if (!dials(ctx, &t)) return 1;
  if (!bpf_map_lookup_elem(&addresses, t.remote_ip)) return 1;
  count(COUNTER_probe_flows);
  pass(ctx, &t);
  return 1;
}
