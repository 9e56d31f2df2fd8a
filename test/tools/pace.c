// pace ADDRESS PORT CONNECTIONS RATE SECONDS: GET / at a fixed rate, whether or not answers come (an open loop), over keep-alive
// connections. A request that finds none free waits for one, and its latency counts from the moment it was due. Prints
// {"route": VALUE, "at": NANOSECONDS of CLOCK_MONOTONIC} at each change of the answers' x-route header, and at the end, after SECONDS or, where
// that is 0, when stdin ends, one line with what became of all requests. Lost is what got no answer of status 200.
#include "common.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { head_size = 16384, patience_s = 10 };

struct connection {
  int fd, busy, up, closing, opened; // opened: how often
  int64_t due;
  size_t got;
  long body; // left of it; -1: the head is not complete, -2: it is chunked
  int status;
  char tail[8]; // of a chunked body
  char head[head_size];
};

static struct address server;
static int ep, count;
static struct connection *connections;
static char request[256], route[128] = "-";
static int64_t *waiting; // due times, a ring
static size_t first_waiting, waiting_count, waiting_room = 1 << 16;
static uint32_t *latencies;
static size_t answered, latency_room = 1 << 16, lost, sent;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void open_connection(struct connection *c) {
  c->fd = socket(server.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  c->busy = c->up = c->closing = 0;
  c->opened++;
  const int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connect(c->fd, (struct sockaddr *)&server.storage, server.size);
  epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c});
}

static void reopen(struct connection *c) {
  if (c->busy) lost++;
  close(c->fd);
  open_connection(c);
}

static void ask(struct connection *c, int64_t due) {
  c->busy = 1;
  c->due = due;
  c->got = 0;
  c->body = -1;
  sent++;
  if (write(c->fd, request, strlen(request)) != (ssize_t)strlen(request)) reopen(c);
}

static void ask_waiting(struct connection *c) {
  if (!c->up || c->busy || waiting_count == 0) return;
  const int64_t due = waiting[first_waiting];
  first_waiting = (first_waiting + 1) % waiting_room;
  waiting_count--;
  ask(c, due);
}

static void is_due(int64_t due) {
  for (int i = 0, at = sent % count; i < count; i++, at = (at + 1) % count) {
    if (!connections[at].up || connections[at].busy) continue;
    ask(&connections[at], due);
    return;
  }
  if (waiting_count == waiting_room) {
    sent++;
    lost++;
    return;
  }
  waiting[(first_waiting + waiting_count++) % waiting_room] = due;
}

static const char *header(const char *head, const char *name) {
  const size_t length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
    if (strncasecmp(line + 2, name, length) == 0) return line + 2 + length + strspn(line + 2 + length, " ");
  return NULL;
}

static void note_route(const char *head) {
  const char *value = header(head, "x-route:");
  const size_t length = value == NULL ? 0 : strcspn(value, "\r");
  if (length >= sizeof route || (strncmp(route, value == NULL ? "" : value, length) == 0 && route[length] == 0)) return;
  memcpy(route, value == NULL ? "" : value, length);
  route[length] = 0;
  printf("{\"route\":\"%s\",\"at\":%lld}\n", route, (long long)now_ns());
  fflush(stdout);
}

static void is_answered(struct connection *c) {
  if (answered == latency_room) latencies = realloc(latencies, (latency_room *= 2) * sizeof *latencies);
  if (c->status == 200) latencies[answered++] = (now_ns() - c->due) / 1000;
  else lost++;
  c->busy = 0;
  if (c->closing) reopen(c);
  else ask_waiting(c);
}

// Nothing follows the last chunk, since no other request was sent; trailers are not expected.
static int take_chunks(struct connection *c, const char *bytes, size_t size) {
  char last[14];
  const size_t kept = size < 7 ? size : 7;
  memcpy(last, c->tail, 7);
  memcpy(last + 7, bytes + size - kept, kept);
  memcpy(c->tail, last + kept, 7);
  if (memcmp(c->tail, "\r\n0\r\n\r\n", 7) == 0) is_answered(c);
  return 1;
}

