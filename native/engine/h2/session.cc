#include "session.h"
#include <algorithm>
#include <cstring>
#include <utility>

namespace aq {
namespace {

/** As nghttp2 bounds them. */
constexpr uint32_t kMaxContinuations = 8;
constexpr uint32_t kMaxSettings = 64;
constexpr uint32_t kGoawaySize = 8;
/** Of a peer that breaks the rules of single streams. */
constexpr uint32_t kMaxStreamErrors = 100;
/** Replies that wait for a peer which does not read; then all frames that wait for it. */
constexpr uint32_t kMaxReplies = 1000;
constexpr uint32_t kMaxFrames = 10'000;
constexpr size_t kMaxOverflow = 1u << 20;
/** WINDOW_UPDATEs that a frame of DATA may bring. */
constexpr uint64_t kWindowUpdatesPerData = 20, kMostWindowUpdates = 1u << 20;
/** What may still come once windows were made small, in windows of the connection. */
constexpr uint64_t kCutAt = 4;

constexpr uint8_t kPingPayload[8] = {'a', 'q', 'u', 'i', 'f', 'e', 'r', 0};

Bytes asBytes(std::string_view s) { return {reinterpret_cast<const uint8_t *>(s.data()), s.size()}; }

} // namespace

Session::Session(Role role, const TunnelLimits &limits, OutputRow &row, Unread &unread, Tunnel &tunnel, TunnelHandler &handler,
                 SessionOwner &owner)
    : role_(role), limits_(limits), row_(row), unread_(unread), tunnel_(tunnel), handler_(handler), owner_(owner),
      streamWindow_(limits.streamWindow), list_(limits.maxHeaderList) {
  unread_.join();
}

Session::~Session() {
  unread_.tell(toldBytes_, 0);
  unread_.tellStreams(toldStreams_, 0);
  unread_.leave();
}

// ---- frames out

void Session::putFrame(FrameType type, uint8_t flags, uint32_t stream, Bytes payload) {
  uint8_t header[kFrameHeaderSize];
  FrameHeader{uint32_t(payload.size()), type, flags, stream}.write(header);
  row_.put(header);
  row_.put(payload);
  if ((++frames_ > kMaxFrames || row_.overflow() > kMaxOverflow) && alive_) {
    fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "it does not read what it asks for");
  }
}

void Session::putReply(FrameType type, uint8_t flags, uint32_t stream, Bytes payload) {
  if (++replies_ > kMaxReplies) {
    return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "it does not read the answers that it causes");
  }
  putFrame(type, flags, stream, payload);
}

void Session::putCode(FrameType type, uint32_t stream, uint32_t value) {
  uint8_t payload[4];
  write32(payload, value);
  putFrame(type, 0, stream, payload);
}

void Session::putGoaway(uint32_t code) {
  uint8_t payload[kGoawaySize];
  write32(payload, lastPeerId_);
  write32(payload + 4, code);
  goawaySent_ = true;
  putFrame(FrameType::goaway, 0, 0, payload);
}

void Session::putHeaders(uint32_t stream, std::span<const Header> headers, bool end) {
  encoded_.clear();
  encoder_.encode(headers, encoded_);
  Bytes rest(encoded_);
  FrameType type = FrameType::headers;
  do {
    // The smallest limit that a peer may set.
    const Bytes part = rest.first(std::min<size_t>(rest.size(), kMaxPlaintext));
    rest = rest.subspan(part.size());
    const uint8_t ends = type == FrameType::headers && end ? kEndStream : 0;
    putFrame(type, uint8_t(ends | (rest.empty() ? kEndHeaders : 0)), stream, part);
    type = FrameType::continuation;
  } while (!rest.empty());
}

void Session::start() {
  if (role_ == Role::client) row_.put(asBytes({kPreface, kPrefaceSize}));
  std::vector<uint8_t> payload;
  const auto add = [&](Setting s, uint32_t value) {
    payload.resize(payload.size() + 6);
    uint8_t *p = payload.data() + payload.size() - 6;
    write16(p, uint32_t(s));
    write32(p + 2, value);
  };
  add(Setting::headerTableSize, 0);
  if (role_ == Role::client) add(Setting::enablePush, 0);
  else add(Setting::maxConcurrentStreams, limits_.maxStreams);
  add(Setting::initialWindowSize, streamWindow_);
  add(Setting::maxFrameSize, limits_.maxFrame);
  add(Setting::maxHeaderListSize, limits_.maxHeaderList);
  announced_.push_back(streamWindow_);
  putFrame(FrameType::settings, 0, 0, payload);
  if (limits_.connectionWindow > kDefaultWindow) {
    putCode(FrameType::windowUpdate, 0, limits_.connectionWindow - kDefaultWindow);
    receiveWindow_ = limits_.connectionWindow;
  }
}

