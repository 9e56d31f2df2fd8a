#include "event.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

enum { MOST_ADDRESSES = 16 };

static bool copy(char *into, size_t size, const char *text, size_t length) {
    if (length >= size) return false;
    memcpy(into, text, length);
    into[length] = '\0';
    return true;
}

static bool read_argument(struct pod *pod, const char *key, size_t key_length, const char *value, size_t length) {
    static const char *const keys[] = {"K8S_POD_NAME", "K8S_POD_NAMESPACE", "K8S_POD_UID"};
    char *const targets[] = {pod->name, pod->namespace_, pod->uid};
    for (int i = 0; i < 3; i++) {
        if (strlen(keys[i]) != key_length || memcmp(keys[i], key, key_length) != 0) continue;
        return copy(targets[i], sizeof pod->name, value, length);
    }
    return true;
}

enum pod_from_environment read_pod(struct pod *pod) {
    memset(pod, 0, sizeof *pod);
    const char *netns = getenv("CNI_NETNS");
    if (netns != NULL && !copy(pod->netns, sizeof pod->netns, netns, strlen(netns))) return POD_MALFORMED;
    const char *args = getenv("CNI_ARGS");
    while (args != NULL && *args != '\0') {
        const char *end = strchrnul(args, ';');
        const char *equals = memchr(args, '=', (size_t)(end - args));
        if (equals == NULL) return POD_MALFORMED;
        const char *value = equals + 1;
        if (!read_argument(pod, args, (size_t)(equals - args), value, (size_t)(end - value))) return POD_MALFORMED;
        args = *end == ';' ? end + 1 : end;
    }
    return pod->name[0] == '\0' || pod->namespace_[0] == '\0' ? POD_NOT_KUBERNETES : POD_READ;
}

/* Base64 of a mask with `prefix` ones, as Go writes a net.IPMask. */
static void put_mask(FILE *out, int prefix, int bytes) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char mask[16] = {0};
    for (int i = 0; i < prefix; i++) mask[i / 8] |= (unsigned char)(0x80 >> (i % 8));
    for (int i = 0; i < bytes; i += 3) {
        int left = bytes - i < 3 ? bytes - i : 3;
        unsigned group = (unsigned)mask[i] << 16;
        if (left > 1) group |= (unsigned)mask[i + 1] << 8;
        if (left > 2) group |= mask[i + 2];
        for (int j = 0; j < 4; j++) fputc(j <= left ? alphabet[(group >> (18 - 6 * j)) & 0x3f] : '=', out);
    }
}

/* {Interface, Address: {IP, Mask}, Gateway}: how Go's encoding/json writes an IPConfig of Istio's. */
static bool put_address(FILE *out, struct json ip) {
    char text[64];
    struct json member;
    if (json_member(ip, "address", &member) != JSON_FOUND || !json_string(member, text, sizeof text)) return false;
    char *slash = strchr(text, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    char *end;
    long prefix = strtol(slash + 1, &end, 10);
    unsigned char address[16];
    int bytes = strchr(text, ':') == NULL ? 4 : 16;
    if (inet_pton(bytes == 4 ? AF_INET : AF_INET6, text, address) != 1) return false;
    if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || prefix > bytes * 8) return false;

    int index;
    bool has_index = json_member(ip, "interface", &member) == JSON_FOUND && json_index(member, &index);
    if (has_index) {
        fprintf(out, "{\"Interface\":%d,\"Address\":{\"IP\":", index);
    } else {
        fputs("{\"Interface\":null,\"Address\":{\"IP\":", out);
    }
    put_json_string(out, text);
    fputs(",\"Mask\":\"", out);
    put_mask(out, (int)prefix, bytes);
    fputs("\"},\"Gateway\":", out);
    char gateway[64] = "";
    if (json_member(ip, "gateway", &member) == JSON_FOUND) json_string(member, gateway, sizeof gateway);
    put_json_string(out, gateway);
    fputc('}', out);
    return true;
}

size_t write_event(const struct pod *pod, struct json previous, char *into, size_t size) {
    FILE *out = fmemopen(into, size, "w");
    if (out == NULL) return 0;
    fputs("{\"Netns\":", out);
    put_json_string(out, pod->netns);
    fputs(",\"PodName\":", out);
    put_json_string(out, pod->name);
    fputs(",\"PodNamespace\":", out);
    put_json_string(out, pod->namespace_);
    if (pod->uid[0] != '\0') {
        fputs(",\"PodUID\":", out);
        put_json_string(out, pod->uid);
    }
    fputs(",\"IPs\":[", out);
    struct json ips = {0};
    struct json ip;
    struct json_cursor cursor = {0};
    bool good = true;
    int count = 0;
    if (json_member(previous, "ips", &ips) == JSON_FOUND) {
        while (good && json_next(ips, &cursor, &ip)) {
            if (count > 0) fputc(',', out);
            good = ++count <= MOST_ADDRESSES && put_address(out, ip);
        }
    }
    fputs("]}", out);
    /* fmemopen cuts what does not fit, and says so only here. */
    good = fflush(out) == 0 && good;
    long length = ftell(out);
    fclose(out);
    return good && length > 0 && (size_t)length < size ? (size_t)length : 0;
}
