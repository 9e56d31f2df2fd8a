/* The operations of a CNI plugin that is last in a chain. Each returns the exit code. */
#pragma once
#include "json.h"

struct config {
    /* Of the network configuration; what errors are written in. */
    char version[16];
    /* cni_agent_run_dir. */
    char agent[256];
    /* exclude_namespaces: an array, or empty. */
    struct json excluded;
    /* prevResult: empty when there is none. */
    struct json previous;
};

/* Decides what the configuration says; 0, or the exit code after the error was printed. */
int read_config(struct json document, struct config *config);

int add(const struct config *config);
int del(const struct config *config);
int check(const struct config *config);
