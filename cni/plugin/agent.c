#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char socket_name[] = "pluginevent.sock";
enum { LONGEST_ANSWER = 8192 };

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* False when the time is over. */
static bool wait_for(int fd, short events, long deadline) {
    for (;;) {
        long left = deadline - now_ms();
        if (left <= 0) return false;
        struct pollfd p = {fd, events, 0};
        int n = poll(&p, 1, (int)left);
        if (n > 0) return true;
        if (n < 0 && errno != EINTR) return false;
    }
}

static bool send_all(int fd, const char *data, size_t length, long deadline) {
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            data += n;
            length -= (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return false;
        } else if (!wait_for(fd, POLLOUT, deadline)) {
            return false;
        }
    }
    return true;
}

/* Until the agent closes: the length, or -1. What is longer than the buffer is not read. */
static ssize_t receive_all(int fd, char *into, size_t size, long deadline) {
    size_t used = 0;
    while (used < size) {
        if (!wait_for(fd, POLLIN, deadline)) return -1;
        ssize_t n = recv(fd, into + used, size - used, MSG_DONTWAIT);
        if (n == 0) break;
        if (n > 0) used += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR) return -1;
    }
    return (ssize_t)used;
}

static enum answer judge(char *text, char *reason, size_t reason_size) {
    int status = 0;
    if (sscanf(text, "HTTP/1.%*1[01] %3d", &status) != 1 || status < 100) return ANSWER_BROKEN;
    if (status == 200) return ANSWER_OK;
    const char *body = strstr(text, "\r\n\r\n");
    snprintf(reason, reason_size, "%s", body == NULL ? "" : body + 4);
    reason[strcspn(reason, "\n")] = '\0';
    return ANSWER_REFUSED;
}

static enum answer exchange(int fd, const char *path, const char *body, size_t length, long deadline, char *reason,
                            size_t reason_size) {
    /* With HTTP/1.0 the answer comes in one piece, and then the connection ends. */
    char head[512];
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.0\r\nHost: agent\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                     path, length);
    static char text[LONGEST_ANSWER + 1];
    if (!send_all(fd, head, (size_t)n, deadline) || !send_all(fd, body, length, deadline)) return ANSWER_BROKEN;
    ssize_t got = receive_all(fd, text, LONGEST_ANSWER, deadline);
    if (got <= 0) return ANSWER_BROKEN;
    text[got] = '\0';
    return judge(text, reason, reason_size);
}

enum answer ask_agent(const char *folder, const char *path, const char *body, size_t length, int milliseconds, char *reason,
                      size_t reason_size) {
    long deadline = now_ms() + milliseconds;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, socket_name);
    if (n < 0 || (size_t)n >= sizeof address.sun_path) return ANSWER_NOBODY;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return ANSWER_BROKEN;
    enum answer answer = ANSWER_BROKEN;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        answer = exchange(fd, path, body, length, deadline, reason, reason_size);
    } else if (errno == ENOENT || errno == ECONNREFUSED) {
        answer = ANSWER_NOBODY;
    }
    close(fd);
    return answer;
}
