// A peer that writes frames by hand to a tunnel without TLS.
#pragma once
#include "end.h"
#include "frames.h"
#include "plain-records.h"

namespace aq::units {

struct Peer {
  End end;
  explicit Peer(Role role, const TunnelLimits &limits = {}, RowPool *shared = nullptr)
      : end(role, limits, std::make_unique<PlainRecords>(), shared), role_(role) {}

  /** Preface and SETTINGS, and those of the tunnel acknowledged; the encoder's first block is to begin with tableSize0. */
  void begin() {
    send((role_ == Role::server ? std::string(kPreface) : std::string()) + settings() + settingsAck());
    frames();
  }
  /** As a server: takes the first CONNECT. */
  void beginStream(uint8_t flags = 0) {
    begin();
    send(firstConnect(1, flags));
    frames();
  }
  void send(const std::string &plain, size_t chunk = 0) {
    const std::string records = PlainRecords::wrap(plain);
    if (!records.empty()) end.give(records, chunk);
  }
  /** What the tunnel has sent since the last time. */
  std::vector<Frame> frames() {
    std::string out = PlainRecords::unwrap(end.take());
    if (role_ == Role::client && out.starts_with(kPreface)) out.erase(0, kPrefaceSize);
    return parseFrames(out);
  }
  /** The code of the GOAWAY among these, or -1. */
  int goaway() {
    for (const Frame &f : frames()) {
      if (f.type == FrameType::goaway) return int(read32(asBytes(f.payload).data() + 4));
    }
    return -1;
  }
  /** The code of the last RST_STREAM of `id`, or -1. */
  int resetOf(uint32_t id) {
    int code = -1;
    for (const Frame &f : frames()) {
      if (f.type == FrameType::rstStream && f.stream == id) code = int(read32(asBytes(f.payload).data()));
    }
    return code;
  }
  bool failed() const { return end.failure.has_value(); }

private:
  Role role_;
};

} // namespace aq::units
