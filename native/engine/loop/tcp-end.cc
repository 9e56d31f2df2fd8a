#include "tcp-end.h"
#include "loop.h"
#include "stream-end.h"
#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace aq {

// What one connection may read ahead while the budget of all is spent.
static constexpr size_t kLittle = 16 * 1024;

TcpEnd::~TcpEnd() {
  loop_.rows().unread.tell(unread_, 0);
  if (fd_ >= 0) ::close(fd_);
}

void TcpEnd::watch() { loop_.watch(fd_, this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET); }

bool TcpEnd::bindTo(std::string_view ip) {
  const int on = 1;
  setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  const std::string text(ip);
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    return ::bind(fd_, reinterpret_cast<sockaddr *>(&v4), sizeof v4) == 0;
  }
  sockaddr_in6 v6{};
  inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr);
  v6.sin6_family = AF_INET6;
  return ::bind(fd_, reinterpret_cast<sockaddr *>(&v6), sizeof v6) == 0;
}

void TcpEnd::dial(std::string_view ip, uint16_t port) {
  const std::string text(ip);
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  int result;
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    result = ::connect(fd_, reinterpret_cast<sockaddr *>(&v4), sizeof v4);
  } else {
    inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    result = ::connect(fd_, reinterpret_cast<sockaddr *>(&v6), sizeof v6);
  }
  // Where it has connected at once, too, the next turn says so: what is to become of it may stand behind this command.
  if (result == 0 || errno == EINPROGRESS) {
    connecting_ = true;
    watch();
    if (result == 0 && planned_) connected(0);
  } else {
    connected(errno);
  }
}

void TcpEnd::connected(int error) {
  connecting_ = false;
  if (planned_) {
    if (error == 0) joinAhead();
    else giveUpAttempt();
    return;
  }
  const size_t told = loop_.eventWithNext(
      {.type = int(Event::connected), .slot = id.slot, .generation = id.generation, .a = error});
  loop_.relayedAhead(told, error == 0 && joinAhead());
  if (error != 0) drop();
}

int TcpEnd::take() {
  if (dead || isRelayed() || connecting_) return -1;
  const int fd = std::exchange(fd_, -1);
  loop_.bury(this);
  return fd;
}

const char *TcpEnd::unmovable() const { return connecting_ ? "a connection of it does not stand yet" : End::unmovable(); }

void TcpEnd::owe(size_t bytes) {
  loop_.rows().unread.tell(unread_, bytes);
  unread_ = bytes;
}

int TcpEnd::freeze() {
  End::freeze();
  loop_.unwatch(fd_);
  return fd_;
}

void TcpEnd::goLive() {
  End::goLive();
  blocked_ = false;
  shared_ = true;
  // Tells again what has come and whether there is room.
  watch();
}

void TcpEnd::forget() {
  End::forget();
  // Who has it now keeps it open.
  drop();
}

void TcpEnd::onEvents(uint32_t events) {
  if (connecting_) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    connected(error);
    if (dead) return;
  }
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) hung_ = true;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    readable_ = true;
    if (wanted()) loop_.ready(this);
  }
  if (blocked_ && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
    blocked_ = false;
    drain();
  }
}

void TcpEnd::pump() {
  if (!readable_ || connecting_ || ended_ || !wanted()) return;
  if (isRelayed() && dynamic_cast<StreamEnd *>(peer_) != nullptr) {
    pumpToTunnel();
    return;
  }
  const size_t turn = loop_.rows().unread.full() ? kLittle : Loop::kTurnBytes;
  const size_t most = isRelayed() ? turn : std::min(wantedByScript_, turn);
  const ssize_t n = ::recv(fd_, loop_.buffer(), most, 0);
  if (n > 0) {
    loop_.rows().unread.tell(0, uint64_t(n));
    unread_ += size_t(n);
    const iovec piece{loop_.buffer(), size_t(n)};
    came(&piece, 1, size_t(n));
  }
  if (!dead) took(n, most);
}

void TcpEnd::returnCredit(size_t size) {
  loop_.rows().unread.tell(size, 0);
  unread_ -= size;
}

// Straight into the holes of the tunnel's records.
void TcpEnd::pumpToTunnel() {
  auto *stream = static_cast<StreamEnd *>(peer_);
  iovec holes[40];
  size_t most = 0;
  const int count = stream->prepare(Loop::kTurnBytes, holes, 40, &most);
  // Its window or its connection is full: it says when it is not.
  if (count == 0) return;
  const ssize_t n = count == 1 ? ::recv(fd_, holes[0].iov_base, holes[0].iov_len, 0) : ::readv(fd_, holes, count);
  const int error = errno;
  stream->commit(n > 0 ? size_t(n) : 0);
  if (n > 0) *counter_ += double(n);
  errno = error;
  took(n, most);
}

void TcpEnd::took(ssize_t n, size_t wanted) {
  if (n < 0) {
    if (errno == EAGAIN) readable_ = false;
    else if (errno == EINTR) loop_.ready(this);
    else failed(RelayEnd::failed, errno);
    return;
  }
  if (n == 0) {
    readable_ = false;
    cameEnd();
    return;
  }
  if (size_t(n) < wanted && !hung_) readable_ = false;
  else if (this->wanted()) loop_.ready(this);
}

ssize_t TcpEnd::offer(const iovec *pieces, int count, size_t) {
  if (blocked_ || connecting_) return 0;
  msghdr message{};
  message.msg_iov = const_cast<iovec *>(pieces);
  message.msg_iovlen = size_t(count);
  size_t total = 0;
  for (int i = 0; i < count; i++) total += pieces[i].iov_len;
  for (;;) {
    const ssize_t n = count == 1 ? ::send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                                 : ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (n >= 0) {
      if (size_t(n) < total) blocked_ = true;
      return n;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return -1;
    blocked_ = true;
    return 0;
  }
}

void TcpEnd::finishNow() {
  // Both directions are over: close() says the same with one call less.
  if (isLast() && !shared_) return;
  ::shutdown(fd_, SHUT_WR);
}

void TcpEnd::drop() {
  if (dead) return;
  // Who made it, or took it over, may not have closed its duplicate yet, which keeps what is closed in our epoll.
  loop_.unwatch(fd_);
  ::close(std::exchange(fd_, -1));
  loop_.bury(this);
}

void TcpEnd::cut(uint32_t) {
  if (dead) return;
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  drop();
}

} // namespace aq
