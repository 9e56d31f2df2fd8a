/* What the plugin says to the runtime: results and errors as the CNI specification has them (1.1.0, "Result Types"), on stdout. */
#pragma once
#include <stdio.h>

#include "json.h"

/* Codes of the specification's table "Error". */
enum cni_error {
    CNI_INCOMPATIBLE_VERSION = 1,
    CNI_BAD_ENVIRONMENT = 4,
    CNI_IO = 5,
    CNI_UNDECODABLE = 6,
    CNI_BAD_CONFIG = 7,
    CNI_TRY_AGAIN = 11,
};

/* A JSON string with its quotes. Bytes that are no ASCII become '?', so that the output is valid whatever came in. */
void put_json_string(FILE *out, const char *text);

/* Prints the error; returns the exit code. `details` may be NULL. */
int fail(const char *cni_version, enum cni_error code, const char *message, const char *details);

int succeed_with(struct json result);
int succeed_silently(void);
