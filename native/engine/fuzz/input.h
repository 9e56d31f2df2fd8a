// A fuzzer's bytes as a source of choices.
#pragma once
#include "../bytes.h"
#include <algorithm>
#include <string_view>

namespace aq::fuzz {

class Input {
public:
  Input(const uint8_t *data, size_t size) : rest_(data, size) {}
  bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t b = rest_[0];
    rest_ = rest_.subspan(1);
    return b;
  }
  uint32_t word() {
    const uint32_t high = byte();
    return high << 8 | byte();
  }
  std::string_view take(size_t n) {
    const Bytes part = rest_.first(std::min(n, rest_.size()));
    rest_ = rest_.subspan(part.size());
    return {reinterpret_cast<const char *>(part.data()), part.size()};
  }
  std::string_view all() { return take(rest_.size()); }

private:
  Bytes rest_;
};

/** Ends the process where something does not hold. */
inline void holds(bool condition) {
  if (!condition) __builtin_trap();
}

} // namespace aq::fuzz
