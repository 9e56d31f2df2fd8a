// Types, flags and sizes of HTTP/2 frames (RFC 9113 4.1, 6).
#pragma once
#include "../bytes.h"

namespace aq {

inline constexpr size_t kFrameHeaderSize = 9;
inline constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr size_t kPrefaceSize = sizeof kPreface - 1;
inline constexpr int64_t kMaxWindow = 0x7fffffff;
inline constexpr uint32_t kDefaultWindow = 65535;
inline constexpr uint32_t kMaxStreamId = 0x7fffffff;

enum class FrameType : uint8_t {
  data = 0,
  headers = 1,
  priority = 2,
  rstStream = 3,
  settings = 4,
  pushPromise = 5,
  ping = 6,
  goaway = 7,
  windowUpdate = 8,
  continuation = 9,
};

enum : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kPriority = 32 };

enum class Setting : uint16_t {
  headerTableSize = 1,
  enablePush = 2,
  maxConcurrentStreams = 3,
  initialWindowSize = 4,
  maxFrameSize = 5,
  maxHeaderListSize = 6,
};

struct FrameHeader {
  uint32_t length = 0;
  FrameType type = FrameType::data;
  uint8_t flags = 0;
  uint32_t stream = 0;

  static FrameHeader read(const uint8_t *p) { return {read24(p), FrameType(p[3]), p[4], read32(p + 5) & kMaxStreamId}; }
  void write(uint8_t *p) const {
    write24(p, length);
    p[3] = uint8_t(type);
    p[4] = flags;
    write32(p + 5, stream);
  }
};

} // namespace aq
