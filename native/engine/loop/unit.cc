#include "unit.h"
#include "loop.h"
#include "stream-end.h"
#include "tcp-end.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace aq {

namespace {

constexpr int64_t kVersion = 1;
/** Bytes: what waits in a tunnel's relays is bounded by its windows, and by the loop's budget. */
constexpr int64_t kMostState = 1 << 28;
constexpr int64_t kMostRelays = 1 << 16;
constexpr int64_t kMostCounted = int64_t(1) << 53;
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Bytes textOf(std::string_view text) { return {reinterpret_cast<const uint8_t *>(text.data()), text.size()}; }
Bytes numbers(const std::vector<int32_t> &of) { return {reinterpret_cast<const uint8_t *>(of.data()), of.size() * sizeof(int32_t)}; }

class Descriptor {
public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor &&other) noexcept : fd_(other.release()) {}
  Descriptor &operator=(Descriptor &&other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

private:
  int fd_;
};

/** In memory that no file system has and nobody can change. std::system_error. */
Descriptor sealed(const SecretBytes &bytes) {
#ifdef MFD_NOEXEC_SEAL
  Descriptor fd(memfd_create("aquifer-unit", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
#else
  Descriptor fd(memfd_create("aquifer-unit", MFD_CLOEXEC | MFD_ALLOW_SEALING));
#endif
  if (fd.get() < 0) throw std::system_error(errno, std::generic_category());
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(fd.get(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw std::system_error(n == 0 ? ENOSPC : errno, std::generic_category());
    at += size_t(n);
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) throw std::system_error(errno, std::generic_category());
  return fd;
}

SecretBytes readSealed(int fd) {
  struct stat is {};
  const int seals = fcntl(fd, F_GET_SEALS);
  StateReader::check(seals >= 0 && (seals & kSeals) == kSeals, "it is no sealed memory");
  StateReader::check(fstat(fd, &is) == 0 && is.st_size <= kMostState, "it is too large");
  SecretBytes bytes(size_t(is.st_size));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = pread(fd, bytes.data() + at, bytes.size() - at, off_t(at));
    if (n < 0 && errno == EINTR) continue;
    StateReader::check(n > 0, "it cannot be read");
    at += size_t(n);
  }
  return bytes;
}

template <class State> void transferId(State &s, Id &id) {
  constexpr auto least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max();
  s.number(id.slot, least, most);
  s.number(id.generation, least, most);
}

} // namespace

/** Taken over: what nobody took is closed. */
class Unit::Descriptors {
public:
  explicit Descriptors(std::string_view text) {
    for (size_t at = 0; at + 4 <= text.size(); at += 4) {
      int32_t fd;
      memcpy(&fd, text.data() + at, 4);
      all_.emplace_back(fd);
    }
  }
  int next() {
    StateReader::check(at_ < all_.size() && all_[at_].get() >= 0, "a descriptor too few");
    return all_[at_++].release();
  }
  void end() const { StateReader::check(at_ == all_.size(), "a descriptor too many"); }

private:
  std::vector<Descriptor> all_;
  size_t at_ = 0;
};

void Unit::add(End &end) {
  if (end.isUpstream()) relays_.push_back({end.peer(), &end});
  else relays_.push_back({&end, end.peer()});
}

const char *Unit::gather(Object *of) {
  if (of == nullptr || of->dead) return "it has ended";
  if (of->frozen) return "it is on its way already";
  carrier_ = dynamic_cast<Carrier *>(of);
  if (carrier_ != nullptr) {
    if (const char *why = carrier_->unmovable()) return why;
    for (uint32_t id : carrier_->tunnel().ids()) {
      auto *end = static_cast<StreamEnd *>(carrier_->tunnel().find(id)->owner);
      if (end == nullptr) return "a stream of it belongs to nobody";
      if (const char *why = end->unmovable()) return why;
      add(*end);
    }
  } else {
    auto *end = dynamic_cast<End *>(of);
    if (end == nullptr) return "it is no connection";
    if (!end->isRelayed()) return end->unmovable();
    add(*end);
  }
  for (const auto &[downstream, upstream] : relays_) {
    auto *stream = dynamic_cast<StreamEnd *>(downstream);
    End *app = stream != nullptr ? upstream : downstream;
    if (stream == nullptr) stream = dynamic_cast<StreamEnd *>(upstream);
    if (stream != nullptr && dynamic_cast<TcpEnd *>(app) == nullptr) return "a stream of it is relayed to another tunnel";
    if (stream != nullptr && stream->stream() != nullptr && carrier_ == nullptr) return "it moves with its tunnel";
    for (End *end : {downstream, upstream})
      if (const char *why = end->unmovable()) return why;
  }
  return nullptr;
}

Unit::Kind Unit::kind() const {
  if (carrier_ != nullptr) return Kind::tunnel;
  const auto &[downstream, upstream] = relays_.front();
  const bool tcp = dynamic_cast<TcpEnd *>(downstream) != nullptr && dynamic_cast<TcpEnd *>(upstream) != nullptr;
  return tcp ? Kind::connections : Kind::withoutStream;
}

SecretBytes Unit::save(SecretBytes &tunnel) {
  StateWriter s;
  int64_t version = kVersion;
  s.number(version, kVersion, kVersion);
  Kind kind = this->kind();
  auto which = int(kind);
  s.number(which, 0, int(Kind::withoutStream));
  if (kind == Kind::tunnel) s.bytes(tunnel, kMostState);
  size_t count = relays_.size();
  s.number(count, 0, kMostRelays);
  for (const auto &[downstream, upstream] : relays_) {
    End *first = downstream, *second = upstream;
    bool turned = false;
    if (kind != Kind::connections && dynamic_cast<StreamEnd *>(downstream) == nullptr) {
      std::swap(first, second);
      turned = true;
    }
    if (kind == Kind::tunnel) s.number(static_cast<StreamEnd *>(first)->stream()->id, 1, INT32_MAX);
    s.flag(turned);
    transferId(s, downstream->id);
    for (int i = 0; i < 2; i++) {
      auto counted = int64_t(downstream->counters()[i]);
      s.number(counted, 0, kMostCounted);
    }
    first->save(s);
    second->save(s);
  }
  return s.take();
}

std::vector<int32_t> Unit::freezeAll() {
  std::vector<int32_t> fds;
  if (carrier_ != nullptr) fds.push_back(carrier_->freeze());
  for (const auto &[downstream, upstream] : relays_)
    for (End *end : {downstream, upstream})
      if (const int fd = end->freeze(); fd >= 0) fds.push_back(fd);
  return fds;
}

void Unit::freeze(Loop &loop, Id id, Object *of) {
  auto unit = std::unique_ptr<Unit>(new Unit(loop));
  const auto stays = [&](const char *why, bool lacksDescriptors = false) {
    loop.event({.type = int(Event::unmoved), .slot = id.slot, .generation = id.generation, .a = lacksDescriptors}, textOf(why));
  };
  if (const char *why = unit->gather(of)) return stays(why);
  SecretBytes tunnel;
  if (unit->carrier_ != nullptr) {
    // What it seals here may make room, and that may end a relay.
    unit->carrier_->write();
    unit->relays_.clear();
    if (const char *why = unit->gather(of)) return stays(why);
    tunnel = unit->carrier_->tunnel().freeze();
    if (tunnel.empty()) return stays("its tunnel is of TLS 1.2, or has not begun, or is ending");
  }
  Descriptor state;
  std::string why;
  bool lacksDescriptors = false;
  try {
    state = sealed(unit->save(tunnel));
  } catch (const std::system_error &e) {
    why = std::string("its state cannot be written: ") + e.what();
    lacksDescriptors = e.code().value() == EMFILE || e.code().value() == ENFILE;
  } catch (const std::exception &e) {
    why = std::string("its state cannot be written: ") + e.what();
  }
  // Everything stops, so that the duplicates are the last thing that can fail.
  std::vector<int32_t> fds = unit->freezeAll();
  const auto count = fds.size();
  bool whole = state.get() >= 0;
  for (int32_t &fd : fds) {
    fd = whole ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    whole = whole && fd >= 0;
  }
  if (!whole) {
    for (const int32_t fd : fds)
      if (fd >= 0) ::close(fd);
    unit->goLive();
    return why.empty() ? stays("there are no descriptors left", true) : stays(why.c_str(), lacksDescriptors);
  }
  std::vector<int32_t> told = std::move(fds);
  for (const auto &[downstream, upstream] : unit->relays_)
    told.insert(told.end(), {downstream->id.slot, downstream->id.generation, upstream->id.slot, upstream->id.generation});
  loop.event({.type = int(Event::frozen),
              .slot = id.slot,
              .generation = id.generation,
              .a = state.release(),
              .b = int(count)},
             numbers(told));
  loop.objects().put(id, unit.release());
}

void Unit::read(Bytes state, Descriptors &descriptors) {
  StateReader s(state);
  int64_t version = 0;
  s.number(version, 0, INT32_MAX);
  StateReader::check(version == kVersion, "it is of another version");
  int which = 0;
  s.number(which, 0, int(Kind::withoutStream));
  const auto kind = Kind(which);
  std::vector<uint32_t> ids;
  if (kind == Kind::tunnel) {
    carrier_ = new Carrier(loop_, s.view(kMostState));
    loop_.objects().add(carrier_);
    carrier_->take(descriptors.next());
    ids = carrier_->tunnel().ids();
  }
  size_t count = 0;
  s.number(count, 0, kMostRelays);
  StateReader::check(kind == Kind::tunnel ? count == ids.size() : count == 1, "other relays than its streams");
  for (; count > 0; count--) {
    Stream *stream = nullptr;
    if (kind == Kind::tunnel) {
      uint32_t id = 0;
      s.number(id, 1, INT32_MAX);
      stream = carrier_->tunnel().find(id);
      StateReader::check(stream != nullptr && stream->owner == nullptr && stream->answered, "a relay without its stream");
    }
    bool turned = false;
    s.flag(turned);
    Id was;
    transferId(s, was);
    int64_t counted[2] = {};
    for (int64_t &each : counted) s.number(each, 0, kMostCounted);
    End *first = stream != nullptr ? new StreamEnd(loop_, *carrier_, *stream)
                 : kind == Kind::withoutStream ? static_cast<End *>(new StreamEnd(loop_))
                                               : new TcpEnd(loop_, descriptors.next());
    loop_.objects().add(first);
    first->frozen = true;
    Joined joined{first, nullptr};
    const auto take = [&] {
      End *second = new TcpEnd(loop_, descriptors.next());
      loop_.objects().add(second);
      second->frozen = true;
      return second;
    };
    try {
      joined.upstream = take();
    } catch (...) {
      first->forget();
      throw;
    }
    if (turned) std::swap(joined.downstream, joined.upstream);
    relays_.push_back(joined);
    were_.push_back(was);
    End::rejoin(loop_, *joined.downstream, *joined.upstream, loop_.takeCounters(), double(counted[0]), double(counted[1]));
    End *second = first->peer();
    first->restore(s);
    second->restore(s);
    first->owe(second->lent());
    second->owe(first->lent());
  }
  s.end();
  descriptors.end();
}

void Unit::restore(Loop &loop, Id id, int state, std::string_view text) {
  auto unit = std::unique_ptr<Unit>(new Unit(loop));
  const Descriptor memory(state);
  std::string why;
  try {
    Descriptors descriptors(text);
    const SecretBytes bytes = readSealed(memory.get());
    unit->read(bytes, descriptors);
  } catch (const UnreadableState &e) {
    why = e.what();
  } catch (const std::exception &e) {
    why = std::string("it cannot be kept: ") + e.what();
  }
  if (!why.empty()) {
    unit->forget();
    loop.event({.type = int(Event::unreadable), .slot = id.slot, .generation = id.generation}, textOf(why));
    return;
  }
  std::vector<int32_t> told;
  for (size_t i = 0; i < unit->relays_.size(); i++) {
    const End &downstream = *unit->relays_[i].downstream;
    const Id was = unit->were_[i];
    told.insert(told.end(), {was.slot, was.generation, downstream.id.slot, downstream.id.generation, int32_t(downstream.countersAt())});
  }
  const Id tunnel = unit->carrier_ != nullptr ? unit->carrier_->id : Id{};
  loop.event({.type = int(Event::restored),
              .slot = id.slot,
              .generation = id.generation,
              .a = tunnel.slot,
              .b = tunnel.generation,
              .c = unit->carrier_ != nullptr},
             numbers(told));
  loop.objects().put(id, unit.release());
}

void Unit::goLive() {
  if (carrier_ != nullptr) carrier_->goLive();
  for (const auto &[downstream, upstream] : relays_) {
    downstream->goLive();
    upstream->goLive();
  }
  for (const auto &[downstream, upstream] : relays_) {
    downstream->wake();
    upstream->wake();
  }
  carrier_ = nullptr;
  relays_.clear();
  // Of a freeze that failed it has no number yet.
  if (loop_.objects().find(id) == this) loop_.bury(this);
}

void Unit::forget() {
  // Streams before the tunnel that owns theirs.
  for (const auto &[downstream, upstream] : relays_) {
    downstream->forget();
    upstream->forget();
  }
  relays_.clear();
  if (carrier_ != nullptr) std::exchange(carrier_, nullptr)->forget();
}

void Unit::close() {
  forget();
  loop_.bury(this);
}

} // namespace aq
