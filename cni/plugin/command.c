#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "event.h"
#include "output.h"

/* The agent gives up after 20 s. Runtimes wait minutes. */
enum { ADD_MS = 30000, DEL_MS = 2000, LARGEST_EVENT = 16384 };

static const char outside_file[] = "outside-namespaces";

static int bad_config(const struct config *config, const char *message) {
    return fail(config->version, CNI_BAD_CONFIG, message, NULL);
}

int read_config(struct json document, struct config *config) {
    struct json member;
    memset(config, 0, sizeof *config);
    strcpy(config->version, "1.1.0");
    if (!json_is_object(document)) return bad_config(config, "the network configuration is not an object");
    static const char *const versions[] = {"0.3.1", "0.4.0", "1.0.0", "1.1.0"};
    char version[16] = "";
    if (json_member(document, "cniVersion", &member) == JSON_FOUND) json_string(member, version, sizeof version);
    bool known = false;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) known |= strcmp(versions[i], version) == 0;
    if (!known) return fail(config->version, CNI_INCOMPATIBLE_VERSION, "cniVersion must be 0.3.1, 0.4.0, 1.0.0 or 1.1.0", version);
    strcpy(config->version, version);
    if (json_member(document, "cni_agent_run_dir", &member) != JSON_FOUND ||
        !json_string(member, config->agent, sizeof config->agent) || config->agent[0] != '/') {
        return bad_config(config, "cni_agent_run_dir must be the absolute path of the agent's run directory");
    }
    if (json_member(document, "exclude_namespaces", &config->excluded) == JSON_TWICE ||
        json_member(document, "prevResult", &config->previous) == JSON_TWICE) {
        return bad_config(config, "exclude_namespaces or prevResult is there twice");
    }
    return 0;
}

static bool is_excluded(const struct config *config, const char *namespace_) {
    struct json_cursor cursor = {0};
    struct json element;
    char text[256];
    while (json_next(config->excluded, &cursor, &element)) {
        if (json_string(element, text, sizeof text) && strcmp(text, namespace_) == 0) return true;
    }
    return false;
}

/*
 * Whether the agent, when it was last there, knew this namespace as one without a pod of the mesh. It keeps the list, a name a line,
 * for this moment: nobody else can tell here, and what nobody knows stays out of the network.
 */
static bool was_outside(const struct config *config, const char *namespace_) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", config->agent, outside_file);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strcmp(line, namespace_) == 0;
    }
    fclose(file);
    return found;
}

enum verdict { VERDICT_GO, VERDICT_STOP };

/* Asks the agent about the pod; on VERDICT_STOP the error has been printed. */
static enum verdict ask(const struct config *config, const char *path) {
    struct pod pod;
    switch (read_pod(&pod)) {
    case POD_MALFORMED:
        fail(config->version, CNI_BAD_ENVIRONMENT, "CNI_ARGS or CNI_NETNS is malformed", getenv("CNI_ARGS"));
        return VERDICT_STOP;
    case POD_NOT_KUBERNETES:
        return VERDICT_GO;
    case POD_READ:
        break;
    }
    if (is_excluded(config, pod.namespace_)) return VERDICT_GO;
    if (pod.netns[0] == '\0') {
        fail(config->version, CNI_BAD_ENVIRONMENT, "CNI_NETNS is missing", NULL);
        return VERDICT_STOP;
    }
    static char body[LARGEST_EVENT];
    size_t length = write_event(&pod, config->previous, body, sizeof body);
    if (length == 0) {
        fail(config->version, CNI_UNDECODABLE, "the addresses in prevResult.ips cannot be read", NULL);
        return VERDICT_STOP;
    }
    char reason[1024] = "";
    switch (ask_agent(config->agent, path, body, length, ADD_MS, reason, sizeof reason)) {
    case ANSWER_OK:
        return VERDICT_GO;
    case ANSWER_REFUSED:
        fail(config->version, CNI_TRY_AGAIN, "the node agent cannot take the pod into the mesh now", reason);
        return VERDICT_STOP;
    case ANSWER_NOBODY:
        if (was_outside(config, pod.namespace_)) return VERDICT_GO;
        fail(config->version, CNI_TRY_AGAIN, "the node agent is not running, and this pod may belong to the mesh", config->agent);
        return VERDICT_STOP;
    case ANSWER_BROKEN:
        break;
    }
    fail(config->version, CNI_IO, "the node agent did not answer within 30 s, or with nonsense", config->agent);
    return VERDICT_STOP;
}

int add(const struct config *config) {
    if (!json_is_object(config->previous)) {
        return bad_config(config, "there is no prevResult: this plugin must stand behind another one in the chain");
    }
    return ask(config, "/cmdadd") == VERDICT_GO ? succeed_with(config->previous) : 1;
}

/* Never fails: a pod must be able to go, and the agent finds out anyway when its processes are gone. */
int del(const struct config *config) {
    struct pod pod;
    static char body[LARGEST_EVENT];
    static const struct json no_result;
    if (read_pod(&pod) == POD_READ && !is_excluded(config, pod.namespace_)) {
        size_t length = write_event(&pod, no_result, body, sizeof body);
        char reason[1024];
        if (length > 0) ask_agent(config->agent, "/cmddel", body, length, DEL_MS, reason, sizeof reason);
    }
    return succeed_silently();
}

int check(const struct config *config) {
    if (!json_is_object(config->previous)) return bad_config(config, "there is no prevResult to check");
    return ask(config, "/cmdcheck") == VERDICT_GO ? succeed_silently() : 1;
}
