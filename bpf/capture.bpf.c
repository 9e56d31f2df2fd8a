// All programs of the capture datapath in one object, for they share their maps. Each hook has a file of its own in hooks/.
// Only UAPI context structs are used: no CO-RE and no vmlinux.h, so one object fits every kernel from 5.15 on.
#include "hooks/connect.h"
#include "hooks/getpeername.h"
#include "hooks/getsockopt.h"
#include "hooks/inbound.h"
#include "hooks/recvmsg.h"
#include "hooks/sendmsg.h"
#include "hooks/sockops-pass.h"
#include "hooks/sockops.h"

// No helper in use is reserved to the GPL.
char LICENSE[] SEC("license") = "Apache-2.0";

#define COUNTER_NAME(name) #name,
const volatile struct abi abi = {
  .pod_size = sizeof(struct pod),
  .pod_ip4 = __builtin_offsetof(struct pod, ip4),
  .pod_ip6 = __builtin_offsetof(struct pod, ip6),
  .pod_outbound = __builtin_offsetof(struct pod, outbound),
  .pod_dns_udp = __builtin_offsetof(struct pod, dns_udp),
  .pod_dns_tcp = __builtin_offsetof(struct pod, dns_tcp),
  .pod_uid = __builtin_offsetof(struct pod, uid),
  .pod_address_size = sizeof(struct pod_address),
  .pod_address_flags = __builtin_offsetof(struct pod_address, flags),
  .listener_key_size = sizeof(struct listener_key),
  .flow_size = sizeof(struct flow),
  .counter_count = COUNTER_COUNT,
  .counter_names = {COUNTERS(COUNTER_NAME)},
  .verdict_key_size = sizeof(struct verdict_key),
  .verdict_size = sizeof(struct verdict),
  .direct_flow_size = sizeof(struct direct_flow),
  .direct_event_size = sizeof(struct direct_event),
  .direct_counter_count = DIRECT_COUNTER_COUNT,
  .direct_counter_names = {DIRECT_COUNTERS(COUNTER_NAME)},
};
