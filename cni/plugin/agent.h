/* One call to the node agent: an HTTP POST on its unix socket, bounded in time and size. */
#pragma once
#include <stddef.h>

enum answer {
    ANSWER_OK,
    /* The agent says no; `reason` has its words. */
    ANSWER_REFUSED,
    /* Nobody listens on the socket. */
    ANSWER_NOBODY,
    /* It listens and did not answer in time, or nonsense. */
    ANSWER_BROKEN,
};

/* `folder` is the agent's run directory. Takes at most `milliseconds`. */
enum answer ask_agent(const char *folder, const char *path, const char *body, size_t length, int milliseconds, char *reason,
                      size_t reason_size);
