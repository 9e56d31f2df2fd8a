/*
 * A strict, bounded reader of JSON (RFC 8259): a document is checked as a whole first, then values are found in place. Nothing is
 * allocated and nothing is copied, so a value can be given on to the byte.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* A value inside a checked document, without the space around it. */
struct json {
    const char *at;
    size_t length;
};

/* False unless the text is exactly one value: valid UTF-8, no deeper than 64, no lone surrogates, no trailing anything. */
bool json_check(const char *text, size_t length, struct json *value);

/* What is found under a key of an object. */
enum json_member { JSON_ABSENT, JSON_FOUND, JSON_TWICE };
enum json_member json_member(struct json object, const char *key, struct json *value);

/* The elements of an array: start with {0}; false after the last, or when this is no array. */
struct json_cursor {
    const char *at;
};
bool json_next(struct json array, struct json_cursor *cursor, struct json *value);

/* Decodes a string into `into` with a final zero. False when it is no string, does not fit, or has a zero in it. */
bool json_string(struct json value, char *into, size_t size);

/* A number without fraction or exponent, from 0 to 2^31 - 1. */
bool json_index(struct json value, int *into);

bool json_is_object(struct json value);
