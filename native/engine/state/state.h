// State as plain data: a list of fields that is written and read by the same lines, so that the two cannot differ. A reader
// checks each field's bounds, since what it reads may be another version's, or damaged.
#pragma once
#include "../bytes.h"
#include <algorithm>
#include <concepts>
#include <cstring>
#include <memory>
#include <openssl/crypto.h>
#include <stdexcept>
#include <utility>
#include <vector>

namespace aq {

/** Wipes what it gives back: there are keys in it. */
template <class T> struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <class U> WipingAllocator(const WipingAllocator<U> &) {}
  T *allocate(size_t n) { return std::allocator<T>().allocate(n); }
  void deallocate(T *p, size_t n) {
    OPENSSL_cleanse(p, n * sizeof(T));
    std::allocator<T>().deallocate(p, n);
  }
  bool operator==(const WipingAllocator &) const { return true; }
};
using SecretBytes = std::vector<uint8_t, WipingAllocator<uint8_t>>;

/** What was read is not what this version writes. */
struct UnreadableState : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class StateWriter {
public:
  static constexpr bool reads = false;

  /** A number from `least` to `most`; std::logic_error outside of them. */
  template <std::integral T> void number(T &value, int64_t least, int64_t most) {
    if (std::cmp_less(value, least) || std::cmp_greater(value, most)) throw std::logic_error("state out of its bounds");
    const auto v = uint64_t(value);
    for (int i = 0; i < 8; i++) bytes_.push_back(uint8_t(v >> (8 * i)));
  }
  void flag(bool &value) { bytes_.push_back(value); }
  /** As many bytes as both ends know. */
  void raw(const uint8_t *data, size_t size) { bytes_.insert(bytes_.end(), data, data + size); }
  /** At most `most` of them. */
  template <class Vector> void bytes(Vector &value, size_t most) {
    size_t size = value.size();
    number(size, 0, int64_t(most));
    raw(value.data(), size);
  }
  /** It is empty then. */
  SecretBytes take() { return std::move(bytes_); }

private:
  SecretBytes bytes_;
};

/** Everything may throw UnreadableState. */
class StateReader {
public:
  static constexpr bool reads = true;
  explicit StateReader(Bytes bytes) : rest_(bytes) {}

  template <std::integral T> void number(T &value, int64_t least, int64_t most) {
    const Bytes b = next(8);
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++) v |= uint64_t(b[i]) << (8 * i);
    const auto wide = int64_t(v);
    if (wide < least || wide > most) throw UnreadableState("a number out of its bounds");
    value = T(wide);
  }
  void flag(bool &value) {
    const uint8_t b = next(1)[0];
    if (b > 1) throw UnreadableState("a flag that is neither 0 nor 1");
    value = b == 1;
  }
  void raw(uint8_t *data, size_t size) {
    const Bytes b = next(size);
    if (size > 0) memcpy(data, b.data(), size);
  }
  template <class Vector> void bytes(Vector &value, size_t most) {
    const Bytes b = view(most);
    value.assign(b.begin(), b.end());
  }
  /** The same where it lies. */
  Bytes view(size_t most) {
    size_t size = 0;
    number(size, 0, int64_t(most));
    return next(size);
  }
  void end() const { check(rest_.empty(), "bytes behind its end"); }
  static void check(bool holds, const char *otherwise) {
    if (!holds) throw UnreadableState(otherwise);
  }

private:
  Bytes next(size_t size) {
    check(size <= rest_.size(), "it ends too early");
    const Bytes b = rest_.first(size);
    rest_ = rest_.subspan(size);
    return b;
  }
  Bytes rest_;
};

} // namespace aq
