#include "row.h"
#include <algorithm>
#include <cstring>

namespace aq {
namespace {

/** A record with less room than this is closed rather than continued. */
constexpr size_t kWorthwhile = 256;
/** A session fails with less; one header block may come on top. */
constexpr size_t kMostOverflow = 4u << 20;

} // namespace

std::unique_ptr<uint8_t[]> RowPool::take() {
  std::unique_ptr<uint8_t[]> row;
  if (free_.empty()) {
    // Not initialised: pages that no tunnel ever fills are never touched.
    row.reset(new uint8_t[kBytes + kSpare]);
  } else {
    row = std::move(free_.back());
    free_.pop_back();
  }
  peak_ = std::max(peak_, ++lent_);
  return row;
}

void RowPool::give(std::unique_ptr<uint8_t[]> row) {
  lent_--;
  if (free_.size() < kKept) free_.push_back(std::move(row));
}

OutputRow::~OutputRow() {
  if (row_) pool_.give(std::move(row_));
}

void OutputRow::ensure() {
  if (row_) return;
  row_ = pool_.take();
  head_ = tail_ = open_ = used_ = 0;
}

void OutputRow::closeRecord(size_t nextOpen) {
  if (used_ == 0) return;
  const size_t size = used_;
  used_ = 0;
  tail_ += records_->seal(row_.get() + open_, size, row_.get() + tail_);
  open_ = std::max(nextOpen, tail_);
}

void OutputRow::closeRecord() { closeRecord(0); }

void OutputRow::maintain() {
  if (!records_ || !records_->due()) return;
  ensure();
  closeRecord();
  if (tail_ + RowPool::kSlot > RowPool::kBytes) return;
  tail_ += records_->maintain(row_.get() + tail_);
  open_ = tail_;
}

void OutputRow::putRaw(Bytes bytes) {
  ensure();
  const size_t n = std::min(bytes.size(), RowPool::kBytes - tail_);
  memcpy(row_.get() + tail_, bytes.data(), n);
  tail_ += n;
  open_ = tail_;
}

void OutputRow::put(Bytes bytes) {
  if (overflow_.empty()) {
    ensure();
    while (!bytes.empty()) {
      if (used_ == kMaxPlaintext) closeRecord();
      if (open_ + RowPool::kSlot > RowPool::kBytes) break;
      const size_t n = std::min(bytes.size(), kMaxPlaintext - used_);
      memcpy(row_.get() + open_ + kRecordHeader + used_, bytes.data(), n);
      used_ += n;
      bytes = bytes.subspan(n);
    }
  }
  overflow_.insert(overflow_.end(), bytes.begin(), bytes.end());
}

void OutputRow::finish(uint8_t alert) {
  alert_ = alert;
  if (overflow_.empty()) sealAlert();
}

void OutputRow::sealAlert() {
  if (alert_ < 0 || !records_) return;
  ensure();
  closeRecord();
  tail_ += records_->alert(uint8_t(alert_), row_.get() + tail_);
  open_ = tail_;
  alert_ = -1;
}

size_t OutputRow::dataRoom() const {
  constexpr size_t perSlot = kMaxPlaintext - kFrameHeader;
  if (!overflow_.empty()) return 0;
  const size_t at = row_ ? open_ : 0;
  const size_t slots = at < RowPool::kDataBytes ? (RowPool::kDataBytes - at) / RowPool::kSlot : 0;
  const size_t taken = !row_ ? 0 : used_ + kFrameHeader + kWorthwhile > kMaxPlaintext ? perSlot : used_;
  return slots == 0 ? 0 : slots * perSlot - taken;
}

int OutputRow::prepare(size_t most, iovec *holes, int max) {
  if (!overflow_.empty() || most == 0) return 0;
  ensure();
  maintain();
  if (used_ + kFrameHeader + kWorthwhile > kMaxPlaintext) closeRecord();
  int n = 0;
  size_t taken = used_;
  for (size_t at = open_; most > 0 && n < max && at + RowPool::kSlot <= RowPool::kDataBytes; at += records_->stride()) {
    const size_t size = std::min(most, kMaxPlaintext - kFrameHeader - taken);
    holes[n++] = {row_.get() + at + kRecordHeader + taken + kFrameHeader, size};
    most -= size;
    taken = 0;
  }
  return n;
}

size_t OutputRow::commit(uint32_t id, size_t size) {
  size_t frames = 0;
  while (size > 0) {
    const size_t n = std::min(size, kMaxPlaintext - kFrameHeader - used_);
    uint8_t *header = row_.get() + open_ + kRecordHeader + used_;
    write24(header, uint32_t(n));
    header[3] = header[4] = 0;
    write32(header + 5, id);
    used_ += kFrameHeader + n;
    size -= n;
    frames++;
    if (size > 0) closeRecord(open_ + records_->stride());
    else if (used_ + kFrameHeader + kWorthwhile > kMaxPlaintext) closeRecord();
  }
  return frames;
}

void OutputRow::flush() {
  if (row_) closeRecord();
  maintain();
}

void OutputRow::save(StateWriter &s) const {
  if (used_ > 0 || alert_ >= 0) throw std::logic_error("a row that is not at rest");
  Bytes sealed = output(), waiting = overflow_;
  s.bytes(sealed, RowPool::kBytes + RowPool::kSpare);
  s.bytes(waiting, kMostOverflow);
}

void OutputRow::restore(StateReader &s) {
  const Bytes sealed = s.view(RowPool::kBytes + RowPool::kSpare);
  s.bytes(overflow_, kMostOverflow);
  StateReader::check(overflow_.empty() || !sealed.empty(), "frames that wait for nothing");
  if (!sealed.empty()) {
    ensure();
    memcpy(row_.get(), sealed.data(), sealed.size());
    tail_ = open_ = sealed.size();
  }
}

bool OutputRow::wrote(size_t size) {
  head_ += std::min(size, tail_ - head_);
  if (head_ < tail_ || used_ > 0) return false;
  if (row_) pool_.give(std::move(row_));
  head_ = tail_ = open_ = 0;
  if (!overflow_.empty()) {
    const std::vector<uint8_t> waiting = std::move(overflow_);
    overflow_.clear();
    put(waiting);
    flush();
  }
  if (overflow_.empty()) sealAlert();
  return tail_ == 0;
}

} // namespace aq
