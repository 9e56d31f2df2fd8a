#include "stream-end.h"
#include "carrier.h"
#include "loop.h"
#include <utility>
#include <algorithm>

namespace aq {

StreamEnd::StreamEnd(Loop &loop, Carrier &carrier, Stream &stream) : End(loop), carrier_(&carrier), stream_(&stream) {
  stream.owner = this;
  carrier.adopt(this);
}

StreamEnd::~StreamEnd() { unlink(); }

void StreamEnd::unlink() {
  if (link == nullptr) return;
  *link = next;
  if (next != nullptr) next->link = link;
  link = nullptr;
}

void StreamEnd::respond(int status, std::span<const Header> headers, bool end) {
  // JavaScript may refuse what was accepted ahead of it; it cuts that, too.
  if (stream_ == nullptr || std::exchange(responded_, true)) return;
  carrier_->tunnel().respond(*stream_, status, headers, end);
  carrier_->touch();
  if (!end) return;
  finishing_ = finished_ = refused_ = true;
  if (inbox_.size() > 0) returnCredit(inbox_.size());
  if (ended_) drop();
}

void StreamEnd::answerAhead(std::string_view text) {
  std::vector<Header> headers;
  takeHeaders(text, headers);
  respond(200, headers, false);
}

int StreamEnd::prepare(size_t most, iovec *holes, int max, size_t *total) {
  if (stream_ == nullptr || outWaits()) return 0;
  Tunnel &tunnel = carrier_->tunnel();
  int count = tunnel.prepare(*stream_, most, holes, max);
  if (count == 0 && carrier_->write()) count = tunnel.prepare(*stream_, most, holes, max);
  for (int i = 0; i < count; i++) *total += holes[i].iov_len;
  return count;
}

void StreamEnd::commit(size_t size) {
  carrier_->tunnel().commit(*stream_, size);
  if (size > 0) carrier_->touch();
}

void StreamEnd::gathered(const iovec *pieces, int count, size_t total) {
  if (refused_) returnCredit(total);
  else came(pieces, count, total);
}

void StreamEnd::remoteEnd() {
  if (refused_) drop();
  else cameEnd();
}

ssize_t StreamEnd::offer(const iovec *pieces, int count, size_t) {
  if (stream_ == nullptr) {
    errno = EPIPE;
    return -1;
  }
  size_t done = 0;
  for (int i = 0; i < count; i++) {
    const Bytes bytes(static_cast<const uint8_t *>(pieces[i].iov_base), pieces[i].iov_len);
    const size_t n = carrier_->tunnel().write(*stream_, bytes);
    done += n;
    if (n < bytes.size()) {
      // Asks for onWritable().
      carrier_->tunnel().room(*stream_);
      break;
    }
  }
  if (done > 0) carrier_->touch();
  return ssize_t(done);
}

void StreamEnd::finishNow() {
  if (stream_ == nullptr) return;
  carrier_->tunnel().end(*stream_);
  carrier_->touch();
}

void StreamEnd::returnCredit(size_t size) {
  if (stream_ == nullptr) return;
  carrier_->tunnel().consumed(*stream_, size);
  carrier_->touch();
}

void StreamEnd::wasReset(uint32_t code, bool unprocessed, bool lost) {
  closeCode_ = code;
  byPeer_ = true;
  unprocessed_ = unprocessed;
  if (!isRelayed()) {
    gone(code);
    return;
  }
  if (lost || (code != NO_ERROR && code != CANCEL)) {
    failed(lost ? RelayEnd::connectionLost : RelayEnd::streamReset, int(code));
    return;
  }
  // An end, for whoever gets these bytes; what the other side still sends is of no use to anybody (ambient-wire 1.7).
  Stream *stream = std::exchange(stream_, nullptr);
  stream->owner = nullptr;
  carrier_->tunnel().release(*stream);
  peer_->abandon();
  if (dead) return;
  finishing_ = finished_ = true;
  cameEnd();
}

void StreamEnd::orphan() {
  unlink();
  Stream *stream = std::exchange(stream_, nullptr);
  carrier_ = nullptr;
  // One that had ended only waits for its reader.
  if (stream == nullptr || dead || (stream->remoteEnded && stream->localEnded)) return;
  wasReset(CONNECT_ERROR, false, true);
}

const char *StreamEnd::unmovable() const {
  if (stream_ != nullptr && !stream_->answered) return "a request of it is not answered yet";
  return refused_ ? "a request of it was refused" : End::unmovable();
}

template <class State> void StreamEnd::transfer(State &s) {
  s.flag(responded_);
  s.number(closeCode_, 0, UINT32_MAX);
  s.flag(byPeer_);
  s.flag(unprocessed_);
}

void StreamEnd::save(StateWriter &s) {
  End::save(s);
  transfer(s);
}

void StreamEnd::restore(StateReader &s) {
  End::restore(s);
  transfer(s);
  if (stream_ == nullptr) {
    StateReader::check(ended_ && finished_, "a stream that is gone and goes on");
    return;
  }
  StateReader::check(ended_ == stream_->remoteEnded && finished_ == stream_->localEnded, "a stream that has ended and goes on");
}

void StreamEnd::owe(size_t bytes) {
  StateReader::check(stream_ == nullptr || stream_->unconsumed == bytes, "credit for other bytes than wait");
}

void StreamEnd::forget() {
  End::forget();
  unlink();
  stream_ = nullptr;
  carrier_ = nullptr;
  loop_.bury(this);
}

void StreamEnd::reset(uint32_t code) {
  closeCode_ = code;
  End::reset(code);
}

void StreamEnd::drop() { gone(CANCEL); }

void StreamEnd::cut(uint32_t code) { gone(code); }

void StreamEnd::gone(uint32_t code) {
  if (dead) return;
  if (isAttempt()) return giveUpAttempt();
  if (stream_ != nullptr) {
    Stream *stream = std::exchange(stream_, nullptr);
    stream->owner = nullptr;
    const bool clean = stream->remoteEnded && stream->localEnded;
    if (!byPeer_) closeCode_ = clean ? 0 : code;
    if (clean || byPeer_) carrier_->tunnel().release(*stream);
    else carrier_->tunnel().reset(*stream, code);
    carrier_->touch();
  }
  const Message closed{.type = int(Event::streamClosed),
                       .slot = id.slot,
                       .generation = id.generation,
                       .a = int(closeCode_),
                       .b = byPeer_,
                       .c = unprocessed_};
  if (!planned_) wasRelayed_ ? void(loop_.eventWithNext(closed)) : loop_.event(closed);
  unlink();
  loop_.bury(this);
}

} // namespace aq
