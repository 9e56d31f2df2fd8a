// Bytes that wait.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace aq {

class Fifo {
public:
  size_t size() const { return bytes_.size() - at_; }
  bool empty() const { return size() == 0; }
  const uint8_t *data() const { return bytes_.data() + at_; }
  // Of what waited elsewhere.
  template <class It> void assign(It from, It to) {
    bytes_.assign(from, to);
    at_ = 0;
  }
  void append(const void *data, size_t size) {
    if (size == 0) return;
    if (at_ > 0 && at_ >= bytes_.size() / 2) {
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(at_));
      at_ = 0;
    }
    // Twice what is needed would be too much of what slow readers leave.
    if (const size_t wanted = bytes_.size() + size; wanted > bytes_.capacity() && wanted > kKept) bytes_.reserve(wanted + wanted / 4);
    const auto *from = static_cast<const uint8_t *>(data);
    bytes_.insert(bytes_.end(), from, from + size);
  }
  void drop(size_t size) {
    at_ += size;
    if (at_ < bytes_.size()) return;
    at_ = 0;
    // Of a reader that was slow once nothing stays.
    if (bytes_.capacity() > kKept) bytes_ = {};
    else bytes_.clear();
  }

private:
  static constexpr size_t kKept = 16 * 1024;
  std::vector<uint8_t> bytes_;
  size_t at_ = 0;
};

} // namespace aq