/** A larger window holds from now on, a smaller one from its acknowledgement. */
void Session::announceWindow(uint32_t window) {
  uint8_t payload[6];
  write16(payload, uint32_t(Setting::initialWindowSize));
  write32(payload + 2, window);
  if (window > streamWindow_) {
    table_.each([&](Stream &s) { s.receiveWindow += int64_t(window) - streamWindow_; });
    streamWindow_ = window;
  }
  announced_.push_back(window);
  putFrame(FrameType::settings, 0, 0, payload);
}

void Session::tellUnread() {
  unread_.tell(std::exchange(toldBytes_, unconsumed_), unconsumed_);
  unread_.tellStreams(std::exchange(toldStreams_, open_), open_);
}

/**
 * The connection's window comes back as soon as bytes arrive, so that readers who are slow do not hold up those who are not.
 * Beyond what it promises, or what all connections together may hold, the windows of all streams are made small until enough has
 * been consumed.
 */
void Session::checkUnconsumed() {
  tellUnread();
  if (!alive_ || !announced_.empty()) return;
  const uint32_t small = std::min(unread_.smallWindow(), limits_.streamWindow);
  const bool large = streamWindow_ == limits_.streamWindow;
  if (unconsumed_ > limits_.connectionWindow || unread_.holdsTooMuch(unconsumed_)) {
    if (streamWindow_ > small && (large || streamWindow_ / 2 >= small)) announceWindow(small);
  } else if (!large && unconsumed_ < limits_.connectionWindow / 4 && unread_.holdsLittle(unconsumed_)) {
    announceWindow(limits_.streamWindow);
  }
}

void Session::creditConnection(uint32_t n) {
  unreported_ += n;
  if (unreported_ < limits_.connectionWindow / 4) return;
  receiveWindow_ += unreported_;
  putCode(FrameType::windowUpdate, 0, std::exchange(unreported_, 0));
}

void Session::creditStream(Stream &s, uint32_t n) {
  s.unreported += n;
  if (s.remoteEnded || s.closed || s.unreported < streamWindow_ / 4) return;
  s.receiveWindow += s.unreported;
  putCode(FrameType::windowUpdate, s.id, std::exchange(s.unreported, 0));
}

// ---- ends

void Session::fail(TunnelFailure::Kind kind, uint32_t code, std::string reason) {
  if (!alive_) return;
  alive_ = false;
  putGoaway(code);
  cutStreams(false);
  owner_.onSessionFailed({kind, int(code), std::move(reason)});
}

void Session::abandon() {
  if (!alive_) return;
  alive_ = false;
  cutStreams(false);
}

/** `announce`: the peer is told of each. */
void Session::cutStreams(bool announce) {
  while (Stream *s = table_.firstOpen()) {
    markClosed(*s);
    if (announce) putCode(FrameType::rstStream, s->id, CONNECT_ERROR);
    handler_.onReset(tunnel_, *s, CONNECT_ERROR, false);
  }
}

void Session::markClosed(Stream &s) {
  s.closed = s.remoteEnded = s.localEnded = true;
  open_--;
}

/** To be called last: it may end the session. `s` may be released already, so it is a copy or still there. */
void Session::afterClose(const Stream &s, bool resetByPeer) {
  if (!alive_) return;
  if (role_ == Role::server && !resets_.ended(s.opened, now_, resetByPeer) && !resetFlood_) {
    resetFlood_ = true;
    if (!goawaySent_) putGoaway(NO_ERROR);
    handler_.onResetFlood(tunnel_);
  }
  checkDrained();
}

void Session::checkDrained() {
  if (!alive_ || open_ > 0 || !goingAway()) return;
  alive_ = false;
  owner_.onDrained();
}

