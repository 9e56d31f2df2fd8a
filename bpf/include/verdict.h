// Whether a pair may connect directly, as it stands now.
#pragma once
#include "maps.h"

// The id of the verdict, 0 for none. The address must still be that of the pod which was judged.
static __always_inline __u64 verdict_of(__u64 netns, const __u32 ip[4], __u16 port) {
  struct verdict_key key = {.netns = netns, .port = port};
  __builtin_memcpy(key.ip, ip, sizeof key.ip);
  const struct verdict *v = bpf_map_lookup_elem(&verdicts, &key);
  if (!v || v->until <= bpf_ktime_get_ns()) return 0;
  const struct pod_address *at = bpf_map_lookup_elem(&addresses, key.ip);
  return at && at->netns == v->netns ? v->id : 0;
}
