// The linker sends what the program's own objects call here (-Wl,--wrap): the libraries' calls are as ever.
#include "faults.h"
#include <algorithm>
#include <cerrno>
#include <map>
#include <netinet/in.h>
#include <mutex>
#include <random>
#include <set>
#include <span>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <vector>

extern "C" {
ssize_t __real_recv(int fd, void *to, size_t size, int flags);
ssize_t __real_readv(int fd, const iovec *pieces, int count);
ssize_t __real_send(int fd, const void *from, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const msghdr *message, int flags);
int __real_connect(int fd, const sockaddr *to, socklen_t size);
int __real_accept4(int fd, sockaddr *from, socklen_t *size, int flags);
int __real_epoll_ctl(int epoll, int what, int fd, epoll_event *event);
int __real_epoll_wait(int epoll, epoll_event *events, int most, int timeout);
}

namespace {

using Watch = std::pair<int, int>;

std::mutex mutex;
bool on = false;
aq::units::FaultRates rates;
std::mt19937 numbers;
uint64_t made = 0;
/** By epoll and descriptor: what is watched, since it began to be. */
std::map<Watch, epoll_event> watched;
/** Whose next edge would not come: the kernel believes that it was told. */
std::set<Watch> owed;
thread_local bool spared = false;

bool happens(uint32_t rate) {
  if (!on || spared || numbers() % 1000 >= rate) return false;
  made++;
  return true;
}

int oneOf(std::span<const int> errors) { return errors[numbers() % errors.size()]; }

void owe(int fd) {
  for (const auto &[watch, event] : watched)
    if (watch.second == fd) owed.insert(watch);
}

bool isMeant(int fd) {
  if (rates.port == 0) return true;
  sockaddr_in to{};
  socklen_t size = sizeof to;
  return ::getpeername(fd, reinterpret_cast<sockaddr *>(&to), &size) == 0 && to.sin_family == AF_INET && ntohs(to.sin_port) == rates.port;
}

enum class Outcome { fails, isShort, passes };

/** Sets errno where it fails; `most` becomes less where it is short. */
Outcome outcome(int fd, size_t &most, std::span<const int> errors) {
  const std::lock_guard lock(mutex);
  if (!isMeant(fd)) return Outcome::passes;
  if (happens(rates.broken)) {
    // A connection that has told such an error has ended for who asks again.
    (void)::shutdown(fd, SHUT_RDWR);
    errno = oneOf(errors);
    return Outcome::fails;
  }
  if (!happens(rates.delayed)) return Outcome::passes;
  const uint32_t kind = numbers() % 3;
  if (kind == 0) {
    errno = EINTR;
    return Outcome::fails;
  }
  owe(fd);
  if (kind == 1 || most < 2) {
    errno = EAGAIN;
    return Outcome::fails;
  }
  most = 1 + numbers() % (most - 1);
  return Outcome::isShort;
}

/** The first `most` bytes of pieces. */
std::vector<iovec> firstOf(const iovec *pieces, size_t count, size_t most) {
  std::vector<iovec> first;
  for (size_t i = 0; i < count && most > 0; i++) {
    const size_t size = std::min(most, pieces[i].iov_len);
    first.push_back({pieces[i].iov_base, size});
    most -= size;
  }
  return first;
}

size_t sizeOf(const iovec *pieces, size_t count) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++) size += pieces[i].iov_len;
  return size;
}

constexpr int kReadErrors[] = {ECONNRESET, ETIMEDOUT};
constexpr int kWriteErrors[] = {ECONNRESET, EPIPE, ETIMEDOUT};
constexpr int kConnectErrors[] = {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL};
constexpr int kAcceptErrors[] = {EMFILE, ENOMEM, ECONNABORTED, EINTR};
constexpr int kWatchErrors[] = {ENOMEM, ENOSPC};

bool failsBy(uint32_t rate, std::span<const int> errors) {
  const std::lock_guard lock(mutex);
  if (!happens(rate)) return false;
  errno = oneOf(errors);
  return true;
}

} // namespace

extern "C" {

ssize_t __wrap_recv(int fd, void *to, size_t size, int flags) {
  if (outcome(fd, size, kReadErrors) == Outcome::fails) return -1;
  return __real_recv(fd, to, size, flags);
}

ssize_t __wrap_readv(int fd, const iovec *pieces, int count) {
  size_t most = sizeOf(pieces, size_t(count));
  switch (outcome(fd, most, kReadErrors)) {
  case Outcome::fails:
    return -1;
  case Outcome::isShort: {
    const auto first = firstOf(pieces, size_t(count), most);
    return __real_readv(fd, first.data(), int(first.size()));
  }
  default:
    return __real_readv(fd, pieces, count);
  }
}

ssize_t __wrap_send(int fd, const void *from, size_t size, int flags) {
  if (outcome(fd, size, kWriteErrors) == Outcome::fails) return -1;
  return __real_send(fd, from, size, flags);
}

ssize_t __wrap_sendmsg(int fd, const msghdr *message, int flags) {
  size_t most = sizeOf(message->msg_iov, message->msg_iovlen);
  switch (outcome(fd, most, kWriteErrors)) {
  case Outcome::fails:
    return -1;
  case Outcome::isShort: {
    auto first = firstOf(message->msg_iov, message->msg_iovlen, most);
    msghdr less = *message;
    less.msg_iov = first.data();
    less.msg_iovlen = first.size();
    return __real_sendmsg(fd, &less, flags);
  }
  default:
    return __real_sendmsg(fd, message, flags);
  }
}

int __wrap_connect(int fd, const sockaddr *to, socklen_t size) {
  return failsBy(rates.unreachable, kConnectErrors) ? -1 : __real_connect(fd, to, size);
}

int __wrap_accept4(int fd, sockaddr *from, socklen_t *size, int flags) {
  return failsBy(rates.unaccepted, kAcceptErrors) ? -1 : __real_accept4(fd, from, size, flags);
}

int __wrap_epoll_ctl(int epoll, int what, int fd, epoll_event *event) {
  if (what == EPOLL_CTL_ADD && failsBy(rates.unwatched, kWatchErrors)) return -1;
  const int result = __real_epoll_ctl(epoll, what, fd, event);
  if (result != 0) return result;
  const std::lock_guard lock(mutex);
  if (what == EPOLL_CTL_DEL) watched.erase({epoll, fd});
  else watched[{epoll, fd}] = *event;
  return 0;
}

int __wrap_epoll_wait(int epoll, epoll_event *events, int most, int timeout) {
  {
    const std::lock_guard lock(mutex);
    for (auto it = owed.lower_bound({epoll, 0}); it != owed.end() && it->first == epoll; it = owed.erase(it)) {
      const auto found = watched.find(*it);
      // Closed meanwhile, where that fails.
      if (found != watched.end()) (void)__real_epoll_ctl(epoll, EPOLL_CTL_MOD, it->second, &found->second);
    }
  }
  return __real_epoll_wait(epoll, events, most, timeout);
}

} // extern "C"

namespace aq::units {

Faults::Faults(uint32_t seed, FaultRates of) {
  const std::lock_guard lock(mutex);
  spared = true;
  numbers.seed(seed);
  rates = of;
  made = 0;
  on = true;
}

Faults::~Faults() {
  const std::lock_guard lock(mutex);
  on = false;
}

uint64_t Faults::count() const {
  const std::lock_guard lock(mutex);
  return made;
}

} // namespace aq::units
