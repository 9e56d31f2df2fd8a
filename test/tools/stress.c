// stress THREADS: one connection after another on each thread, each to a destination of its own (see destination), until standard
// input ends; every answer must name its destination.
#include "common.h"
#include <pthread.h>
#include <stdatomic.h>

enum { most_threads = 64 };

static atomic_int next_index, finished, failed, wrong, stop;

static void one(int index) {
  char data[512];
  const struct address to = destination(index);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  set_timeout(fd, 10);
  size_t got = 0;
  int ok = connect(fd, (const struct sockaddr *)&to.storage, to.size) == 0;
  for (ssize_t n; ok && got < sizeof data - 1 && (n = read(fd, data + got, sizeof data - 1 - got)) != 0; got += n) {
    if (n < 0) ok = 0;
    if (n < 0) break;
  }
  data[got] = 0;
  if (!ok) atomic_fetch_add(&failed, 1);
  else if (!names(data, to)) atomic_fetch_add(&wrong, 1);
  atomic_fetch_add(&finished, 1);
  close(fd);
}

static void *work(void *unused) {
  (void)unused;
  while (!atomic_load(&stop)) one(atomic_fetch_add(&next_index, 1));
  return 0;
}

int main(int argc, char **argv) {
  const int threads = argc == 2 ? atoi(argv[1]) : 0;
  if (threads < 1 || threads > most_threads) return 2;
  pthread_t t[most_threads];
  for (int i = 0; i < threads; i++) pthread_create(&t[i], 0, work, 0);
  char c;
  while (read(0, &c, 1) > 0) {}
  atomic_store(&stop, 1);
  for (int i = 0; i < threads; i++) pthread_join(t[i], 0);
  printf("{\"connections\":%d,\"failed\":%d,\"wrong\":%d}\n", finished, failed, wrong);
  return 0;
}
