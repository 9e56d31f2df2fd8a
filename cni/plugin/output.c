#include "output.h"

void put_json_string(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            fprintf(out, "\\%c", *c);
        } else if (*c < 0x20) {
            fprintf(out, "\\u%04x", *c);
        } else {
            fputc(*c < 0x7f ? *c : '?', out);
        }
    }
    fputc('"', out);
}

static int finish(int code) {
    return fflush(stdout) == 0 ? code : 1;
}

int fail(const char *cni_version, enum cni_error code, const char *message, const char *details) {
    fputs("{\"cniVersion\":", stdout);
    put_json_string(stdout, cni_version);
    fprintf(stdout, ",\"code\":%d,\"msg\":", (int)code);
    put_json_string(stdout, message);
    if (details != NULL) {
        fputs(",\"details\":", stdout);
        put_json_string(stdout, details);
    }
    fputs("}\n", stdout);
    return finish(1);
}

int succeed_with(struct json result) {
    fwrite(result.at, 1, result.length, stdout);
    fputc('\n', stdout);
    return finish(0);
}

int succeed_silently(void) {
    return 0;
}
