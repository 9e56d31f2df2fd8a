// serve TCP_PORT UDP_PORT: a dual-stack app. Prints {"ready":true}, then answers each TCP connection with the client's address as
// accept(2) and getpeername(2) tell it and what the client sent first, and each datagram with its sender's address.
#include "common.h"
#include <poll.h>

static int bound(int type, int port) {
  const int fd = socket(AF_INET6, type, 0), yes = 1, no = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  const struct address a = parse("::", port);
  if (bind(fd, (const struct sockaddr *)&a.storage, a.size) < 0 || (type == SOCK_STREAM && listen(fd, 512) < 0)) {
    perror("bind");
    exit(1);
  }
  return fd;
}

static void answer_connection(int listener) {
  struct address from = {.size = sizeof from.storage};
  const int fd = accept(listener, (struct sockaddr *)&from.storage, &from.size);
  if (fd < 0) return;
  char first[256] = "", accepted[80], peer[80], reply[768];
  set_timeout(fd, 2);
  const ssize_t n = read(fd, first, sizeof first - 1);
  first[n > 0 ? n : 0] = 0;
  const int size = snprintf(reply, sizeof reply, "{\"app\":\"%s\",\"getpeername\":\"%s\",\"got\":\"%s\"}",
                            format(&from, accepted), peer_name(fd, peer), first);
  if (write(fd, reply, size) < 0) perror("write");
  close(fd);
}

static void answer_datagram(int fd) {
  char data[2048], text[80];
  struct address from = {.size = sizeof from.storage};
  if (recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from.storage, &from.size) < 0) return;
  format(&from, text);
  sendto(fd, text, strlen(text), 0, (const struct sockaddr *)&from.storage, from.size);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct pollfd p[2] = {{.fd = bound(SOCK_STREAM, atoi(argv[1])), .events = POLLIN},
                        {.fd = bound(SOCK_DGRAM, atoi(argv[2])), .events = POLLIN}};
  printf("{\"ready\":true}\n");
  fflush(stdout);
  while (poll(p, 2, -1) > 0) {
    if (p[0].revents) answer_connection(p[0].fd);
    if (p[1].revents) answer_datagram(p[1].fd);
  }
  return 0;
}
