// The output of a tunnel: a row of record slots. DATA is read straight into their holes and sealed in place.
#pragma once
#include "../bytes.h"
#include "../tls/records.h"
#include <memory>
#include <vector>

namespace aq {

/** Rows that tunnels of one thread lend while they have something to write: an idle tunnel holds none. */
class RowPool {
public:
  /** Bytes of plain text that a row takes before its tunnel has to wait for the socket. */
  static constexpr size_t kDataSlots = 33;
  /** More for control frames, so that WINDOW_UPDATE and the like pass a blocked socket. */
  static constexpr size_t kControlSlots = 4;
  static constexpr size_t kSlot = 5 + 16384 + 64;
  static constexpr size_t kBytes = (kDataSlots + kControlSlots) * kSlot;

  /** std::bad_alloc. */
  std::unique_ptr<uint8_t[]> take();
  void give(std::unique_ptr<uint8_t[]> row);
  /** Rows that are lent now, and the most that ever were. */
  size_t lent() const { return lent_; }
  size_t peak() const { return peak_; }

private:
  static constexpr size_t kKept = 4;
  std::vector<std::unique_ptr<uint8_t[]>> free_;
  size_t lent_ = 0, peak_ = 0;
};

} // namespace aq
