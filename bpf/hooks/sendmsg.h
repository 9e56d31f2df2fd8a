// sendto(2) and sendmsg(2) of unconnected UDP sockets: DNS goes to the proxy.
#include "outbound.h"

SEC("cgroup/sendmsg4") int sendmsg4(struct bpf_sock_addr *ctx) {
  const struct pod *pod = pod_of(ctx);
  if (!pod) return 1;
  __u16 port;
  enum way way = outbound4(ctx, pod, &port);
  return way == REDIRECT ? redirect4(ctx, port) : way;
}

SEC("cgroup/sendmsg6") int sendmsg6(struct bpf_sock_addr *ctx) {
  const struct pod *pod = pod_of(ctx);
  if (!pod) return 1;
  __u16 port;
  bool mapped;
  enum way way = outbound6(ctx, pod, &port, &mapped);
  return way == REDIRECT ? redirect6(ctx, mapped, port) : way;
}
