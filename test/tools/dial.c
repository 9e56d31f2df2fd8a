// dial IP PORT [option...]: connects by TCP, reads until the end, and prints what it saw.
//   --bind IP PORT   --nonblock   --device NAME   --mark N   --mptcp   --tfo   --send TEXT   --timeout SECONDS
//   --again IP PORT  the same socket once more, after connect(AF_UNSPEC)
#include "common.h"
#include <fcntl.h>
#include <poll.h>

static const char *text_to_send;
static int nonblock, tfo, timeout_s = 4;

static int connect_tfo(int fd, const struct address *to) {
  return sendto(fd, "x", 1, MSG_FASTOPEN, (const struct sockaddr *)&to->storage, to->size) < 0 ? errno : 0;
}

static int connect_nonblock(int fd, const struct address *to, int *immediate) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  *immediate = connect(fd, (const struct sockaddr *)&to->storage, to->size) < 0 ? errno : 0;
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  int err = 0;
  socklen_t size = sizeof err;
  if (*immediate == EINPROGRESS) {
    if (poll(&p, 1, timeout_s * 1000) == 0) err = ETIMEDOUT;
    else getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
  } else {
    err = *immediate;
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return err;
}

static void once(int fd, const struct address *to) {
  char peer[80], self[80], data[4096] = "";
  int immediate = 0, err;
  const double start = now_ms();
  if (tfo) err = connect_tfo(fd, to);
  else if (nonblock) err = connect_nonblock(fd, to, &immediate);
  else err = connect(fd, (const struct sockaddr *)&to->storage, to->size) < 0 ? errno : 0;
  const double took = now_ms() - start;
  size_t got = 0;
  int read_err = 0;
  if (err == 0) {
    peer_name(fd, peer);
    self_name(fd, self);
    if (text_to_send && write(fd, text_to_send, strlen(text_to_send)) < 0) read_err = errno;
    for (ssize_t n; got < sizeof data && (n = read(fd, data + got, sizeof data - got)) != 0; got += n) {
      if (n < 0) {
        read_err = errno;
        break;
      }
    }
  }
  printf("{\"error\":\"%s\",\"immediate\":\"%s\",\"readError\":\"%s\",\"peer\":\"%s\",\"self\":\"%s\",\"ms\":%.1f,\"totalMs\":%.1f,\"data\":\"",
         errno_name(err), errno_name(immediate), errno_name(read_err), err ? "" : peer, err ? "" : self, took,
         now_ms() - start);
  print_escaped(data, got);
  printf("\"}\n");
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const struct address to = parse(argv[1], atoi(argv[2]));
  int protocol = 0;
  for (int i = 3; i < argc; i++) {
    if (strcmp(argv[i], "--mptcp") == 0) protocol = 262;
  }
  const int fd = socket(to.storage.ss_family, SOCK_STREAM, protocol);
  if (fd < 0) {
    printf("{\"error\":\"%s\",\"syscall\":\"socket\"}\n", errno_name(errno));
    return 0;
  }
  int again = 0;
  for (int i = 3; i < argc; i++) {
    int failed = 0;
    if (strcmp(argv[i], "--bind") == 0) {
      const struct address a = parse(argv[i + 1], atoi(argv[i + 2]));
      failed = bind(fd, (const struct sockaddr *)&a.storage, a.size);
      i += 2;
    } else if (strcmp(argv[i], "--device") == 0) {
      i++;
      failed = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, argv[i], strlen(argv[i]));
    } else if (strcmp(argv[i], "--mark") == 0) {
      const int mark = strtol(argv[++i], 0, 0);
      failed = setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    } else if (strcmp(argv[i], "--nonblock") == 0) nonblock = 1;
    else if (strcmp(argv[i], "--tfo") == 0) tfo = 1;
    else if (strcmp(argv[i], "--send") == 0) text_to_send = argv[++i];
    else if (strcmp(argv[i], "--timeout") == 0) timeout_s = atoi(argv[++i]);
    else if (strcmp(argv[i], "--again") == 0) {
      again = i + 1;
      i += 2;
    } else if (strcmp(argv[i], "--mptcp") != 0) {
      fprintf(stderr, "unknown option %s\n", argv[i]);
      return 2;
    }
    if (failed) {
      printf("{\"error\":\"%s\",\"syscall\":\"%s\"}\n", errno_name(errno), argv[i]);
      return 0;
    }
  }
  set_timeout(fd, timeout_s);
  once(fd, &to);
  if (again) {
    const struct sockaddr unspec = {.sa_family = AF_UNSPEC};
    if (connect(fd, &unspec, sizeof unspec) < 0) perror("connect(AF_UNSPEC)");
    const struct address next = parse(argv[again], atoi(argv[again + 1]));
    once(fd, &next);
  }
  return 0;
}
