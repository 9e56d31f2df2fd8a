/* The pod that a call is about, and what the agent is told about it (ambient-wire 6.3). */
#pragma once
#include "json.h"

struct pod {
    /* All empty when the runtime is not Kubernetes'. `uid` is empty with runtimes that do not say it. */
    char name[256];
    char namespace_[256];
    char uid[256];
    /* Path of its network namespace; empty when the runtime has none any more. */
    char netns[512];
};

enum pod_from_environment { POD_READ, POD_NOT_KUBERNETES, POD_MALFORMED };

/* From CNI_ARGS (`KEY=VALUE;...`) and CNI_NETNS. */
enum pod_from_environment read_pod(struct pod *pod);

/*
 * Writes the event as JSON: Netns, PodName, PodNamespace, PodUID (ours; Istio's agent passes over it) and IPs, with the addresses
 * of `previous` (the result of the plugins before, may be empty). 0 when they make no sense or do not fit, else the length.
 */
size_t write_event(const struct pod *pod, struct json previous, char *into, size_t size);