/** A mistake of the peer on one stream; only `id` is left of one that is gone. */
void Session::streamError(uint32_t id, Stream *s, uint32_t code) {
  if (++streamErrors_ > kMaxStreamErrors) {
    return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "too many mistakes on streams");
  }
  uint8_t payload[4];
  write32(payload, code);
  closed_.add(id, true);
  putReply(FrameType::rstStream, 0, id, payload);
  if (!alive_) return;
  if (!s || s->closed) {
    if (!s) afterClose(Stream{.id = id, .opened = now_}, true);
    return;
  }
  markClosed(*s);
  const Stream was = *s;
  handler_.onReset(tunnel_, *s, code, false);
  afterClose(was, true);
}

/** A stream that was never taken up. */
void Session::refuse(uint32_t id) {
  if (!spend("refused streams")) return;
  uint8_t payload[4];
  write32(payload, REFUSED_STREAM);
  closed_.add(id, true);
  putReply(FrameType::rstStream, 0, id, payload);
}

bool Session::spend(const char *what) {
  if (budget_.spend(now_)) return true;
  fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, std::string("a flood of ") + what);
  return false;
}

// ---- commands

Stream *Session::open(std::span<const Header> headers) {
  if (!alive_ || role_ != Role::client || !settingsSeen_ || goingAway() || open_ >= peerMaxStreams_ || nextId_ > kMaxStreamId ||
      row_.overflow() > 0) {
    return nullptr;
  }
  Stream &s = table_.add(nextId_);
  nextId_ += 2;
  open_++;
  s.opened = now_;
  s.sendWindow = peerWindow_;
  s.receiveWindow = streamWindow_;
  s.connect = std::any_of(headers.begin(), headers.end(), [](const Header &h) { return h.name == ":method" && h.value == "CONNECT"; });
  putHeaders(s.id, headers, false);
  // That may have been one frame too many: all streams have ended then, and who was told of this one may have released it.
  return alive_ ? &s : nullptr;
}

void Session::respond(Stream &s, int status, std::span<const Header> headers, bool end) {
  if (!alive_ || s.closed || s.answered) return;
  char digits[4] = {char('0' + status / 100 % 10), char('0' + status / 10 % 10), char('0' + status % 10), 0};
  std::vector<Header> list;
  list.reserve(headers.size() + 1);
  list.push_back({":status", {digits, 3}});
  list.insert(list.end(), headers.begin(), headers.end());
  s.answered = true;
  putHeaders(s.id, list, end);
  if (!end || !alive_) return;
  s.localEnded = true;
  if (!s.remoteEnded) return;
  markClosed(s);
  closed_.add(s.id, false);
  afterClose(Stream(s), false);
}

int64_t Session::sendable(const Stream &s) const {
  if (!alive_ || s.localEnded || s.closed || (role_ == Role::server && !s.answered)) return 0;
  return std::min({s.sendWindow, sendWindow_, int64_t(row_.dataRoom())});
}

size_t Session::room(Stream &s) {
  const int64_t n = sendable(s);
  if (n > 0) return size_t(n);
  if (!s.waiting && alive_ && !s.localEnded) {
    s.waiting = true;
    waiting_.push_back(s.id);
  }
  return 0;
}

int Session::prepare(Stream &s, size_t most, iovec *holes, int max) {
  const int n = row_.prepare(std::min(most, room(s)), holes, max);
  // A KeyUpdate may have taken the last slot.
  if (n == 0 && most > 0 && !s.waiting && alive_ && !s.localEnded) {
    s.waiting = true;
    waiting_.push_back(s.id);
  }
  return n;
}

void Session::commit(Stream &s, size_t n) {
  const size_t frames = row_.commit(s.id, n);
  s.sendWindow -= int64_t(n);
  sendWindow_ -= int64_t(n);
  s.sent += n;
  windowUpdates_ = std::min(kMostWindowUpdates, windowUpdates_ + frames * kWindowUpdatesPerData);
}

void Session::end(Stream &s) {
  if (!alive_ || s.closed || s.localEnded) return;
  if (role_ == Role::server && !s.answered) return;
  putFrame(FrameType::data, kEndStream, s.id, {});
  if (!alive_) return;
  s.localEnded = true;
  if (!s.remoteEnded) return;
  markClosed(s);
  closed_.add(s.id, false);
  afterClose(Stream(s), false);
}

