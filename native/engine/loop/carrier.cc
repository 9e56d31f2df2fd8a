#include "carrier.h"
#include "loop.h"
#include "stream-end.h"
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace aq {

namespace {

StreamEnd *endOf(Stream &stream) { return static_cast<StreamEnd *>(stream.owner); }

void putHeaders(std::vector<uint8_t> &to, std::span<const Header> headers) {
  for (const Header &h : headers) {
    putPiece(to, h.name);
    putPiece(to, h.value);
  }
}

} // namespace

Carrier::Carrier(Loop &loop, int fd, std::shared_ptr<TlsContext> context, const TunnelLimits &limits)
    : loop_(loop), fd_(fd), tunnel_(std::move(context), limits, loop.rows(), *this) {}

Carrier::Carrier(Loop &loop, Bytes state) : loop_(loop), fd_(-1), tunnel_(state, loop.rows(), *this) { frozen = true; }

Carrier::~Carrier() {
  if (fd_ >= 0) ::close(fd_);
}

void Carrier::adopt(StreamEnd *end) {
  end->next = streams_;
  if (streams_ != nullptr) streams_->link = &end->next;
  end->link = &streams_;
  streams_ = end;
}

void Carrier::start() {
  // Frames must not wait for the peer's delayed ACK; those who made the socket may not have known what it is for.
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  loop_.rewatch(fd_, this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  tunnel_.start();
  touch();
}

void Carrier::onEvents(uint32_t events) {
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) hung_ = true;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
    if (blocked_) touch();
    blocked_ = false;
  }
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    readable_ = true;
    loop_.readable(this);
  }
}

void Carrier::readTurn() {
  if (dead || frozen || over_ || ended_ || !tunnel_.wantsRead() || (!readable_ && !owed_)) return;
  const size_t kept = tunnel_.carried();
  uint8_t *buffer = loop_.buffer();
  ssize_t n = -1;
  if (readable_) {
    n = ::recv(fd_, buffer + kept, Loop::kTurnBytes, 0);
    if (n < 0 && errno == EINTR) {
      loop_.readable(this);
      return;
    }
    if (n < 0 && errno == EAGAIN) readable_ = false;
    else if (n <= 0) lost_ = true;
    else if (size_t(n) < Loop::kTurnBytes && !hung_) readable_ = false;
    if (n > 0) heard_ = true;
  }
  if (n > 0 || owed_) {
    owed_ = false;
    if (kept > 0) tunnel_.carry(buffer);
    tunnel_.feed(buffer, kept + (n > 0 ? size_t(n) : 0), loop_.now());
    loop_.flushGathered();
  }
  if (lost_ && !over_ && n <= 0) {
    readable_ = false;
    tunnel_.endOfInput();
  }
  touch();
  if (readable_ && !over_) loop_.readable(this);
}

void Carrier::touch() {
  if (touched || dead) return;
  touched = true;
  loop_.touched(this);
}

bool Carrier::write() {
  if (dead || frozen) return false;
  tunnel_.flush();
  bool any = false;
  while (!blocked_) {
    const Bytes out = tunnel_.output();
    if (out.empty()) break;
    const ssize_t n = ::send(fd_, out.data(), out.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      blocked_ = true;
      if (errno == EAGAIN) break;
      broken_ = true;
      // What the peer said before it left, an alert perhaps, is still to be read.
      readable_ = hung_ = true;
      loop_.readable(this);
      break;
    }
    if (size_t(n) < out.size()) blocked_ = true;
    tunnel_.wrote(size_t(n));
    any = true;
  }
  return any;
}

void Carrier::settle() {
  if (dead || frozen) return;
  write();
  if (ended_ && !over_) {
    // What had no room to be sealed has it now.
    while (!blocked_ && write()) {
    }
    if (!broken_ && (blocked_ || !tunnel_.output().empty())) return;
    over_ = true;
  }
  if (!over_) return;
  if (ended_) tell(Event::closed);
  // A socket that is closed with bytes unread resets, and the peer may lose our last word.
  for (int i = 0; i < 4 && ::recv(fd_, loop_.buffer(), Loop::kTurnBytes, MSG_DONTWAIT) > 0; i++);
  // Of one that was frozen somebody may have a duplicate yet.
  loop_.unwatch(fd_);
  ::close(std::exchange(fd_, -1));
  while (streams_ != nullptr) streams_->orphan();
  loop_.bury(this);
}

const char *Carrier::unmovable() const { return over_ || ended_ || lost_ ? "its tunnel has ended" : nullptr; }

int Carrier::freeze() {
  frozen = true;
  loop_.unwatch(fd_);
  return fd_;
}

