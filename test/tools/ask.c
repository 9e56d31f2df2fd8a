// ask [option...] IP PORT [IP PORT]...: sends the DNS question "example.test A" to each server over one UDP socket and prints
// where each answer came from.   --connect   --bind IP PORT   --device NAME   --repeat (ask again while no answer comes, 3 times)
#include "common.h"

static const unsigned char question[] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p',
                                         'l', 'e', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};

int main(int argc, char **argv) {
  int i = 1, connected = 0, fd = -1, attempts = 1;
  const char *bind_ip = 0, *device = 0;
  int bind_port = 0;
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--connect") == 0) connected = 1;
    else if (strcmp(argv[i], "--repeat") == 0) attempts = 3;
    else if (strcmp(argv[i], "--device") == 0) device = argv[++i];
    else if (strcmp(argv[i], "--bind") == 0) {
      bind_ip = argv[i + 1];
      bind_port = atoi(argv[i + 2]);
      i += 2;
    } else return 2;
  }
  const int first = i;
  printf("[");
  for (int attempt = 0; attempt < attempts; attempt++) {
    for (i = first; i + 1 < argc; i += 2) {
      const struct address to = parse(argv[i], atoi(argv[i + 1]));
      if (fd < 0) {
        fd = socket(to.storage.ss_family, SOCK_DGRAM, 0);
        set_timeout(fd, 1);
        if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)) < 0) perror("SO_BINDTODEVICE");
        if (bind_ip) {
          const struct address a = parse(bind_ip, bind_port);
          if (bind(fd, (const struct sockaddr *)&a.storage, a.size) < 0) perror("bind");
        }
      }
      ssize_t sent;
      if (connected) {
        sent = connect(fd, (const struct sockaddr *)&to.storage, to.size) < 0 ? -1 : send(fd, question, sizeof question, 0);
      } else {
        sent = sendto(fd, question, sizeof question, 0, (const struct sockaddr *)&to.storage, to.size);
      }
      if (sent < 0) {
        printf("%s{\"error\":\"%s\"}", i > first ? "," : "", errno_name(errno));
        continue;
      }
    }
    int answers = 0;
    for (i = first; i + 1 < argc; i += 2) {
      char buffer[2048], from_text[80], peer[80] = "";
      struct address from = {.size = sizeof from.storage};
      const ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from.storage, &from.size);
      if (n < 0 && attempt + 1 < attempts) break;
      if (answers++) printf(",");
      if (n < 0) {
        printf("{\"error\":\"%s\"}", errno_name(errno));
        continue;
      }
      if (connected) peer_name(fd, peer);
      printf("{\"from\":\"%s\",\"peer\":\"%s\",\"bytes\":%zd}", format(&from, from_text), peer, n);
    }
    if (answers) break;
  }
  printf("]\n");
  return 0;
}
