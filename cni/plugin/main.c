/*
 * aquifer-cni: a chained CNI plugin (specification 0.3.1 to 1.1.0). It tells the node agent of a pod before the pod's first process
 * runs, and lets the pod start once its traffic is captured.
 *
 *   ADD, CHECK  refuse when the agent says no. While no agent runs, they refuse whatever may belong to the mesh.
 *   DEL         tells the agent if there is one, and always succeeds.
 *   GC          nothing to do: the plugin keeps nothing, and the agent drops what has no pod.
 *   STATUS      always ready: pods outside of the mesh can start without an agent, the agent's own among them; a node that called
 *               itself unready could not start it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "output.h"

enum { LARGEST_CONFIG = 1 << 20 };

/* The whole of stdin; false when it is too large or cannot be read. */
static bool read_input(char *into, size_t size, size_t *length) {
    *length = 0;
    for (;;) {
        ssize_t n = read(STDIN_FILENO, into + *length, size - *length);
        if (n < 0) return false;
        if (n == 0) return true;
        *length += (size_t)n;
        if (*length == size) return false;
    }
}

static int print_versions(struct json document) {
    struct json member;
    char version[16] = "1.1.0";
    if (json_member(document, "cniVersion", &member) == JSON_FOUND) json_string(member, version, sizeof version);
    fputs("{\"cniVersion\":", stdout);
    put_json_string(stdout, version);
    fputs(",\"supportedVersions\":[\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n", stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(void) {
    static char input[LARGEST_CONFIG];
    static const char newest[] = "1.1.0";
    const char *command = getenv("CNI_COMMAND");
    if (command == NULL) return fail(newest, CNI_BAD_ENVIRONMENT, "CNI_COMMAND is missing: a container runtime calls this program", NULL);
    size_t length;
    if (!read_input(input, sizeof input, &length)) return fail(newest, CNI_IO, "stdin cannot be read, or is larger than 1 MiB", NULL);
    struct json document;
    if (!json_check(input, length, &document)) return fail(newest, CNI_UNDECODABLE, "stdin is not valid JSON", NULL);
    if (strcmp(command, "VERSION") == 0) return print_versions(document);

    struct config config;
    int failed = read_config(document, &config);
    if (failed != 0) return failed;
    if (strcmp(command, "GC") == 0 || strcmp(command, "STATUS") == 0) return succeed_silently();
    const char *container = getenv("CNI_CONTAINERID");
    const char *interface = getenv("CNI_IFNAME");
    if (container == NULL || *container == '\0' || interface == NULL || *interface == '\0') {
        return fail(config.version, CNI_BAD_ENVIRONMENT, "CNI_CONTAINERID or CNI_IFNAME is missing", NULL);
    }
    if (strcmp(command, "ADD") == 0) return add(&config);
    if (strcmp(command, "DEL") == 0) return del(&config);
    if (strcmp(command, "CHECK") == 0) return check(&config);
    return fail(config.version, CNI_BAD_ENVIRONMENT, "CNI_COMMAND is none that this plugin knows", command);
}
