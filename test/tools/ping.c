// ping IP: one ICMP echo request over a raw socket; prints {"reply":true} when its answer comes within a second.
#include "common.h"

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  const struct address to = parse(argv[1], 0);
  const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  set_timeout(fd, 1);
  // Type 8, identifier 7, sequence 1, and the checksum over these four words.
  const unsigned char request[8] = {8, 0, 0xf7, 0xf7, 0, 7, 0, 1};
  unsigned char reply[256] = {0};
  int replied = 0;
  if (sendto(fd, request, sizeof request, 0, (const struct sockaddr *)&to.storage, to.size) == sizeof request) {
    while (!replied) {
      const ssize_t n = recv(fd, reply, sizeof reply, 0);
      if (n < 0) break;
      const unsigned char *icmp = reply + (reply[0] & 15) * 4; // after the IP header
      replied = n >= 28 && icmp[0] == 0 && icmp[5] == 7;
    }
  }
  printf("{\"reply\":%s}\n", replied ? "true" : "false");
  return 0;
}
