// sendto(2) and sendmsg(2) of unconnected UDP sockets: DNS goes to the proxy.
#include "outbound.h"

SEC("cgroup/sendmsg4") int sendmsg4(struct bpf_sock_addr *ctx) {
  const struct pod *pod = pod_of(ctx);
  if (!pod) return 1;
  __u32 ip[4];
  __u16 port;
  set_ip4(ip, LOAD(ctx, user_ip4));
  switch (outbound(ctx, pod, ip, &port)) {
  case LET_GO: return 1;
  case REFUSE: return 0;
  case REDIRECT: break;
  }
  return redirect4(ctx, port);
}

SEC("cgroup/sendmsg6") int sendmsg6(struct bpf_sock_addr *ctx) {
  const struct pod *pod = pod_of(ctx);
  if (!pod) return 1;
  __u32 ip[4];
  __u16 port;
  LOAD_IP6(ip, ctx, user_ip6);
  switch (outbound(ctx, pod, ip, &port)) {
  case LET_GO: return 1;
  case REFUSE: return 0;
  case REDIRECT: break;
  }
  return redirect6(ctx, is_ip4(ip), port);
}