// False: what came is no answer.
static int take(struct connection *c, const char *bytes, size_t size) {
  if (c->body == -1) {
    if (c->got + size >= head_size) return 0;
    memcpy(c->head + c->got, bytes, size);
    c->got += size;
    c->head[c->got] = 0;
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) return 1;
    const char *length = header(c->head, "content-length:"), *connection = header(c->head, "connection:");
    if (sscanf(c->head, "HTTP/1.1 %d", &c->status) != 1) return 0;
    if (length == NULL && header(c->head, "transfer-encoding: chunked") == NULL) return 0;
    c->closing = connection != NULL && strncasecmp(connection, "close", 5) == 0;
    c->body = length == NULL ? -2 : atol(length);
    size = c->head + c->got - (end + 4);
    bytes = end + 4;
    memcpy(c->tail, "xxxxx\r\n", 8);
    c->head[end + 2 - c->head] = 0;
    note_route(c->head);
  }
  if (c->body == -2) return take_chunks(c, bytes, size);
  c->body -= size;
  if (c->body < 0) return 0;
  if (c->body == 0) is_answered(c);
  return 1;
}

static void is_ready(struct connection *c, uint32_t events) {
  static char bytes[65536];
  if (!c->up && (events & EPOLLOUT) && !(events & (EPOLLERR | EPOLLHUP))) {
    c->up = 1;
    ask_waiting(c);
  }
  for (const int opened = c->opened; opened == c->opened;) {
    const ssize_t n = read(c->fd, bytes, sizeof bytes);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || !c->busy || !take(c, bytes, n)) {
      // Not at once: a server that refuses would be asked without end.
      if (!c->up) usleep(1000);
      reopen(c);
      return;
    }
  }
}

static int by_size(const void *a, const void *b) {
  return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : *(const uint32_t *)a > *(const uint32_t *)b;
}

static uint32_t percentile(double p) {
  return answered == 0 ? 0 : latencies[(size_t)((answered - 1) * p)];
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: pace ADDRESS PORT CONNECTIONS RATE SECONDS\n");
    return 2;
  }
  server = parse(argv[1], atoi(argv[2]));
  count = atoi(argv[3]);
  const double rate = atof(argv[4]), seconds = atof(argv[5]);
  snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", argv[1]);
  ep = epoll_create1(0);
  connections = calloc(count, sizeof *connections);
  waiting = calloc(waiting_room, sizeof *waiting);
  latencies = calloc(latency_room, sizeof *latencies);
  for (int i = 0; i < count; i++) open_connection(&connections[i]);
  if (seconds == 0) epoll_ctl(ep, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
  const int64_t begin = now_ns() + 100000000; // connections are made meanwhile
  int64_t next = 0, end = seconds == 0 ? INT64_MAX / 2 : begin + (int64_t)(seconds * 1e9);
  int busy = 1;
  while (busy || begin + (int64_t)(next * (1e9 / rate)) < end) {
    int64_t now = now_ns(), due = begin + (int64_t)(next * (1e9 / rate));
    for (; due <= now && due < end; due = begin + (int64_t)(++next * (1e9 / rate))) is_due(due);
    if (now >= end + patience_s * 1000000000LL) break;
    const int64_t until = due < end ? due : now + 10000000;
    const struct timespec timeout = {.tv_nsec = until - now > 999999999 ? 999999999 : until - now};
    struct epoll_event events[64];
    const int n = epoll_pwait2(ep, events, 64, &timeout, NULL);
    for (int i = 0; i < n; i++) {
      char ignored[256];
      if (events[i].data.ptr != NULL) is_ready(events[i].data.ptr, events[i].events);
      else if (read(0, ignored, sizeof ignored) <= 0) {
        epoll_ctl(ep, EPOLL_CTL_DEL, 0, NULL);
        end = now_ns();
      }
    }
    busy = waiting_count > 0;
    for (int i = 0; i < count; i++) busy |= connections[i].busy;
  }
  for (int i = 0; i < count; i++) lost += connections[i].busy;
  lost += waiting_count;
  sent += waiting_count;
  qsort(latencies, answered, sizeof *latencies, by_size);
  printf("{\"sent\":%zu,\"lost\":%zu,\"p50\":%u,\"p99\":%u,\"max\":%u}\n", sent, lost, percentile(0.5), percentile(0.99), percentile(1));
  return 0;
}
