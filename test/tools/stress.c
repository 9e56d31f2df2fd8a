// stress THREADS COUNT: COUNT connections in all, each to an address and port of its own in 10.98.0.0/16, and checks that the
// answer names that very destination. COUNT 0 goes on until standard input ends.
#include "common.h"
#include <pthread.h>
#include <stdatomic.h>

static atomic_int next_index, finished, failed, wrong, stop;
static int limit;

static void one(int index) {
  char ip[32], expected[80], data[512];
  snprintf(ip, sizeof ip, "10.98.%d.%d", index / 200 % 250, 1 + index % 200);
  const struct address to = parse(ip, 1000 + index % 60000);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  set_timeout(fd, 10);
  size_t got = 0;
  int ok = connect(fd, (const struct sockaddr *)&to.storage, to.size) == 0;
  for (ssize_t n; ok && got < sizeof data - 1 && (n = read(fd, data + got, sizeof data - 1 - got)) != 0; got += n) {
    if (n < 0) ok = 0;
    if (n < 0) break;
  }
  data[got] = 0;
  char quoted[96];
  snprintf(quoted, sizeof quoted, "\"to\":\"%s\"", format(&to, expected));
  if (!ok) atomic_fetch_add(&failed, 1);
  else if (!strstr(data, quoted)) atomic_fetch_add(&wrong, 1);
  atomic_fetch_add(&finished, 1);
  close(fd);
}

static void *work(void *unused) {
  (void)unused;
  for (;;) {
    const int index = atomic_fetch_add(&next_index, 1);
    if ((limit > 0 && index >= limit) || atomic_load(&stop)) return 0;
    one(index);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const int threads = atoi(argv[1]);
  limit = atoi(argv[2]);
  pthread_t t[64];
  for (int i = 0; i < threads && i < 64; i++) pthread_create(&t[i], 0, work, 0);
  if (limit == 0) {
    char c;
    while (read(0, &c, 1) > 0) {}
    atomic_store(&stop, 1);
  }
  for (int i = 0; i < threads && i < 64; i++) pthread_join(t[i], 0);
  printf("{\"connections\":%d,\"failed\":%d,\"wrong\":%d}\n", finished, failed, wrong);
  return 0;
}
