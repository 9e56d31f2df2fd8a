// recvfrom(2) of UDP: a reply of the proxy seems to come from the server that was asked last.
#include "restore.h"

SEC("cgroup/recvmsg4") int recvmsg4(struct bpf_sock_addr *ctx) { return restore4(ctx); }
SEC("cgroup/recvmsg6") int recvmsg6(struct bpf_sock_addr *ctx) { return restore6(ctx); }
