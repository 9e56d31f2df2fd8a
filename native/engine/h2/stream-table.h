// The streams of a connection by id, and the ids that were in use lately.
#pragma once
#include "stream.h"
#include <algorithm>
#include <utility>
#include <vector>

namespace aq {

class StreamTable {
public:
  StreamTable() : buckets_(16) {}
  ~StreamTable() {
    for (Stream *s : buckets_) {
      while (s) delete std::exchange(s, s->nextInBucket);
    }
  }
  StreamTable(const StreamTable &) = delete;
  StreamTable &operator=(const StreamTable &) = delete;

  Stream *find(uint32_t id) const {
    Stream *s = buckets_[bucket(id)];
    while (s && s->id != id) s = s->nextInBucket;
    return s;
  }
  /** std::bad_alloc. */
  Stream &add(uint32_t id) {
    if (size_ >= buckets_.size()) grow();
    auto *s = new Stream;
    s->id = id;
    link(s);
    size_++;
    return *s;
  }
  void remove(Stream &stream) {
    Stream **p = &buckets_[bucket(stream.id)];
    while (*p != &stream) p = &(*p)->nextInBucket;
    *p = stream.nextInBucket;
    size_--;
    delete &stream;
  }
  size_t size() const { return size_; }
  Stream *firstOpen() const {
    for (Stream *s : buckets_) {
      for (; s; s = s->nextInBucket) {
        if (!s->closed) return s;
      }
    }
    return nullptr;
  }
  /** To be used where handlers may remove streams meanwhile. */
  std::vector<uint32_t> ids() const {
    std::vector<uint32_t> result;
    result.reserve(size_);
    each([&](Stream &s) { result.push_back(s.id); });
    return result;
  }
  template <class Use> void each(Use use) const {
    for (Stream *s : buckets_) {
      for (; s; s = s->nextInBucket) use(*s);
    }
  }

private:
  size_t bucket(uint32_t id) const { return (id >> 1) & (buckets_.size() - 1); }
  void link(Stream *s) {
    Stream *&first = buckets_[bucket(s->id)];
    s->nextInBucket = first;
    first = s;
  }
  void grow() {
    const std::vector<Stream *> old = std::exchange(buckets_, std::vector<Stream *>(buckets_.size() * 2));
    for (Stream *s : old) {
      while (s) link(std::exchange(s, s->nextInBucket));
    }
  }
  std::vector<Stream *> buckets_;
  size_t size_ = 0;
};

/** The last ids that were closed: what still comes for those that we reset was under way, for others it is a mistake. */
class ClosedStreams {
public:
  enum class Was { unknown, ended, reset };
  void add(uint32_t id, bool reset) {
    const uint32_t entry = id << 1 | uint32_t(reset);
    if (ring_.size() < kSize) ring_.push_back(entry);
    else ring_[next_++ % kSize] = entry;
  }
  /** Oldest first. */
  template <class State> void transfer(State &s) {
    std::rotate(ring_.begin(), ring_.begin() + ptrdiff_t(ring_.empty() ? 0 : next_ % ring_.size()), ring_.end());
    next_ = 0;
    size_t size = ring_.size();
    s.number(size, 0, kSize);
    ring_.resize(size);
    for (uint32_t &entry : ring_) s.number(entry, 0, UINT32_MAX);
  }
  Was find(uint32_t id) const {
    for (uint32_t entry : ring_) {
      if (entry >> 1 == id) return entry & 1 ? Was::reset : Was::ended;
    }
    return Was::unknown;
  }

private:
  static constexpr size_t kSize = 512;
  std::vector<uint32_t> ring_;
  size_t next_ = 0;
};

} // namespace aq
