// burst THREADS COUNT: COUNT connections that are all open at once, each to a destination of its own (see destination), made by
// non-blocking connects. Only when all are up or have failed are the answers read; each must name its destination.
#include "common.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { timeout_ms = 20000, answer_size = 512 };

struct connection {
  int fd, up;
  size_t got;
  char answer[answer_size];
};

static int threads, count;
static struct connection *connections;
static atomic_int open_at_once, failed, wrong;
static pthread_barrier_t all_started, all_up;

// Waits for `events` of the connections from `first` in steps of `threads`, until `done` has been true of each, or time is up.
static void until_all(int first, short events, int (*done)(struct connection *)) {
  struct pollfd *p = calloc(count, sizeof *p);
  int n = 0, left = 0;
  for (int i = first; i < count; i += threads) {
    left += connections[i].fd >= 0;
    p[n++] = (struct pollfd){.fd = connections[i].fd, .events = events};
  }
  for (const double end = now_ms() + timeout_ms; left > 0 && now_ms() < end;) {
    if (poll(p, n, 1000) < 0) break;
    for (int k = 0; k < n; k++) {
      if (p[k].fd < 0 || p[k].revents == 0 || !done(&connections[first + k * threads])) continue;
      p[k].fd = -1; // poll passes over it
      left--;
    }
  }
  free(p);
}

static int connected(struct connection *c) {
  int err = 0;
  socklen_t size = sizeof err;
  c->up = getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err == 0;
  return 1;
}

static int answered(struct connection *c) {
  const ssize_t n = c->up ? read(c->fd, c->answer + c->got, answer_size - 1 - c->got) : 0;
  if (n > 0) c->got += n;
  return n == 0 || (n < 0 && errno != EAGAIN);
}

static void *work(void *first_index) {
  const int first = (int)(long)first_index;
  pthread_barrier_wait(&all_started);
  for (int i = first; i < count; i += threads) {
    const struct address to = destination(i);
    connections[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(connections[i].fd, (const struct sockaddr *)&to.storage, to.size) < 0 && errno != EINPROGRESS) {
      close(connections[i].fd);
      connections[i].fd = -1;
    }
  }
  until_all(first, POLLOUT, connected);
  for (int i = first; i < count; i += threads) atomic_fetch_add(&open_at_once, connections[i].up);
  pthread_barrier_wait(&all_up);
  until_all(first, POLLIN, answered);
  for (int i = first; i < count; i += threads) {
    if (connections[i].got == 0) atomic_fetch_add(&failed, 1);
    else if (!names(connections[i].answer, destination(i))) atomic_fetch_add(&wrong, 1);
    close(connections[i].fd);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  threads = atoi(argv[1]);
  count = atoi(argv[2]);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  connections = calloc(count, sizeof *connections);
  pthread_t *t = calloc(threads, sizeof *t);
  pthread_barrier_init(&all_started, 0, threads);
  pthread_barrier_init(&all_up, 0, threads);
  for (long i = 0; i < threads; i++) pthread_create(&t[i], 0, work, (void *)i);
  for (int i = 0; i < threads; i++) pthread_join(t[i], 0);
  printf("{\"openAtOnce\":%d,\"failed\":%d,\"wrong\":%d}\n", open_at_once, failed, wrong);
  return 0;
}
