// Frames that a peer of a test writes and reads by hand.
#pragma once
#include "../h2/frames.h"
#include <string>
#include <utility>
#include <vector>

namespace aq::units {

struct Frame {
  FrameType type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;
};

inline std::string frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload = {}) {
  uint8_t header[kFrameHeaderSize];
  FrameHeader{uint32_t(payload.size()), type, flags, stream}.write(header);
  return std::string(reinterpret_cast<char *>(header), sizeof header).append(payload);
}

inline std::string number(uint32_t v) {
  uint8_t b[4];
  write32(b, v);
  return {reinterpret_cast<char *>(b), 4};
}

inline std::string settings(const std::vector<std::pair<uint16_t, uint32_t>> &list = {}) {
  std::string payload;
  for (const auto &[key, value] : list) payload.append(1, char(key >> 8)).append(1, char(key)).append(number(value));
  return frame(FrameType::settings, 0, 0, payload);
}
inline std::string settingsAck() { return frame(FrameType::settings, kAck, 0); }

/** HPACK: literals without indexing and without Huffman. */
inline std::string literals(const std::vector<std::pair<std::string, std::string>> &list) {
  std::string block;
  const auto text = [&](const std::string &s) {
    size_t n = s.size();
    if (n < 127) {
      block.append(1, char(n));
    } else {
      block.append(1, 127);
      for (n -= 127; n >= 128; n >>= 7) block.append(1, char(0x80 | (n & 127)));
      block.append(1, char(n));
    }
    block.append(s);
  };
  for (const auto &[name, value] : list) {
    block.append(1, 0);
    text(name);
    text(value);
  }
  return block;
}
/** The encoder's answer to a table size of 0, which opens its next block. */
inline const std::string tableSize0 = std::string(1, 0x20);
inline std::string connectBlock() { return literals({{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}}); }
inline std::string connect(uint32_t id, uint8_t flags = 0) {
  return frame(FrameType::headers, uint8_t(kEndHeaders | flags), id, connectBlock());
}
/** The first block after SETTINGS were acknowledged. */
inline std::string firstConnect(uint32_t id, uint8_t flags = 0) {
  return frame(FrameType::headers, uint8_t(kEndHeaders | flags), id, tableSize0 + connectBlock());
}
inline std::string firstHeaders(uint32_t id, uint8_t flags, const std::string &block) {
  return frame(FrameType::headers, uint8_t(kEndHeaders | flags), id, tableSize0 + block);
}
inline std::string windowUpdate(uint32_t id, uint32_t n) { return frame(FrameType::windowUpdate, 0, id, number(n)); }
inline std::string rst(uint32_t id, uint32_t code) { return frame(FrameType::rstStream, 0, id, number(code)); }

inline std::vector<Frame> parseFrames(std::string_view bytes) {
  std::vector<Frame> result;
  while (bytes.size() >= kFrameHeaderSize) {
    const FrameHeader h = FrameHeader::read(reinterpret_cast<const uint8_t *>(bytes.data()));
    result.push_back({h.type, h.flags, h.stream, std::string(bytes.substr(kFrameHeaderSize, h.length))});
    bytes.remove_prefix(std::min(bytes.size(), kFrameHeaderSize + h.length));
  }
  return result;
}

} // namespace aq::units
