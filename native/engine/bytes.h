// Runs of bytes, and numbers in network order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace aq {

using Bytes = std::span<const uint8_t>;

inline uint32_t read16(const uint8_t *p) { return uint32_t(p[0]) << 8 | p[1]; }
inline uint32_t read24(const uint8_t *p) { return uint32_t(p[0]) << 16 | uint32_t(p[1]) << 8 | p[2]; }
inline uint32_t read32(const uint8_t *p) { return uint32_t(p[0]) << 24 | read24(p + 1); }

inline void write16(uint8_t *p, uint32_t v) {
  p[0] = uint8_t(v >> 8);
  p[1] = uint8_t(v);
}
inline void write24(uint8_t *p, uint32_t v) {
  p[0] = uint8_t(v >> 16);
  write16(p + 1, v & 0xffff);
}
inline void write32(uint8_t *p, uint32_t v) {
  p[0] = uint8_t(v >> 24);
  write24(p + 1, v & 0xffffff);
}

} // namespace aq