void Session::reset(Stream &s, uint32_t code) {
  const bool cut = alive_ && !s.closed;
  if (cut) {
    closed_.add(s.id, true);
    markClosed(s);
    putCode(FrameType::rstStream, s.id, code);
  }
  const Stream was = s;
  unconsumed_ -= s.unconsumed;
  table_.remove(s);
  checkUnconsumed();
  if (cut) afterClose(was, false);
}

void Session::release(Stream &s) { reset(s, CANCEL); }

void Session::consumed(Stream &s, size_t size) {
  const auto n = uint32_t(std::min<uint64_t>(size, s.unconsumed));
  s.unconsumed -= n;
  unconsumed_ -= n;
  if (!alive_) return;
  creditStream(s, n);
  checkUnconsumed();
}

void Session::ping() {
  if (!alive_ || pingOwed_) return;
  pingOwed_ = true;
  putFrame(FrameType::ping, 0, 0, kPingPayload);
}

void Session::goaway(uint32_t code, bool graceful) {
  if (!alive_) return;
  if (graceful) {
    if (!goawaySent_) putGoaway(code);
    return checkDrained();
  }
  // Streams first: a peer that sees GOAWAY may close at once.
  cutStreams(true);
  if (!alive_) return;
  putGoaway(code);
  checkDrained();
}

void Session::onRowMoved(bool empty) {
  if (empty) replies_ = frames_ = 0;
  if (alive_ && row_.dataRoom() > 0) wakeWaiting();
}

void Session::wakeWaiting() {
  if (waiting_.empty()) return;
  for (uint32_t id : std::exchange(waiting_, {})) {
    Stream *s = table_.find(id);
    if (!s || !s->waiting) continue;
    if (s->closed) {
      s->waiting = false;
    } else if (sendable(*s) > 0) {
      s->waiting = false;
      handler_.onWritable(tunnel_, *s);
    } else {
      waiting_.push_back(id);
    }
  }
}

// ---- frames in

void Session::receive(Bytes bytes, uint64_t now) {
  now_ = now;
  if (role_ == Role::server && prefaceSeen_ < kPrefaceSize) {
    const size_t n = std::min(kPrefaceSize - prefaceSeen_, bytes.size());
    if (memcmp(bytes.data(), kPreface + prefaceSeen_, n) != 0) return protocolError("no HTTP/2 preface");
    prefaceSeen_ += n;
    bytes = bytes.subspan(n);
  }
  while (alive_ && !bytes.empty()) {
    if (headerSize_ < kFrameHeaderSize) {
      const size_t n = std::min(kFrameHeaderSize - headerSize_, bytes.size());
      memcpy(headerBytes_ + headerSize_, bytes.data(), n);
      headerSize_ += uint32_t(n);
      bytes = bytes.subspan(n);
      if (headerSize_ < kFrameHeaderSize) return;
      frame_ = FrameHeader::read(headerBytes_);
      payloadLeft_ = frame_.length;
      payload_.clear();
      skipping_ = false;
      beginFrame();
      if (!alive_) return;
    }
    const Bytes part = bytes.first(std::min<size_t>(payloadLeft_, bytes.size()));
    bytes = bytes.subspan(part.size());
    payloadLeft_ -= uint32_t(part.size());
    const bool whole = payloadLeft_ == 0;
    if (whole) headerSize_ = 0;
    if (frame_.type == FrameType::data) {
      dataPayload(part);
      if (whole && alive_) endData();
    } else if (skipping_) {
      continue;
    } else if (whole && payload_.empty()) {
      endFrame(part);
    } else {
      payload_.insert(payload_.end(), part.begin(), part.end());
      if (whole) endFrame(payload_);
    }
  }
  if (unconsumed_ > kCutAt * limits_.connectionWindow) {
    return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "it sends more than its windows allow");
  }
  checkUnconsumed();
}

bool Session::isIdle(uint32_t id) const {
  if (id % 2 == 0) return true;
  return role_ == Role::server ? id > highestPeerId_ : id >= nextId_;
}

