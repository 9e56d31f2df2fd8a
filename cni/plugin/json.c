#include "json.h"

#include <string.h>

enum { DEEPEST = 64, LONGEST_KEY = 256 };

struct reader {
    const char *at;
    const char *end;
    int depth;
};

static bool value_ends(struct reader *r);

static void skip_space(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

static bool take(struct reader *r, char c) {
    if (r->at >= r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool take_word(struct reader *r, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
    r->at += n;
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Four hex digits; -1 when there are fewer. */
static long take_hex(struct reader *r) {
    long code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = r->at < r->end ? hex_digit(*r->at) : -1;
        if (digit < 0) return -1;
        code = code * 16 + digit;
        r->at++;
    }
    return code;
}

/* After a backslash: the code point that is meant, -1 for what JSON does not have. */
static long take_escape(struct reader *r) {
    static const char names[] = "\"\\/bfnrt";
    static const char codes[] = "\"\\/\b\f\n\r\t";
    if (r->at >= r->end) return -1;
    char c = *r->at++;
    if (c != 'u') {
        const char *found = c == '\0' ? NULL : strchr(names, c);
        return found == NULL ? -1 : (unsigned char)codes[found - names];
    }
    long high = take_hex(r);
    if (high < 0xd800 || high > 0xdfff) return high;
    if (high > 0xdbff || !take(r, '\\') || !take(r, 'u')) return -1;
    long low = take_hex(r);
    if (low < 0xdc00 || low > 0xdfff) return -1;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* One code point of UTF-8 as RFC 3629 allows it: no overlong forms, no surrogates, nothing above 10ffff. */
static long take_utf8(struct reader *r) {
    unsigned char first = (unsigned char)*r->at++;
    if (first < 0x80) return first;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4) return -1;
    long code = first & (0x3f >> more);
    for (int i = 0; i < more; i++) {
        if (r->at >= r->end || ((unsigned char)*r->at & 0xc0) != 0x80) return -1;
        code = (code << 6) | ((unsigned char)*r->at++ & 0x3f);
    }
    static const long least[] = {0, 0x80, 0x800, 0x10000};
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[more] || surrogate || code > 0x10ffff ? -1 : code;
}

static size_t put_utf8(char *into, long code) {
    if (code < 0x80) {
        into[0] = (char)code;
        return 1;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    into[0] = (char)(lead[more] | (code >> (6 * more)));
    for (int i = 1; i <= more; i++) into[i] = (char)(0x80 | ((code >> (6 * (more - i))) & 0x3f));
    return (size_t)more + 1;
}

/* A string with its quotes. Without `into` it is only checked; with it, false when it does not fit. */
static bool take_string(struct reader *r, char *into, size_t size) {
    if (!take(r, '"')) return false;
    size_t used = 0;
    while (r->at < r->end && *r->at != '"') {
        long code;
        if (*r->at == '\\') {
            r->at++;
            code = take_escape(r);
        } else if ((unsigned char)*r->at < 0x20) {
            return false;
        } else {
            code = take_utf8(r);
        }
        if (code < 0) return false;
        if (into == NULL) continue;
        if (code == 0 || size - used < 5) return false;
        used += put_utf8(into + used, code);
    }
    if (into != NULL) {
        if (size == 0) return false;
        into[used] = '\0';
    }
    return take(r, '"');
}

static bool is_digit(const struct reader *r) {
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool take_digits(struct reader *r) {
    if (!is_digit(r)) return false;
    while (is_digit(r)) r->at++;
    return true;
}

static bool take_number(struct reader *r) {
    take(r, '-');
    if (!take(r, '0') && !take_digits(r)) return false;
    if (take(r, '.') && !take_digits(r)) return false;
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (!take(r, '+')) take(r, '-');
        return take_digits(r);
    }
    return true;
}

static bool take_members(struct reader *r) {
    skip_space(r);
    if (take(r, '}')) return true;
    for (;;) {
        skip_space(r);
        if (!take_string(r, NULL, 0)) return false;
        skip_space(r);
        if (!take(r, ':') || !value_ends(r)) return false;
        skip_space(r);
        if (take(r, '}')) return true;
        if (!take(r, ',')) return false;
    }
}

static bool take_elements(struct reader *r) {
    skip_space(r);
    if (take(r, ']')) return true;
    for (;;) {
        if (!value_ends(r)) return false;
        skip_space(r);
        if (take(r, ']')) return true;
        if (!take(r, ',')) return false;
    }
}

/* Moves behind the value that comes next. */
static bool value_ends(struct reader *r) {
    skip_space(r);
    if (r->at >= r->end) return false;
    bool good;
    switch (*r->at) {
    case '{':
    case '[':
        if (++r->depth > DEEPEST) return false;
        good = *r->at++ == '{' ? take_members(r) : take_elements(r);
        r->depth--;
        return good;
    case '"':
        return take_string(r, NULL, 0);
    case 't':
        return take_word(r, "true");
    case 'f':
        return take_word(r, "false");
    case 'n':
        return take_word(r, "null");
    default:
        return take_number(r);
    }
}

static struct reader reader_of(struct json value) {
    return (struct reader){value.at, value.at + value.length, 0};
}

/* The value that starts here, in a document that has been checked. */
static struct json checked_value(struct reader *r) {
    skip_space(r);
    const char *start = r->at;
    value_ends(r);
    return (struct json){start, (size_t)(r->at - start)};
}

bool json_check(const char *text, size_t length, struct json *value) {
    struct reader r = {text, text + length, 0};
    skip_space(&r);
    const char *start = r.at;
    if (!value_ends(&r)) return false;
    *value = (struct json){start, (size_t)(r.at - start)};
    skip_space(&r);
    return r.at == r.end;
}

bool json_is_object(struct json value) {
    return value.length > 0 && *value.at == '{';
}

enum json_member json_member(struct json object, const char *key, struct json *value) {
    struct reader r = reader_of(object);
    if (!take(&r, '{')) return JSON_ABSENT;
    enum json_member found = JSON_ABSENT;
    skip_space(&r);
    while (r.at < r.end && *r.at == '"') {
        struct reader name = r;
        char text[LONGEST_KEY];
        bool same = take_string(&name, text, sizeof text) && strcmp(text, key) == 0;
        take_string(&r, NULL, 0);
        skip_space(&r);
        take(&r, ':');
        struct json member = checked_value(&r);
        if (same && found == JSON_FOUND) return JSON_TWICE;
        if (same) {
            *value = member;
            found = JSON_FOUND;
        }
        skip_space(&r);
        take(&r, ',');
        skip_space(&r);
    }
    return found;
}

bool json_next(struct json array, struct json_cursor *cursor, struct json *value) {
    struct reader r = reader_of(array);
    if (cursor->at == NULL) {
        if (!take(&r, '[')) return false;
    } else {
        r.at = cursor->at;
        skip_space(&r);
        take(&r, ',');
    }
    skip_space(&r);
    if (r.at >= r.end || *r.at == ']') return false;
    *value = checked_value(&r);
    cursor->at = r.at;
    return true;
}

bool json_string(struct json value, char *into, size_t size) {
    struct reader r = reader_of(value);
    return take_string(&r, into, size);
}

bool json_index(struct json value, int *into) {
    long number = 0;
    if (value.length == 0 || value.length > 10) return false;
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') return false;
        number = number * 10 + (value.at[i] - '0');
    }
    if (number > 0x7fffffff) return false;
    *into = (int)number;
    return true;
}
