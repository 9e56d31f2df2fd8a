#include "listener.h"
#include "loop.h"
#include "tcp-end.h"
#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace aq {

// Connections of one turn, so that a burst does not hold up what is open.
static constexpr int kAccepts = 64;

Listener::~Listener() {
  if (fd_ >= 0) ::close(fd_);
}

void Listener::watch() {
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
  // Not by edges: what one turn leaves in the backlog is seen in the next.
  loop_.watch(fd_, this, EPOLLIN);
}

void Listener::onEvents(uint32_t) {
  for (int i = 0; i < kAccepts && !dead; i++) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = accept4(fd_, reinterpret_cast<sockaddr *>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE) loop_.refuseWithoutDescriptor(fd_);
      else if (errno != EAGAIN)
        loop_.event({.type = int(Event::acceptFailed), .slot = id.slot, .generation = id.generation, .a = errno});
      return;
    }
    char text[INET6_ADDRSTRLEN] = "";
    uint16_t port = 0;
    if (from.ss_family == AF_INET) {
      const auto *v4 = reinterpret_cast<const sockaddr_in *>(&from);
      inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
      port = ntohs(v4->sin_port);
    } else if (from.ss_family == AF_INET6) {
      const auto *v6 = reinterpret_cast<const sockaddr_in6 *>(&from);
      if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text);
      else inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
      port = ntohs(v6->sin6_port);
    }
    auto *end = new TcpEnd(loop_, fd);
    loop_.objects().add(end);
    end->watch();
    std::vector<uint8_t> bytes;
    putPiece(bytes, text);
    putPiece(bytes, std::to_string(port));
    if (!plans.empty() && OutPlan::serve(loop_, *this, *end, fd, text, port, bytes)) continue;
    loop_.event({.type = int(Event::accepted),
                 .slot = id.slot,
                 .generation = id.generation,
                 .a = end->id.slot,
                 .b = end->id.generation,
                 .c = fd},
                bytes);
  }
}

void Listener::close() {
  if (dead) return;
  // The supervisor and a successor have duplicates, which keep what is closed in our epoll.
  loop_.unwatch(fd_);
  ::close(std::exchange(fd_, -1));
  // They end as who asks does, with whom nobody else would.
  loop_.giveUpAttemptsOf(id);
  // Behind the last that was accepted.
  loop_.event({.type = int(Event::closed), .slot = id.slot, .generation = id.generation});
  loop_.bury(this);
}

} // namespace aq