/** Sizes and order, before anything of the payload is kept. */
void Session::beginFrame() {
  const auto sized = [&](uint32_t size) {
    if (frame_.length == size) return true;
    fail(TunnelFailure::Kind::http2, FRAME_SIZE_ERROR, "a frame of a wrong size");
    return false;
  };
  if (frame_.length > limits_.maxFrame) return fail(TunnelFailure::Kind::http2, FRAME_SIZE_ERROR, "a frame that is too large");
  if (!settingsSeen_ && (frame_.type != FrameType::settings || (frame_.flags & kAck))) return protocolError("no SETTINGS at the start");
  if (blockStream_ != 0 && (frame_.type != FrameType::continuation || frame_.stream != blockStream_)) {
    return protocolError("a frame within a header block");
  }
  const bool ofConnection = frame_.type == FrameType::settings || frame_.type == FrameType::ping || frame_.type == FrameType::goaway;
  if (ofConnection && frame_.stream != 0) return protocolError("a frame of the connection on a stream");
  switch (frame_.type) {
    case FrameType::data: return beginData();
    case FrameType::headers:
    case FrameType::continuation:
      if (frame_.stream == 0) return protocolError("a header block of no stream");
      if (frame_.type == FrameType::continuation && blockStream_ == 0) return protocolError("CONTINUATION of nothing");
      if (block_.size() + frame_.length > limits_.maxHeaderList + 256) {
        return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "a header block that is too large");
      }
      return;
    case FrameType::priority:
      if (frame_.stream == 0) return protocolError("PRIORITY of no stream");
      if (frame_.length != 5) {
        if (isIdle(frame_.stream)) return void(sized(5));
        skipping_ = true;
        return streamError(frame_.stream, table_.find(frame_.stream), FRAME_SIZE_ERROR);
      }
      return;
    case FrameType::rstStream:
      if (frame_.stream == 0 || isIdle(frame_.stream)) return protocolError("RST_STREAM of no stream");
      return void(sized(4));
    case FrameType::settings:
      if (frame_.flags & kAck) return void(sized(0));
      if (frame_.length % 6 != 0) return void(sized(0));
      if (frame_.length > 6 * kMaxSettings) return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "too many settings");
      return;
    case FrameType::pushPromise: return protocolError("PUSH_PROMISE");
    case FrameType::ping: return void(sized(8));
    case FrameType::goaway:
      if (frame_.length < kGoawaySize) return void(sized(kGoawaySize));
      if (frame_.length > kMaxPlaintext) return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "a GOAWAY that is too large");
      return;
    case FrameType::windowUpdate:
      if (isIdle(frame_.stream) && frame_.stream != 0) return protocolError("WINDOW_UPDATE of no stream");
      return void(sized(4));
  }
  // RFC 9113 4.1: types that are not known are ignored.
  skipping_ = true;
  spend("unknown frames");
}

void Session::endFrame(Bytes payload) {
  switch (frame_.type) {
    case FrameType::headers: return onHeadersFrame(payload);
    case FrameType::continuation: return onContinuation(payload);
    case FrameType::priority: return onPriority(payload);
    case FrameType::rstStream: return onRstStream(payload);
    case FrameType::settings: return frame_.flags & kAck ? onSettingsAck() : onSettings(payload);
    case FrameType::ping: return onPing(payload);
    case FrameType::goaway: return onGoaway(payload);
    case FrameType::windowUpdate: return onWindowUpdate(payload);
    case FrameType::data:
    case FrameType::pushPromise: return;
  }
}

// ---- DATA

void Session::beginData() {
  const uint32_t id = frame_.stream, length = frame_.length;
  dataStream_ = 0;
  padding_ = 0;
  padLengthDue_ = frame_.flags & kPadded;
  if (id == 0 || isIdle(id)) return protocolError("DATA of no stream");
  if (padLengthDue_ && length == 0) return fail(TunnelFailure::Kind::http2, FRAME_SIZE_ERROR, "padding without its length");
  receiveWindow_ -= length;
  if (receiveWindow_ < 0) return fail(TunnelFailure::Kind::http2, FLOW_CONTROL_ERROR, "more than the connection's window");
  creditConnection(length);
  if (!alive_) return;
  if (length == 0 && !(frame_.flags & kEndStream) && !spend("empty DATA")) return;
  Stream *s = table_.find(id);
  if (!s || s->closed) {
    // What was under way when we reset it.
    if (closed_.find(id) == ClosedStreams::Was::reset) return;
    return streamError(id, s, STREAM_CLOSED);
  }
  if (s->remoteEnded) return streamError(id, s, STREAM_CLOSED);
  s->receiveWindow -= length;
  if (s->receiveWindow < 0) return streamError(id, s, FLOW_CONTROL_ERROR);
  if (role_ == Role::client && !s->answered) return streamError(id, s, PROTOCOL_ERROR);
  dataStream_ = id;
}

