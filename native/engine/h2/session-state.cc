// What a session is, as plain data: field by field, each within what a session can come to.
#include "session.h"
#include <algorithm>

namespace aq {
namespace {

constexpr int64_t kMostBytes = int64_t(1) << 53;
/** SETTINGS of ours on their way: the next one waits for the acknowledgement of the last. */
constexpr size_t kMostAnnounced = 16;
constexpr uint32_t kMostSettings = 64 * 6, kGoawaySize = 8;
constexpr size_t kMostOpenings = 1u << 20;

} // namespace

template <class State> void Session::transferStream(State &s, Stream &stream) const {
  s.flag(stream.remoteEnded);
  s.flag(stream.localEnded);
  s.flag(stream.closed);
  s.flag(stream.connect);
  s.flag(stream.answered);
  s.flag(stream.waiting);
  // Below 0 by SETTINGS.
  s.number(stream.sendWindow, -2 * kMaxWindow, kMaxWindow);
  s.number(stream.receiveWindow, -2 * kMaxWindow, 2 * kMaxWindow);
  s.number(stream.unconsumed, 0, kMostBytes);
  s.number(stream.unreported, 0, UINT32_MAX);
  s.number(stream.promised, -1, INT64_MAX);
  s.number(stream.received, 0, kMostBytes);
  s.number(stream.sent, 0, kMostBytes);
  s.number(stream.opened, 0, kMostBytes);
}

template <class State> void Session::transferConnection(State &s) {
  s.number(now_, 0, kMostBytes);
  s.flag(goawayReceived_);
  s.flag(goawaySent_);
  s.number(peerMaxStreams_, 0, UINT32_MAX);
  s.number(peerWindow_, 0, kMaxWindow);
  s.number(lastPeerId_, 0, kMaxStreamId);
  s.number(highestPeerId_, 0, kMaxStreamId);
  s.number(lastGoawayId_, 0, kMaxStreamId);
  s.number(sendWindow_, 0, kMaxWindow);
  s.number(nextId_, 1, int64_t(kMaxStreamId) + 2);
  s.number(receiveWindow_, 0, kMaxWindow);
  s.number(unreported_, 0, UINT32_MAX);
  s.number(streamWindow_, 0, kMaxWindow);
  size_t announced = announced_.size();
  s.number(announced, 0, kMostAnnounced);
  announced_.resize(announced);
  for (uint32_t &window : announced_) s.number(window, 0, kMaxWindow);
  s.flag(pingOwed_);
  closed_.transfer(s);
  resets_.transfer(s);
  s.flag(resetFlood_);
  budget_.transfer(s);
  s.number(windowUpdates_, 0, kMostBytes);
  s.number(replies_, 0, UINT32_MAX);
  s.number(frames_, 0, UINT32_MAX);
  s.number(streamErrors_, 0, UINT32_MAX);
}

template <class State> void Session::transferPosition(State &s) {
  s.raw(headerBytes_, sizeof headerBytes_);
  s.number(headerSize_, 0, kFrameHeaderSize);
  s.number(payloadLeft_, 0, limits_.maxFrame);
  s.bytes(payload_, limits_.maxFrame);
  s.flag(padLengthDue_);
  // The length of the padding counts too.
  s.number(padding_, 0, 256);
  s.number(dataStream_, 0, kMaxStreamId);
  s.flag(skipping_);
  s.number(blockStream_, 0, kMaxStreamId);
  s.flag(blockEndsStream_);
  s.flag(blockDependsOnItself_);
  s.number(continuations_, 0, UINT32_MAX);
  s.bytes(block_, size_t(limits_.maxHeaderList) + 256);
}

/** Whether a frame of control whose payload is under way has passed beginFrame(), on which endFrame() relies. */
bool Session::mayBeCut(const FrameHeader &f) const {
  switch (f.type) {
    case FrameType::headers:
    case FrameType::continuation: return f.stream != 0 && block_.size() + f.length <= size_t(limits_.maxHeaderList) + 256;
    case FrameType::priority: return f.stream != 0 && f.length == 5;
    case FrameType::rstStream: return f.stream != 0 && f.length == 4;
    case FrameType::settings: return !(f.flags & kAck) && f.length % 6 == 0 && f.length <= kMostSettings;
    case FrameType::ping: return f.length == 8;
    case FrameType::goaway: return f.length >= kGoawaySize && f.length <= kMaxPlaintext;
    case FrameType::windowUpdate: return f.length == 4;
    case FrameType::data:
    case FrameType::pushPromise: return false;
  }
  return false;
}

void Session::save(StateWriter &s) {
  transferConnection(s);
  // What came of a frame before belongs to no later one.
  if (headerSize_ < kFrameHeaderSize) {
    payloadLeft_ = 0;
    payload_.clear();
  }
  transferPosition(s);
  std::vector<uint32_t> ids = table_.ids();
  std::sort(ids.begin(), ids.end());
  size_t count = ids.size();
  s.number(count, 0, kMostOpenings);
  for (uint32_t id : ids) {
    s.number(id, 1, kMaxStreamId);
    transferStream(s, *table_.find(id));
  }
}

void Session::restore(StateReader &s) {
  transferConnection(s);
  StateReader::check(nextId_ % 2 == 1, "an even id");
  transferPosition(s);
  if (headerSize_ == kFrameHeaderSize) {
    frame_ = FrameHeader::read(headerBytes_);
    StateReader::check(frame_.length <= limits_.maxFrame && payloadLeft_ > 0 && payloadLeft_ <= frame_.length, "a frame that is too large");
    const bool kept = frame_.type != FrameType::data && !skipping_;
    StateReader::check(kept ? payload_.size() + payloadLeft_ == frame_.length && mayBeCut(frame_) : payload_.empty(), "half a frame");
  } else {
    StateReader::check(payload_.empty() && payloadLeft_ == 0, "a frame without its header");
  }
  size_t count = 0;
  s.number(count, 0, kMostOpenings);
  for (; count > 0; count--) {
    uint32_t id = 0;
    s.number(id, 1, kMaxStreamId);
    StateReader::check(!isIdle(id) && !table_.find(id), "a stream that cannot be");
    Stream &stream = table_.add(id);
    transferStream(s, stream);
    StateReader::check(!stream.closed || (stream.localEnded && stream.remoteEnded), "a stream that is closed and open");
    if (!stream.closed) open_++;
    if (stream.waiting) waiting_.push_back(id);
    unconsumed_ += stream.unconsumed;
  }
  tellUnread();
  prefaceSeen_ = kPrefaceSize;
  settingsSeen_ = tableAcknowledged_ = true;
  decoder_.resume();
}

} // namespace aq
