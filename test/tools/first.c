// first IP PORT MARKER [stay]: connects in its first instruction, sends the marker and waits for the greeting. Prints one JSON object,
// the times in ms since the epoch, and exits with 1 when there was no answer within 10 s; with `stay` it does not end.
#include "common.h"

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  struct address to = parse(argv[1], atoi(argv[2]));
  int s = socket(to.storage.ss_family, SOCK_STREAM, 0);
  struct timeval patience = {10, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  long long began = now();
  char answer[512] = "";
  int error = connect(s, (struct sockaddr *)&to.storage, to.size) == 0 ? 0 : errno;
  if (error == 0 && send(s, argv[3], strlen(argv[3]), MSG_NOSIGNAL) < 0) error = errno;
  ssize_t n = error == 0 ? recv(s, answer, sizeof answer - 1, 0) : -1;
  if (error == 0 && n < 0) error = errno;
  printf("{\"began\":%lld,\"answered\":%lld,\"bytes\":%zd,\"error\":%d}\n", began, now(), n, error);
  fflush(stdout);
  if (argc > 4) pause();
  return n > 0 ? 0 : 1;
}