void Session::dataPayload(Bytes part) {
  if (padLengthDue_ && !part.empty()) {
    padLengthDue_ = false;
    padding_ = part[0];
    part = part.subspan(1);
    if (padding_ > payloadLeft_ + part.size()) return protocolError("more padding than frame");
  }
  // The last `padding_` bytes of the frame are no data.
  const size_t behind = payloadLeft_;
  const size_t pad = padding_ > behind ? std::min<size_t>(padding_ - behind, part.size()) : 0;
  part = part.first(part.size() - pad);
  Stream *s = dataStream_ && !part.empty() ? table_.find(dataStream_) : nullptr;
  if (!s || s->closed) return;
  if (s->promised >= 0 && (s->promised -= int64_t(part.size())) < 0) {
    dataStream_ = 0;
    return streamError(s->id, s, PROTOCOL_ERROR);
  }
  s->received += part.size();
  s->unconsumed += part.size();
  unconsumed_ += part.size();
  handler_.onData(tunnel_, *s, part);
}

void Session::endData() {
  Stream *s = dataStream_ ? table_.find(dataStream_) : nullptr;
  if (!s || s->closed) return;
  if (frame_.flags & kPadded) creditStream(*s, padding_ + 1);
  if (alive_ && (frame_.flags & kEndStream)) onRemoteEnd(*s);
}

void Session::onRemoteEnd(Stream &s) {
  if (s.promised > 0) return streamError(s.id, &s, PROTOCOL_ERROR);
  s.remoteEnded = true;
  const bool both = s.localEnded;
  if (both) {
    markClosed(s);
    closed_.add(s.id, false);
  }
  const Stream was = s;
  handler_.onEnd(tunnel_, s);
  if (both) afterClose(was, false);
}

// ---- header blocks

void Session::onHeadersFrame(Bytes p) {
  size_t padding = 0;
  if (frame_.flags & kPadded) {
    if (p.empty()) return fail(TunnelFailure::Kind::http2, FRAME_SIZE_ERROR, "padding without its length");
    padding = p[0];
    p = p.subspan(1);
  }
  blockDependsOnItself_ = false;
  if (frame_.flags & kPriority) {
    if (p.size() < 5) return fail(TunnelFailure::Kind::http2, FRAME_SIZE_ERROR, "priority without its fields");
    blockDependsOnItself_ = (read32(p.data()) & kMaxStreamId) == frame_.stream;
    p = p.subspan(5);
  }
  if (padding > p.size()) return protocolError("more padding than frame");
  p = p.first(p.size() - padding);
  blockStream_ = frame_.stream;
  blockEndsStream_ = frame_.flags & kEndStream;
  continuations_ = 0;
  block_.assign(p.begin(), p.end());
  if (frame_.flags & kEndHeaders) onBlock();
}

void Session::onContinuation(Bytes p) {
  if (++continuations_ > kMaxContinuations) return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "too many CONTINUATIONs");
  block_.insert(block_.end(), p.begin(), p.end());
  if (frame_.flags & kEndHeaders) onBlock();
}

void Session::onBlock() {
  list_.clear();
  const bool decoded = decoder_.decode(block_, [&](Header h) { return list_.add(h); });
  const uint32_t id = std::exchange(blockStream_, 0);
  if (block_.capacity() > 4096) std::vector<uint8_t>().swap(block_);
  block_.clear();
  if (!decoded) {
    if (list_.tooLarge()) return fail(TunnelFailure::Kind::peerFlood, ENHANCE_YOUR_CALM, "a header list that is too large");
    return fail(TunnelFailure::Kind::http2, COMPRESSION_ERROR, "a malformed header block");
  }
  frame_.stream = id;
  Stream *s = table_.find(id);
  if (role_ == Role::server) onRequestBlock(s);
  else onResponseBlock(s);
}

void Session::onRequestBlock(Stream *s) {
  const uint32_t id = frame_.stream;
  if (id % 2 == 0) return protocolError("a request on an even id");
  if (id > highestPeerId_) return openRequest();
  const auto was = closed_.find(id);
  if (was == ClosedStreams::Was::reset) return;
  if (s && !s->closed) return onTrailers(*s);
  if (s || was == ClosedStreams::Was::ended) return fail(TunnelFailure::Kind::http2, STREAM_CLOSED, "HEADERS on a closed stream");
  protocolError("a request on an id that has passed");
}

