// The output of a tunnel: a row of record slots. DATA is read straight into their holes and sealed in place.
#pragma once
#include "../bytes.h"
#include "../h2/unread.h"
#include "../state/state.h"
#include "../tls/records.h"
#include <memory>
#include <sys/uio.h>
#include <vector>

namespace aq {

/** What tunnels of one thread share: rows, which they borrow while they have something to write, and a budget. */
class RowPool {
public:
  static constexpr size_t kSlot = kMaxPlaintext + Records::kOverhead;
  /** Slots for DATA: 512 KiB of it. */
  static constexpr size_t kDataSlots = 33;
  /** More for control frames, so that WINDOW_UPDATE and the like get past a blocked socket. */
  static constexpr size_t kControlSlots = 4;
  static constexpr size_t kDataBytes = kDataSlots * kSlot;
  static constexpr size_t kBytes = (kDataSlots + kControlSlots) * kSlot;
  /** Behind the slots: a KeyUpdate and an alert always fit. */
  static constexpr size_t kSpare = 256;

  explicit RowPool(uint64_t unreadBudget = Unread::kBudget) : unread(unreadBudget) {}
  Unread unread;

  /** An idle tunnel holds none. std::bad_alloc. */
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

class OutputRow {
public:
  /** The frame header that stands before each hole. */
  static constexpr size_t kFrameHeader = 9;

  explicit OutputRow(RowPool &pool) : pool_(pool) {}
  ~OutputRow();
  OutputRow(const OutputRow &) = delete;
  OutputRow &operator=(const OutputRow &) = delete;

  /** What seals from now on; it outlives the row. */
  void secure(Records &records) { records_ = &records; }
  /** Bytes that are records already. */
  void putRaw(Bytes);
  /** Frames that are sent in any case: what finds no room waits for the socket, and no DATA passes it. */
  void put(Bytes);
  /** An alert behind everything else; nothing may follow. */
  void finish(uint8_t alert);

  /** Bytes of DATA that prepare() would take. */
  size_t dataRoom() const;
  /** As Tunnel::prepare(); each hole lies behind the place of its frame's header. */
  int prepare(size_t most, iovec *holes, int max);
  /** Fills in the headers of DATA of stream `id`. Returns how many frames that were. */
  size_t commit(uint32_t id, size_t size);

  /** Seals what is open; sends a KeyUpdate that is due. */
  void flush();
  Bytes output() const { return row_ ? Bytes(row_.get() + head_, tail_ - head_) : Bytes(); }
  /** True when nothing is left to write. */
  bool wrote(size_t);
  size_t queued() const { return tail_ - head_ + used_ + overflow_.size(); }
  /** Bytes that found no room in the row. */
  size_t overflow() const { return overflow_.size(); }
  /** What waits, after flush() and before finish(). The reader's row is new. */
  void save(StateWriter &) const;
  void restore(StateReader &);

private:
  void ensure();
  void closeRecord(size_t nextOpen);
  void closeRecord();
  void maintain();
  void sealAlert();
  RowPool &pool_;
  Records *records_ = nullptr;
  std::unique_ptr<uint8_t[]> row_;
  /** [head, tail) is sealed; the open record's slot is at open >= tail and holds `used` bytes of plain text. */
  size_t head_ = 0, tail_ = 0, open_ = 0, used_ = 0;
  std::vector<uint8_t> overflow_;
  int alert_ = -1;
};

} // namespace aq
