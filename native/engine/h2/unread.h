// What one thread holds for readers that are slow: of streams of all tunnels, and of connections that go on in plain text.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace aq {

/**
 * Beyond the budget, tunnels that hold more than others get small windows, the smaller the more streams there are: what a thousand
 * readers leave unread costs as much as what ten do, and a tunnel whose readers are quick loses nothing.
 */
class Unread {
public:
  /** Bytes. */
  static constexpr uint64_t kBudget = 32u << 20;
  /** Bytes of a small window. The least still lets a record's worth through in a few turns. */
  static constexpr uint32_t kLeast = 4 * 1024, kMost = 64 * 1024;

  explicit Unread(uint64_t budget = kBudget) : budget_(budget) {}

  /** In place of what the same holder had told before. */
  void tell(uint64_t before, uint64_t bytes) { bytes_ += bytes - before; }
  void tellStreams(size_t before, size_t streams) { streams_ += streams - before; }
  void join() { tunnels_++; }
  void leave() { tunnels_--; }

  uint64_t bytes() const { return bytes_; }
  bool full() const { return bytes_ > budget_; }
  /** Whether a tunnel that holds so much is among those by whom the budget was spent. */
  bool holdsTooMuch(uint64_t bytes) const { return full() && bytes > share() / 2; }
  /** Not the same border, so that windows do not change with each byte. */
  bool holdsLittle(uint64_t bytes) const { return bytes_ <= budget_ / 2 || bytes <= share() / 4; }
  uint32_t smallWindow() const {
    return uint32_t(std::clamp<uint64_t>(budget_ / std::max<size_t>(streams_, 1), kLeast, kMost));
  }

private:
  uint64_t share() const { return budget_ / std::max<size_t>(tunnels_, 1); }

  const uint64_t budget_;
  uint64_t bytes_ = 0;
  size_t streams_ = 0, tunnels_ = 0;
};

} // namespace aq
