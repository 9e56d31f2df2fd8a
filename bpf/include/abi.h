// The layout of everything that user space reads or writes. cni/capture/ebpf/abi.ts says the same in TypeScript, and its test
// compares both by way of `struct abi` below, which the object carries in .rodata.
//
// Addresses are four words in network order, IPv4 in its v4-mapped form, so that one key fits both families and mapped sockets.
// Ports are in host order unless the name says wire. No struct has implicit padding.
#pragma once
#include <linux/types.h>

#define UID_BYTES 64
#define HBONE_PORT 15008
#define COUNTER_NAME_BYTES 32

// The key of `pods` is the netns cookie. User space keeps the uid here, so that a restarted agent knows its pods.
struct pod {
  __u32 flags;
  __u32 ip4[4]; // all zero: the pod has none
  __u32 ip6[4];
  __u16 outbound[2]; // by family, IPv4 first; 0 refuses
  __u16 dns_udp[2];
  __u16 dns_tcp[2];
  char uid[UID_BYTES];
};
_Static_assert(sizeof(struct pod) == 112, "struct pod");

#define POD_FAIL_OPEN (1u << 0)
#define POD_DNS_UDP (1u << 1)
#define POD_DNS_TCP (1u << 2)
#define POD_PLAINTEXT_DIRECT (1u << 3)

// The value of `addresses`, by pod IP.
struct pod_address {
  __u64 netns;
  __u32 flags; // POD_FAIL_OPEN, POD_PLAINTEXT_DIRECT
  __u32 reserved;
};
_Static_assert(sizeof(struct pod_address) == 16, "struct pod_address");

struct address {
  __u32 word[4];
};

struct listener_key {
  __u32 ip[4];
  __u32 kind;
};
_Static_assert(sizeof(struct listener_key) == 20, "struct listener_key");

#define LISTENER_PLAINTEXT 0
#define LISTENER_HBONE 1

// Where a socket wanted to go, and the wire port of the proxy that it got instead.
struct destination {
  __u32 ip[4];
  __be16 wire_port;
  __be16 wire_via;
};
_Static_assert(sizeof(struct destination) == 20, "struct destination");

// Loopback tuples repeat in every pod, so `handshakes` has the netns cookie in its key. `pass_flows` has 0: its flows may begin
// in another netns than they end.
struct flow {
  __u64 netns;
  __u32 client_ip[4];
  __u32 server_ip[4];
  __u16 client_port;
  __u16 server_port;
  __u32 reserved;
};
_Static_assert(sizeof(struct flow) == 48, "struct flow");

// A pair that may connect directly, by what connect(2) is asked for (the same-node fast path).
struct verdict_key {
  __u64 netns; // of the client
  __u32 ip[4];
  __u16 port;
  __u16 reserved[3];
};
_Static_assert(sizeof(struct verdict_key) == 32, "struct verdict_key");

struct verdict {
  __u64 id; // never used twice
  __u64 until; // ns of CLOCK_MONOTONIC: nobody has to take back what nobody renews
  __u64 netns; // of the pod that had the address when it was judged
};
_Static_assert(sizeof(struct verdict) == 24, "struct verdict");

// A connection that goes directly. The key is its struct flow, with 0 for the netns.
struct direct_flow {
  __u64 verdict;
  __u64 cookie; // of the client's socket
  __u64 netns; // of the client
  __u32 flags;
  __u32 reserved;
};
_Static_assert(sizeof(struct direct_flow) == 32, "struct direct_flow");

#define DIRECT_REFUSED (1u << 0) // its verdict was taken back between connect(2) and the SYN
#define DIRECT_SERVER_FIN (1u << 1)

// What user space hears of a direct connection.
struct direct_event {
  struct flow flow;
  __u64 verdict;
  __u64 netns;
  __u64 ns; // since the SYN
  __u64 sent; // bytes of the client that were acknowledged
  __u64 received;
  __u32 kind;
  __u32 state; // of TCP, before it was closed
};
_Static_assert(sizeof(struct direct_event) == 96, "struct direct_event");

#define DIRECT_OPENED 0
#define DIRECT_CLOSED 1
#define DIRECT_FAILED 2 // never established

// Not among COUNTERS: an agent's pinned map of those has the size that an agent before it gave it.
#define DIRECT_COUNTERS(X) \
  X(same_node_direct) \
  X(same_node_let_in) \
  X(same_node_refused) \
  X(same_node_events_lost)

#define DIRECT_ENUM(name) COUNTER_##name,
enum direct_counter { DIRECT_COUNTERS(DIRECT_ENUM) DIRECT_COUNTER_COUNT };
#undef DIRECT_ENUM

// Why a connection went the way it went. The names are metric labels.
#define COUNTERS(X) \
  X(outbound_captured) \
  X(outbound_dns) \
  X(outbound_ztunnel) \
  X(outbound_local) \
  X(outbound_refused) \
  X(outbound_failed_open) \
  X(outbound_device_unbound) \
  X(inbound_hbone) \
  X(inbound_plaintext) \
  X(inbound_local) \
  X(inbound_known_flow) \
  X(inbound_direct) \
  X(inbound_refused) \
  X(inbound_failed_open) \
  X(inbound_unknown_address) \
  X(probe_flows)

#define COUNTER_ENUM(name) COUNTER_##name,
enum counter { COUNTERS(COUNTER_ENUM) COUNTER_COUNT };
#undef COUNTER_ENUM

// What the test of abi.ts reads.
struct abi {
  __u32 pod_size;
  __u32 pod_ip4;
  __u32 pod_ip6;
  __u32 pod_outbound;
  __u32 pod_dns_udp;
  __u32 pod_dns_tcp;
  __u32 pod_uid;
  __u32 pod_address_size;
  __u32 pod_address_flags;
  __u32 listener_key_size;
  __u32 flow_size;
  __u32 counter_count;
  char counter_names[COUNTER_COUNT][COUNTER_NAME_BYTES];
  __u32 verdict_key_size;
  __u32 verdict_size;
  __u32 direct_flow_size;
  __u32 direct_event_size;
  __u32 direct_counter_count;
  char direct_counter_names[DIRECT_COUNTER_COUNT][COUNTER_NAME_BYTES];
};