void Session::openRequest() {
  const uint32_t id = frame_.stream;
  highestPeerId_ = id;
  if (goawaySent_) return refuse(id);
  lastPeerId_ = id;
  if (open_ >= limits_.maxStreams || table_.size() >= 4 * size_t(limits_.maxStreams)) return refuse(id);
  if (list_.tooLarge()) return streamError(id, nullptr, ENHANCE_YOUR_CALM);
  const auto headers = list_.view();
  const RequestFacts facts = examineRequest(headers);
  if (!facts.wellFormed || blockDependsOnItself_ || (blockEndsStream_ && facts.contentLength > 0)) {
    return streamError(id, nullptr, PROTOCOL_ERROR);
  }
  Stream &s = table_.add(id);
  open_++;
  s.opened = now_;
  s.sendWindow = peerWindow_;
  s.receiveWindow = streamWindow_;
  s.connect = facts.connect;
  s.promised = facts.contentLength;
  const bool ends = blockEndsStream_;
  handler_.onRequest(tunnel_, s, headers);
  if (!ends || !alive_) return;
  if (Stream *still = table_.find(id); still && !still->closed) onRemoteEnd(*still);
}

void Session::onTrailers(Stream &s) {
  if (s.remoteEnded) return streamError(s.id, &s, STREAM_CLOSED);
  if (s.connect || !blockEndsStream_ || list_.tooLarge() || blockDependsOnItself_ || !wellFormedTrailers(list_.view())) {
    return streamError(s.id, &s, PROTOCOL_ERROR);
  }
  onRemoteEnd(s);
}

void Session::onResponseBlock(Stream *s) {
  const uint32_t id = frame_.stream;
  if (isIdle(id)) return protocolError("a response on an idle stream");
  if (!s || s->closed) {
    if (closed_.find(id) == ClosedStreams::Was::reset) return;
    return streamError(id, s, STREAM_CLOSED);
  }
  if (s->answered) return onTrailers(*s);
  if (s->remoteEnded) return streamError(id, s, STREAM_CLOSED);
  const auto headers = list_.view();
  const ResponseFacts facts = examineResponse(headers);
  const bool informational = facts.status < 200;
  if (list_.tooLarge() || !facts.wellFormed || (informational && blockEndsStream_)) return streamError(id, s, PROTOCOL_ERROR);
  if (informational) return void(spend("informational responses"));
  const bool accepted = facts.status < 300;
  if (s->connect && accepted && facts.contentLength >= 0) return streamError(id, s, PROTOCOL_ERROR);
  // Only a tunnel that was made is bound to DATA.
  s->connect = s->connect && accepted;
  s->answered = true;
  if (!s->connect) s->promised = facts.contentLength;
  const bool ends = blockEndsStream_;
  handler_.onResponse(tunnel_, *s, facts.status, headers);
  if (!ends || !alive_) return;
  if (Stream *still = table_.find(id); still && !still->closed) onRemoteEnd(*still);
}

// ---- frames of control

void Session::onPriority(Bytes p) {
  if ((read32(p.data()) & kMaxStreamId) == frame_.stream) {
    if (isIdle(frame_.stream)) return protocolError("a stream that depends on itself");
    return streamError(frame_.stream, table_.find(frame_.stream), PROTOCOL_ERROR);
  }
  spend("PRIORITY");
}

void Session::onRstStream(Bytes p) {
  Stream *s = table_.find(frame_.stream);
  if (!s || s->closed) return void(spend("RST_STREAM"));
  const uint32_t code = read32(p.data());
  markClosed(*s);
  closed_.add(s->id, false);
  const Stream was = *s;
  handler_.onReset(tunnel_, *s, code, code == REFUSED_STREAM);
  afterClose(was, true);
}

