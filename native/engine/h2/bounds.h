// What a connection may ask for that costs us and brings nobody anything.
#pragma once
#include <algorithm>
#include <cstdint>

namespace aq {

/**
 * Rapid reset and its mirror, where the peer makes us reset: as common/hbone/reset-guard.ts, which says why. False when more
 * than half of more than 500 requests of 30 s were reset within 1 s each.
 */
class ResetGuard {
public:
  bool ended(uint64_t opened, uint64_t now, bool resetByPeer) {
    if (!begun_ || now - start_ > 30'000) {
      begun_ = true;
      start_ = now;
      requests_ = resets_ = 0;
    }
    requests_++;
    if (resetByPeer && now - opened < 1'000) resets_++;
    return requests_ <= 500 || resets_ * 2 <= requests_;
  }

  template <class State> void transfer(State &s) {
    s.flag(begun_);
    for (uint64_t *n : {&start_, &requests_, &resets_}) s.number(*n, 0, kMost);
  }

private:
  static constexpr int64_t kMost = int64_t(1) << 53;
  bool begun_ = false;
  uint64_t start_ = 0, requests_ = 0, resets_ = 0;
};

/** Frames that carry nothing: a stock of 1,000, and 200 more each second. */
class FrameBudget {
public:
  bool spend(uint64_t now) {
    const uint64_t gained = (now - last_) * kPerSecond / 1000;
    if (gained > 0) {
      left_ = std::min(kStock, left_ + gained);
      last_ = now;
    }
    if (left_ == 0) return false;
    left_--;
    return true;
  }

  template <class State> void transfer(State &s) {
    s.number(left_, 0, kStock);
    s.number(last_, 0, int64_t(1) << 53);
  }

private:
  static constexpr uint64_t kStock = 1000, kPerSecond = 200;
  uint64_t left_ = kStock, last_ = 0;
};

} // namespace aq
