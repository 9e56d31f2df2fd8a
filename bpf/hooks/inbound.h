// sk_lookup in the pod's netns: a SYN for any port of the pod goes to a listener of the proxy. It runs only where no socket is
// established, so open connections are never touched.
#include "maps.h"
#include "net.h"

static __always_inline int steer(struct bpf_sk_lookup *ctx, const __u32 local_ip[4], bool hbone) {
  const struct pod_address *pod = bpf_map_lookup_elem(&addresses, local_ip);
  if (!pod) {
    count(COUNTER_inbound_unknown_address);
    return SK_DROP;
  }
  if (!hbone && (pod->flags & POD_PLAINTEXT_DIRECT)) {
    count(COUNTER_inbound_direct);
    return SK_PASS;
  }
  struct listener_key key = {.kind = hbone ? LISTENER_HBONE : LISTENER_PLAINTEXT};
  __builtin_memcpy(key.ip, local_ip, sizeof key.ip);
  bool fail_open = pod->flags & POD_FAIL_OPEN;
  struct bpf_sock *listener = bpf_map_lookup_elem(&listeners, &key);
  if (listener) {
    long err = bpf_sk_assign(ctx, listener, 0);
    bpf_sk_release(listener);
    if (err == 0) {
      count(hbone ? COUNTER_inbound_hbone : COUNTER_inbound_plaintext);
      return SK_PASS;
    }
  }
  count(fail_open ? COUNTER_inbound_failed_open : COUNTER_inbound_refused);
  return fail_open ? SK_PASS : SK_DROP;
}

SEC("sk_lookup") int inbound(struct bpf_sk_lookup *ctx) {
  if (ctx->protocol != IPPROTO_TCP) return SK_PASS;
  struct flow f = {};
  if (ctx->family == AF_INET) {
    set_ip4(f.client_ip, LOAD(ctx, remote_ip4));
    set_ip4(f.server_ip, LOAD(ctx, local_ip4));
  } else {
    LOAD_IP6(f.client_ip, ctx, remote_ip6);
    LOAD_IP6(f.server_ip, ctx, local_ip6);
  }
  f.client_port = bpf_ntohs((__u16)ctx->remote_port);
  f.server_port = ctx->local_port;

  // Calls within the pod. The interface does not tell them: a packet to the pod's own IP names eth0 even on loopback. An
  // outbound connection to the proxy has the pod's IP on one side and loopback on the other.
  if (is_loopback(f.server_ip) || is_loopback(f.client_ip)) {
    count(COUNTER_inbound_local);
    return SK_PASS;
  }
  // This port is the proxy's, whoever calls: a pod that reaches itself through a service comes here from its own IP, by a dial
  // of the proxy.
  if (f.server_port == HBONE_PORT) return steer(ctx, f.server_ip, true);
  if (same_ip(f.client_ip, f.server_ip)) {
    count(COUNTER_inbound_local);
    return SK_PASS;
  }
  if (bpf_map_lookup_elem(&pass_flows, &f)) {
    count(COUNTER_inbound_known_flow);
    return SK_PASS;
  }
  const struct direct_flow *direct = bpf_map_lookup_elem(&direct_flows, &f);
  if (direct && (direct->flags & DIRECT_REFUSED)) return SK_DROP;
  if (direct) {
    count_direct(COUNTER_same_node_let_in);
    return SK_PASS;
  }
  return steer(ctx, f.server_ip, false);
}