bool Session::applySetting(Setting setting, uint32_t value) {
  switch (setting) {
    case Setting::enablePush:
      if (value > (role_ == Role::server ? 1u : 0u)) {
        protocolError("a wrong ENABLE_PUSH");
        return false;
      }
      return true;
    case Setting::maxConcurrentStreams: peerMaxStreams_ = value; return true;
    case Setting::initialWindowSize: {
      if (value > kMaxWindow) {
        fail(TunnelFailure::Kind::http2, FLOW_CONTROL_ERROR, "a window that is too large");
        return false;
      }
      bool fits = true;
      table_.each([&](Stream &s) {
        s.sendWindow += int64_t(value) - peerWindow_;
        fits = fits && (s.closed || s.sendWindow <= kMaxWindow);
      });
      peerWindow_ = value;
      if (!fits) fail(TunnelFailure::Kind::http2, FLOW_CONTROL_ERROR, "a window that grew too large");
      return fits;
    }
    case Setting::maxFrameSize:
      // Frames of ours are never larger than the smallest limit.
      if (value < 16384 || value > 0xffffff) {
        protocolError("a wrong MAX_FRAME_SIZE");
        return false;
      }
      return true;
    case Setting::headerTableSize:
    case Setting::maxHeaderListSize: return true;
  }
  return true;
}

void Session::onSettings(Bytes p) {
  const bool first = !std::exchange(settingsSeen_, true);
  if (!first && !spend("SETTINGS")) return;
  const uint32_t maxStreams = peerMaxStreams_;
  for (; !p.empty(); p = p.subspan(6)) {
    if (!applySetting(Setting(read16(p.data())), read32(p.data() + 2))) return;
  }
  putReply(FrameType::settings, kAck, 0, {});
  if (!alive_) return;
  if (first || maxStreams != peerMaxStreams_) handler_.onSettings(tunnel_, peerMaxStreams_);
  if (alive_) wakeWaiting();
}

void Session::onSettingsAck() {
  if (announced_.empty()) return protocolError("an acknowledgement of no SETTINGS");
  const uint32_t window = announced_.front();
  announced_.pop_front();
  if (!std::exchange(tableAcknowledged_, true)) decoder_.tableAcknowledged();
  if (window >= streamWindow_) return;
  table_.each([&](Stream &s) { s.receiveWindow += int64_t(window) - streamWindow_; });
  streamWindow_ = window;
}

void Session::onPing(Bytes p) {
  if (!(frame_.flags & kAck)) {
    if (spend("PING")) putReply(FrameType::ping, kAck, 0, p);
    return;
  }
  if (!pingOwed_ || memcmp(p.data(), kPingPayload, sizeof kPingPayload) != 0) return void(spend("PING"));
  pingOwed_ = false;
  handler_.onPong(tunnel_);
}

void Session::onGoaway(Bytes p) {
  const uint32_t last = read32(p.data()) & kMaxStreamId, code = read32(p.data() + 4);
  if (last > lastGoawayId_) return protocolError("a GOAWAY that takes back another");
  if (!spend("GOAWAY")) return;
  lastGoawayId_ = last;
  goawayReceived_ = true;
  handler_.onGoaway(tunnel_, code);
  if (role_ == Role::client) {
    for (uint32_t id : table_.ids()) {
      Stream *s = alive_ && id > last ? table_.find(id) : nullptr;
      if (!s || s->closed) continue;
      markClosed(*s);
      closed_.add(id, true);
      handler_.onReset(tunnel_, *s, REFUSED_STREAM, true);
    }
  }
  if (!alive_) return;
  if (code == NO_ERROR && !goawaySent_) putGoaway(NO_ERROR);
  checkDrained();
}

void Session::onWindowUpdate(Bytes p) {
  const int64_t n = read32(p.data()) & kMaxStreamId;
  if (windowUpdates_ > 0) windowUpdates_--;
  else if (!spend("WINDOW_UPDATE")) return;
  if (frame_.stream == 0) {
    if (n == 0) return protocolError("WINDOW_UPDATE of 0");
    sendWindow_ += n;
    if (sendWindow_ > kMaxWindow) return fail(TunnelFailure::Kind::http2, FLOW_CONTROL_ERROR, "a window that grew too large");
    return wakeWaiting();
  }
  Stream *s = table_.find(frame_.stream);
  if (!s || s->closed) return;
  if (n == 0) return streamError(s->id, s, PROTOCOL_ERROR);
  s->sendWindow += n;
  if (s->sendWindow > kMaxWindow) return streamError(s->id, s, FLOW_CONTROL_ERROR);
  if (!s->waiting || sendable(*s) <= 0) return;
  s->waiting = false;
  handler_.onWritable(tunnel_, *s);
}

} // namespace aq
