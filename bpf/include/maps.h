// All maps are pinned by name: an agent that starts anew finds the pods, flows and listeners of the one before it.
#pragma once
#include "abi.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAX_PODS 1024
#define MAX_ZTUNNELS 64

// By id of a cgroup: its processes, and those below, are never captured. Several while one ztunnel replaces another.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MAX_ZTUNNELS);
  __type(key, __u64);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} ztunnels SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MAX_PODS);
  __type(key, __u64);
  __type(value, struct pod);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} pods SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MAX_PODS * 2);
  __type(key, struct address);
  __type(value, struct pod_address);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} addresses SEC(".maps");

// An entry goes by itself when its listener is closed.
struct {
  __uint(type, BPF_MAP_TYPE_SOCKHASH);
  __uint(max_entries, MAX_PODS * 4);
  __type(key, struct listener_key);
  __type(value, __u64);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} listeners SEC(".maps");

// Two roles, two maps: accept() runs the getpeername hook, which must see what the socket dialled and never what it accepted.
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct destination);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sk_client SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct destination);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sk_server SEC(".maps");

// From the client's SYN until the proxy's side is established. The LRU is the backstop, not the way out.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct flow);
  __type(value, struct destination);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} handshakes SEC(".maps");

// Flows that inbound lets through to the app: the proxy's own dials and the node's probes.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct flow);
  __type(value, __u8);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} pass_flows SEC(".maps");

// Empty where the node agent has no same-node fast path.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16384);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct verdict_key);
  __type(value, struct verdict);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} verdicts SEC(".maps");

// From the client's SYN until its socket is closed. No LRU: what is in here is what can be cut.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct flow);
  __type(value, struct direct_flow);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} direct_flows SEC(".maps");

// On the client's socket, from connect(2) on.
struct direct {
  __u64 verdict;
  __u64 began;
};

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct direct);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sk_direct SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} direct_events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, DIRECT_COUNTER_COUNT);
  __type(key, __u32);
  __type(value, __u64);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} direct_counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, COUNTER_COUNT);
  __type(key, __u32);
  __type(value, __u64);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} counters SEC(".maps");

static __always_inline void count(enum counter which) {
  __u32 key = which;
  __u64 *value = bpf_map_lookup_elem(&counters, &key);
  if (value) (*value)++;
}

static __always_inline void count_direct(enum direct_counter which) {
  __u32 key = which;
  __u64 *value = bpf_map_lookup_elem(&direct_counters, &key);
  if (value) (*value)++;
}