void Carrier::goLive() {
  frozen = false;
  tunnel_.thaw();
  blocked_ = false;
  // What came of a record before.
  owed_ = true;
  // Tells again what has come and whether there is room.
  loop_.watch(fd_, this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  loop_.readable(this);
  touch();
}

void Carrier::forget() {
  ::close(std::exchange(fd_, -1));
  // Relays whose streams have gone stay.
  while (streams_ != nullptr) streams_->orphan();
  loop_.bury(this);
}

void Carrier::close() { goaway(NO_ERROR, false); }

void Carrier::accepted() {
  if (dead || over_) return;
  tunnel_.accepted();
  owed_ = true;
  loop_.readable(this);
  touch();
}

void Carrier::refuse(uint8_t alert, std::string_view reason) {
  tunnel_.fail(alert, std::string(reason));
  touch();
}

void Carrier::open(Id id, std::span<const Header> headers) {
  Stream *stream = dead || over_ ? nullptr : tunnel_.open(headers);
  if (stream == nullptr) {
    loop_.event({.type = int(Event::refused), .slot = id.slot, .generation = id.generation});
    return;
  }
  loop_.objects().put(id, new StreamEnd(loop_, *this, *stream));
  touch();
}

StreamEnd *Carrier::open(std::span<const Header> headers, size_t most) {
  if (dead || over_ || tunnel_.streams() >= most) return nullptr;
  Stream *stream = tunnel_.open(headers);
  if (stream == nullptr) return nullptr;
  auto *end = new StreamEnd(loop_, *this, *stream);
  loop_.objects().add(end);
  touch();
  return end;
}

void Carrier::ping() {
  heard_ = false;
  tunnel_.ping();
  touch();
}

void Carrier::heard() {
  if (std::exchange(heard_, false)) tell(Event::heard);
}

void Carrier::goaway(uint32_t code, bool graceful) {
  if (dead || over_) return;
  tunnel_.goaway(code, graceful);
  // Also in the middle of a handshake.
  if (!graceful) over_ = true;
  touch();
}

void Carrier::tell(Event type, int a, int b, int c) {
  loop_.event({.type = int(type), .slot = id.slot, .generation = id.generation, .a = a, .b = b, .c = c});
}

void Carrier::onHandshaken(Tunnel &, const std::vector<std::vector<uint8_t>> &chain, std::string_view alpn) {
  std::vector<uint8_t> bytes;
  putPiece(bytes, alpn);
  for (const auto &der : chain) putPiece(bytes, {reinterpret_cast<const char *>(der.data()), der.size()});
  loop_.event({.type = int(Event::handshaken), .slot = id.slot, .generation = id.generation}, bytes);
}

void Carrier::onSettings(Tunnel &, uint32_t maxStreams) { tell(Event::settings, int(maxStreams)); }

void Carrier::onPong(Tunnel &) { tell(Event::pong); }

void Carrier::onGoaway(Tunnel &, uint32_t code) { tell(Event::goaway, int(code)); }

void Carrier::onRequest(Tunnel &, Stream &stream, std::span<const Header> headers) {
  auto *end = new StreamEnd(loop_, *this, stream);
  loop_.objects().add(end);
  std::vector<uint8_t> bytes;
  putHeaders(bytes, headers);
  if (!plans.empty() && InPlan::serve(loop_, *this, *end, headers, bytes)) return;
  loop_.event({.type = int(Event::request),
               .slot = id.slot,
               .generation = id.generation,
               .a = end->id.slot,
               .b = end->id.generation},
              bytes);
}

void Carrier::onResponse(Tunnel &, Stream &stream, int status, std::span<const Header> headers) {
  StreamEnd *end = endOf(stream);
  if (end == nullptr) return;
  if (end->isAttempt()) {
    if (status == 200) end->joinAhead();
    else end->missAttempt(status);
    return;
  }
  std::vector<uint8_t> bytes;
  putHeaders(bytes, headers);
  // Before what is told of a relay, which may be over at once.
  const size_t told = loop_.eventWithNext(
      {.type = int(Event::response), .slot = end->id.slot, .generation = end->id.generation, .a = status}, bytes);
  loop_.relayedAhead(told, status == 200 && end->joinAhead());
}

void Carrier::onData(Tunnel &, Stream &stream, Bytes bytes) {
  if (StreamEnd *end = endOf(stream)) loop_.gather(end, bytes);
  else tunnel_.consumed(stream, bytes.size());
}

StreamEnd *Carrier::flushed(Stream &stream) {
  StreamEnd *end = endOf(stream);
  loop_.flushGathered();
  return end != nullptr && !end->dead ? end : nullptr;
}

void Carrier::onEnd(Tunnel &, Stream &stream) {
  if (StreamEnd *end = flushed(stream)) end->remoteEnd();
}

void Carrier::onReset(Tunnel &, Stream &stream, uint32_t code, bool unprocessed) {
  if (StreamEnd *end = flushed(stream)) end->wasReset(code, unprocessed, lost_);
}

void Carrier::onWritable(Tunnel &, Stream &stream) {
  if (StreamEnd *end = endOf(stream)) end->writable();
}

void Carrier::onResetFlood(Tunnel &) { tell(Event::flooded); }

void Carrier::onFailed(Tunnel &, const TunnelFailure &failure) {
  over_ = true;
  const auto *reason = reinterpret_cast<const uint8_t *>(failure.reason.data());
  loop_.event({.type = int(Event::failed),
               .slot = id.slot,
               .generation = id.generation,
               .a = int(failure.kind),
               .b = failure.alertOrCode},
              {reason, failure.reason.size()});
  touch();
}

void Carrier::onClosed(Tunnel &) {
  ended_ = true;
  // A peer that takes none of it has its time, too.
  const unsigned patience = kLastBytesMs;
  setsockopt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
  touch();
}

} // namespace aq
