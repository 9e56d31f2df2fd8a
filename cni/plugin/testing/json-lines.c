/*
 * For the fuzz test: reads documents, each as a length of 4 bytes (little endian) and the bytes, and answers a line for each: "no",
 * or "yes" and the text of member "key" of the document, when it has just one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"

int main(void) {
    uint32_t length;
    while (fread(&length, sizeof length, 1, stdin) == 1) {
        /* Exactly as large as the document: a sanitizer sees one byte too many. */
        char *text = malloc(length == 0 ? 1 : length);
        if (text == NULL || fread(text, 1, length, stdin) != length) return 1;
        struct json document;
        if (!json_check(text, length, &document)) {
            puts("no");
        } else {
            struct json value;
            bool found = json_member(document, "key", &value) == JSON_FOUND;
            char decoded[4096];
            struct json_cursor cursor = {0};
            struct json element;
            int index;
            while (found && json_next(value, &cursor, &element)) json_index(element, &index);
            if (found) json_string(value, decoded, sizeof decoded);
            printf("yes %zu ", found ? value.length : 0);
            if (found) fwrite(value.at, 1, value.length, stdout);
            putchar('\n');
        }
        free(text);
    }
    return 0;
}
