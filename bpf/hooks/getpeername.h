// getpeername(2), and accept(2) which also runs it: the peer that the app asked for.
#include "restore.h"

SEC("cgroup/getpeername4") int getpeername4(struct bpf_sock_addr *ctx) { return restore4(ctx); }
SEC("cgroup/getpeername6") int getpeername6(struct bpf_sock_addr *ctx) { return restore6(ctx); }
