// Addresses in text, errno names and time for the test programs.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct address {
  struct sockaddr_storage storage;
  socklen_t size;
};

static inline struct address parse(const char *ip, int port) {
  struct address a = {0};
  struct sockaddr_in *in = (struct sockaddr_in *)&a.storage;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.storage;
  if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    a.size = sizeof *in;
  } else if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1) {
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    a.size = sizeof *in6;
  } else {
    fprintf(stderr, "%s is no IP address\n", ip);
    exit(2);
  }
  return a;
}

static inline const char *format(const struct address *a, char text[80]) {
  char ip[64];
  if (a->storage.ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->storage;
    snprintf(text, 80, "%s:%d", inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip), ntohs(in->sin_port));
  } else {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->storage;
    snprintf(text, 80, "[%s]:%d", inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip), ntohs(in6->sin6_port));
  }
  return text;
}

// A destination of its own for each index below 50,000, in 10.98.0.0/16.
static inline struct address destination(int index) {
  char ip[32];
  snprintf(ip, sizeof ip, "10.98.%d.%d", index / 200 % 250, 1 + index % 200);
  return parse(ip, 1000 + index % 60000);
}

// Whether the test proxy's answer says that this is where the connection went.
static inline int names(const char *answer, struct address to) {
  char text[80], quoted[96];
  snprintf(quoted, sizeof quoted, "\"to\":\"%s\"", format(&to, text));
  return strstr(answer, quoted) != 0;
}

static inline const char *self_name(int fd, char text[80]) {
  struct address a = {.size = sizeof a.storage};
  return getsockname(fd, (struct sockaddr *)&a.storage, &a.size) == 0 ? format(&a, text) : "";
}

static inline const char *peer_name(int fd, char text[80]) {
  struct address a = {.size = sizeof a.storage};
  return getpeername(fd, (struct sockaddr *)&a.storage, &a.size) == 0 ? format(&a, text) : "";
}

static inline const char *errno_name(int e) { return e == 0 ? "" : strerrorname_np(e); }

static inline double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static inline void set_timeout(int fd, int seconds) {
  const struct timeval t = {.tv_sec = seconds};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

// Text as the inside of a JSON string: quotes and backslashes escaped, control characters dropped.
static inline void print_escaped(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (text[i] == '"' || text[i] == '\\') putchar('\\');
    if ((unsigned char)text[i] >= ' ') putchar(text[i]);
  }
}
