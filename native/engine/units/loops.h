// Loops as JavaScript drives them, and sockets between them and apps.
#pragma once
#include "../loop/loop.h"
#include "certificates.h"
#include "check.h"
#include <arpa/inet.h>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace aq::units {

struct Told {
  Message m;
  std::string bytes;
  Id of() const { return {m.a, m.b}; }
  std::vector<int32_t> numbers() const {
    std::vector<int32_t> all(bytes.size() / 4);
    if (!all.empty()) memcpy(all.data(), bytes.data(), all.size() * 4);
    return all;
  }
};

class Driver {
public:
  Driver() : loop_([this] {
    const std::lock_guard lock(mutex_);
    waits_ = true;
    came_.notify_one();
  }) {}

  Id name() { return {~next_++, 1}; }
  int32_t add(Role role, const TunnelLimits &limits = {}) { return loop_.addContext(context(role), limits); }
  void send(Command type, Id to, int a = 0, int b = 0, int c = 0, std::string_view bytes = {}) {
    const Message m{int(type), to.slot, to.generation, a, b, c, 0, uint32_t(bytes.size())};
    loop_.submit(&m, 1, reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
  }
  /** The first event of one of these types; what comes before it stays. Fails after half a minute: then it never comes. */
  Told wait(Id id, std::initializer_list<Event> types) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      take();
      for (auto it = told.begin(); it != told.end(); ++it) {
        if (it->m.id() != id || std::find(types.begin(), types.end(), Event(it->m.type)) == types.end()) continue;
        const Told found = *it;
        told.erase(it);
        return found;
      }
      std::unique_lock lock(mutex_);
      if (!came_.wait_until(lock, limit, [&] { return waits_; })) failed(__FILE__, __LINE__, "an event did not come");
      waits_ = false;
    }
  }
  void take() {
    Batch batch;
    if (!loop_.take(batch)) return;
    for (const Message &m : batch.records) told.push_back({m, std::string(batch.text(m))});
  }
  double count(uint32_t index, int side) {
    return loop_.counterChunk(index / Loop::kCountersInChunk)[index % Loop::kCountersInChunk * 2 + size_t(side)];
  }
  std::deque<Told> told;

private:
  std::mutex mutex_;
  std::condition_variable came_;
  bool waits_ = false;
  int32_t next_ = 0;
  Loop loop_;
};

/** A TCP socket with small buffers, so that bytes wait in user space. */
inline int smallSocket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int size = 4096;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return fd;
}

inline uint16_t localPort(int fd) {
  sockaddr_in at{};
  socklen_t size = sizeof at;
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr *>(&at), &size) == 0);
  return ntohs(at.sin_port);
}

struct ListeningSocket {
  int fd = smallSocket();
  uint16_t port = 0;
  ListeningSocket() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof at) == 0 && ::listen(fd, 128) == 0);
    port = localPort(fd);
  }
};

inline int dialed(uint16_t port) {
  const int fd = smallSocket();
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  CHECK(::connect(fd, reinterpret_cast<sockaddr *>(&at), sizeof at) == 0 || errno == EINPROGRESS);
  return fd;
}

inline int accepted(int listener) {
  for (int tries = 0; tries < 10'000; tries++) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return fd;
    usleep(1000);
  }
  failed(__FILE__, __LINE__, "nobody connects");
}

} // namespace aq::units
