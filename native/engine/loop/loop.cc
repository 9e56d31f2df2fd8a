#include "loop.h"
#include "carrier.h"
#include "listener.h"
#include "plan.h"
#include "stream-end.h"
#include "tcp-end.h"
#include "unit.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <stdexcept>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <utility>

namespace aq {

static constexpr int kEvents = 256;
static constexpr size_t kGathered = 512;
// What a tunnel carried over comes before what is read.
static constexpr size_t kBufferBytes = 2 * Loop::kTurnBytes + 64 * 1024;

static int64_t monotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

Loop::Loop(std::function<void()> notify, int spinUs)
    : notify_(std::move(notify)), spinNs_(int64_t(std::clamp(spinUs, 0, kMostSpinUs)) * 1000), buffer_(new uint8_t[kBufferBytes]) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  spare_ = ::open("/", O_RDONLY | O_CLOEXEC | O_PATH);
  if (epoll_ < 0 || wake_ < 0) throw std::runtime_error("no descriptor for the engine's loop");
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.ptr = nullptr;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &e);
  // Signals are Node's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "aquifer-loop");
}

Loop::~Loop() {
  stopping_ = true;
  const uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
  thread_.join();
  std::vector<Object *> all;
  objects_.each([&](Object *object) { all.push_back(object); });
  // Streams before the tunnels that own theirs.
  for (Object *object : buried_) all.push_back(object);
  std::partition(all.begin(), all.end(), [](Object *o) { return dynamic_cast<End *>(o) != nullptr; });
  for (Object *object : all) delete object;
  for (auto &chunk : slab_) free(chunk.load());
  ::close(epoll_);
  ::close(wake_);
  if (spare_ >= 0) ::close(spare_);
}

void Loop::submit(const Message *records, size_t count, const uint8_t *bytes, size_t size) {
  {
    const std::lock_guard lock(mutex_);
    const auto base = static_cast<uint32_t>(submitted_.bytes.size());
    submitted_.bytes.insert(submitted_.bytes.end(), bytes, bytes + size);
    for (size_t i = 0; i < count; i++) {
      Message m = records[i];
      if (size_t(m.offset) + m.length > size) m.length = 0;
      m.offset += base;
      submitted_.records.push_back(m);
    }
  }
  if (sleeping_.exchange(false)) {
    const uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }
}

bool Loop::take(Batch &events) {
  const std::lock_guard lock(mutex_);
  told_ = false;
  events.clear();
  std::swap(events, outgoing_);
  // Who asks for more has worked off what it got last.
  freeCounters_.insert(freeCounters_.end(), seen_.begin(), seen_.end());
  seen_.clear();
  std::swap(seen_, endedTold_);
  return !events.empty();
}

double *Loop::counterChunk(uint32_t chunk) {
  if (chunk >= kCounterChunks) return nullptr;
  double *found = slab_[chunk].load();
  if (found == nullptr) {
    found = static_cast<double *>(calloc(kCountersInChunk * 2, sizeof(double)));
    slab_[chunk].store(found);
  }
  return found;
}

void Loop::giveUpAttemptsOf(Id owner) {
  for (auto *attempts : {&attempts_, &olderAttempts_})
    for (const Id &id : *attempts)
      if (auto *end = dynamic_cast<End *>(objects_.find(id)); end != nullptr && end->attemptIsOf(owner))
        end->giveUpAttempt();
}

uint32_t Loop::takeCounters() {
  const std::lock_guard lock(mutex_);
  if (freeCounters_.empty()) return nextCounters_++;
  const uint32_t index = freeCounters_.back();
  freeCounters_.pop_back();
  return index;
}

void Loop::randomHex(std::string &to, size_t bytes) {
  if (randomUsed_ + bytes > random_.size()) {
    // Without a source of random numbers nothing here can go on; the kernel has one from its start on.
    for (size_t got = 0; got < random_.size();) {
      const ssize_t n = getrandom(random_.data() + got, random_.size() - got, 0);
      if (n > 0) got += size_t(n);
    }
    randomUsed_ = 0;
  }
  static constexpr char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes; i++) {
    const uint8_t byte = random_[randomUsed_++];
    to += digits[byte >> 4];
    to += digits[byte & 15];
  }
}

double *Loop::counters(uint32_t index) {
  return counterChunk(index / kCountersInChunk) + size_t(index % kCountersInChunk) * 2;
}

int32_t Loop::addContext(std::shared_ptr<TlsContext> context, const TunnelLimits &limits) {
  const std::lock_guard lock(mutex_);
  int32_t index;
  if (freeContexts_.empty()) {
    index = int32_t(contexts_.size());
    contexts_.push_back({});
  } else {
    index = freeContexts_.back();
    freeContexts_.pop_back();
  }
  contexts_[size_t(index)] = {std::move(context), limits};
  return index;
}

void Loop::removeContext(int32_t context) {
  const std::lock_guard lock(mutex_);
  contexts_[size_t(context)].tls.reset();
  freeContexts_.push_back(context);
}

void Loop::event(Message message, Bytes bytes) {
  eventWithNext(message, bytes);
  urgent_ = true;
}

size_t Loop::eventWithNext(Message message, Bytes bytes) {
  message.offset = uint32_t(events_.bytes.size());
  message.length = uint32_t(bytes.size());
  events_.bytes.insert(events_.bytes.end(), bytes.begin(), bytes.end());
  events_.records.push_back(message);
  return events_.records.size() - 1;
}

void Loop::relayedAhead(size_t event, bool relayed) {
  if (relayed) events_.records[event].b = 1;
  else urgent_ = true;
}

void Loop::watch(int fd, Object *object, uint32_t events) {
  epoll_event e{};
  e.events = events;
  e.data.ptr = object;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) unwatchable(fd, object);
}

void Loop::rewatch(int fd, Object *object, uint32_t events) {
  epoll_event e{};
  e.events = events;
  e.data.ptr = object;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &e) != 0) unwatchable(fd, object);
}

// No memory, or epoll's limit of watches: nothing would be heard of it for ever. It ends as one that its peer has ended.
void Loop::unwatchable(int fd, Object *object) {
  ::shutdown(fd, SHUT_RDWR);
  unwatchable_.push_back(object);
}

void Loop::ready(End *end) {
  if (end->queued || end->dead) return;
  end->queued = true;
  ready_.push_back(end);
}

void Loop::readable(Carrier *carrier) {
  if (carrier->reading || carrier->dead) return;
  carrier->reading = true;
  reading_.push_back(carrier);
}

void Loop::gather(StreamEnd *end, Bytes bytes) {
  if (gathering_ != end || gathered_.size() >= kGathered) flushGathered();
  gathering_ = end;
  gathered_.push_back({const_cast<uint8_t *>(bytes.data()), bytes.size()});
  gatheredBytes_ += bytes.size();
}

void Loop::flushGathered() {
  StreamEnd *end = std::exchange(gathering_, nullptr);
  if (end == nullptr) return;
  const size_t total = std::exchange(gatheredBytes_, 0);
  if (!end->dead) end->gathered(gathered_.data(), int(gathered_.size()), total);
  gathered_.clear();
}

void Loop::bury(Object *object) {
  if (object->dead) return;
  object->dead = true;
  objects_.remove(object->id);
  buried_.push_back(object);
}

void Loop::refuseWithoutDescriptor(int listener) {
  if (spare_ >= 0) ::close(spare_);
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) ::close(fd);
  spare_ = ::open("/", O_RDONLY | O_CLOEXEC | O_PATH);
}

// Tunnels survive std::bad_alloc; here it ends the process, as it does in Node's own code, and the supervisor starts another.
void Loop::run() {
  while (!stopping_) turn();
}

// Asks for a while without sleeping: the answer to what was just sent often comes sooner than the kernel wakes a thread. Who submits a
// command writes to wake_, as for one that sleeps.
int Loop::spin(epoll_event *events) {
  const int64_t until = monotonicNs() + spinNs_;
  do {
    const int count = epoll_wait(epoll_, events, kEvents, 0);
    if (count != 0) return std::max(count, 0);
    // The one whose answer it waits for may want this core.
    sched_yield();
  } while (monotonicNs() < until);
  return 0;
}

void Loop::turn() {
  epoll_event events[kEvents];
  const bool more = !ready_.empty() || !reading_.empty() || !touched_.empty();
  int timeout = 0;
  if (!more) {
    sleeping_ = true;
    const std::lock_guard lock(mutex_);
    // Told before we said that we sleep.
    timeout = !submitted_.empty() ? 0 : untold_ ? kNextMs : -1;
  }
  int count = 0;
  // Behind a turn without events it sleeps, so a quiet loop costs nothing.
  if (timeout != 0 && spinNs_ > 0 && std::exchange(busy_, false)) count = spin(events);
  if (count == 0) count = epoll_wait(epoll_, events, kEvents, timeout);
  sleeping_ = false;
  busy_ = count > 0;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  now_ = uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1'000'000;
  if (untold_ && (count == 0 || now_ - untoldSince_ >= kNextMs)) urgent_ = true;
  for (int i = 0; i < count; i++) {
    auto *object = static_cast<Object *>(events[i].data.ptr);
    if (object == nullptr) {
      uint64_t ignored;
      (void)!::read(wake_, &ignored, sizeof ignored);
    } else if (!object->dead) {
      object->onEvents(events[i].events);
    }
  }
  commands();
  readingNow_.swap(reading_);
  for (Carrier *carrier : readingNow_) {
    carrier->reading = false;
    carrier->readTurn();
  }
  readingNow_.clear();
  readyNow_.swap(ready_);
  for (End *end : readyNow_) {
    end->queued = false;
    if (!end->dead && !end->frozen) end->pump();
  }
  readyNow_.clear();
  touchedNow_.swap(touched_);
  for (Carrier *carrier : touchedNow_) {
    carrier->touched = false;
    carrier->settle();
  }
  touchedNow_.clear();
  // All of this turn: behind it those that are dead are deleted.
  while (!unwatchable_.empty()) {
    Object *object = unwatchable_.back();
    unwatchable_.pop_back();
    if (!object->dead) object->onEvents(EPOLLIN | EPOLLERR | EPOLLHUP);
  }
  publish();
  if (buried_.empty()) return;
  // What lies in a queue is deleted in a later turn, when the queue has passed it by.
  std::vector<Object *> kept;
  for (Object *object : buried_) {
    auto *end = dynamic_cast<End *>(object);
    auto *carrier = dynamic_cast<Carrier *>(object);
    const bool queued = (end != nullptr && end->queued) || (carrier != nullptr && (carrier->reading || carrier->touched));
    if (queued) kept.push_back(object);
    else delete object;
  }
  buried_.swap(kept);
}

void Loop::publish() {
  if (events_.empty() && !(urgent_ && untold_)) return;
  bool tell;
  {
    const std::lock_guard lock(mutex_);
    endedTold_.insert(endedTold_.end(), ended_.begin(), ended_.end());
    ended_.clear();
    if (outgoing_.empty()) std::swap(outgoing_, events_);
    else outgoing_.append(events_);
    tell = urgent_ && !told_;
    if (urgent_) told_ = true;
    if (!untold_) untoldSince_ = now_;
    untold_ = !told_;
  }
  urgent_ = false;
  events_.clear();
  if (tell) notify_();
}

void Loop::commands() {
  {
    const std::lock_guard lock(mutex_);
    if (submitted_.empty()) return;
    std::swap(submitted_, taken_);
  }
  for (const Message &m : taken_.records) command(m, taken_);
  taken_.clear();
}

void Loop::command(const Message &m, const Batch &batch) {
  const auto type = static_cast<Command>(m.type);
  const std::string_view text = batch.text(m);
  auto headers = [&] {
    headers_.clear();
    takeHeaders(text, headers_);
    return std::span<const Header>(headers_);
  };
  switch (type) {
  case Command::listen: {
    auto *listener = new Listener(*this, m.a);
    objects_.put(m.id(), listener);
    listener->watch();
    return;
  }
  case Command::dial: {
    auto *end = new TcpEnd(*this, m.a);
    objects_.put(m.id(), end);
    end->dial(text, uint16_t(m.b));
    return;
  }
  case Command::tunnel:
    makeTunnel(m);
    return;
  case Command::planOut:
    OutPlan::make(*this, m, text);
    return;
  case Command::planIn:
    InPlan::make(*this, m, text);
    return;
  case Command::stock:
    objects_.put(m.id(), new Stock(*this));
    return;
  case Command::supply:
    if (auto *stock = dynamic_cast<Stock *>(objects_.find(m.id()))) stock->supply(m.a);
    else ::close(m.a);
    return;
  case Command::revisit:
    for (const Id &id : olderAttempts_)
      if (auto *end = dynamic_cast<End *>(objects_.find(id))) end->giveUpAttempt();
    olderAttempts_.clear();
    olderAttempts_.swap(attempts_);
    return;
  case Command::freeze:
    Unit::freeze(*this, m.id(), objects_.find({m.a, m.b}));
    return;
  case Command::restore:
    Unit::restore(*this, m.id(), m.a, text);
    return;
  default:
    break;
  }
  Object *object = objects_.find(m.id());
  if (type == Command::open) {
    auto *carrier = dynamic_cast<Carrier *>(objects_.find({m.a, m.b}));
    if (carrier != nullptr) carrier->open(m.id(), headers());
    else event({.type = int(Event::refused), .slot = m.slot, .generation = m.generation});
    return;
  }
  if (object == nullptr || object->dead) {
    // A stream that was reset meanwhile, as JavaScript is about to hear: its peer gets the same.
    if (type == Command::relay)
      if (auto *peer = dynamic_cast<End *>(objects_.find({m.a, m.b}))) peer->reset(CONNECT_ERROR);
    return;
  }
  if (object->frozen) return;
  if (auto *unit = dynamic_cast<Unit *>(object)) {
    if (type == Command::live) unit->goLive();
    if (type == Command::forget) unit->close();
    return;
  }
  if (type == Command::close) return object->close();
  if (type == Command::reset) return object->reset(uint32_t(m.a));
  if (auto *carrier = dynamic_cast<Carrier *>(object)) {
    switch (type) {
    case Command::accepted:
      return carrier->accepted();
    case Command::refuse:
      return carrier->refuse(uint8_t(m.a), text);
    case Command::ping:
      return carrier->ping();
    case Command::heard:
      return carrier->heard();
    case Command::goaway:
      return carrier->goaway(uint32_t(m.a), m.b != 0);
    default:
      return;
    }
  }
  auto *end = dynamic_cast<End *>(object);
  if (end == nullptr) return;
  switch (type) {
  case Command::read:
    return end->read(size_t(m.a));
  case Command::unread:
    return end->unread();
  case Command::unshift:
    return end->unshift(text);
  case Command::write:
    return end->write(text, m.a != 0);
  case Command::end:
    return end->finish(m.a != 0);
  case Command::relay: {
    auto *peer = dynamic_cast<End *>(objects_.find({m.a, m.b}));
    if (peer == nullptr || peer == end || end->isRelayed() || peer->isRelayed()) {
      end->reset(CONNECT_ERROR);
      event({.type = int(Event::relayed),
             .slot = m.slot,
             .generation = m.generation,
             .a = int(RelayEnd::failed),
             .b = ECONNRESET});
      return;
    }
    return End::join(*this, *end, *peer, uint32_t(m.c));
  }
  case Command::relayWhen:
    if (auto *peer = dynamic_cast<End *>(objects_.find({m.a, m.b})); peer != nullptr && peer != end && !peer->dead)
      peer->relayWhenReady(m.id(), uint32_t(m.c), text);
    return;
  case Command::respond:
    if (auto *stream = dynamic_cast<StreamEnd *>(end)) stream->respond(m.a, headers(), m.b != 0);
    return;
  default:
    return;
  }
}

void Loop::makeTunnel(const Message &m) {
  auto *tcp = dynamic_cast<TcpEnd *>(objects_.find({m.a, m.b}));
  const int fd = tcp != nullptr ? tcp->take() : -1;
  Context context;
  {
    const std::lock_guard lock(mutex_);
    if (m.c >= 0 && size_t(m.c) < contexts_.size()) context = contexts_[size_t(m.c)];
  }
  if (fd < 0 || context.tls == nullptr) {
    if (fd >= 0) ::close(fd);
    static constexpr std::string_view reason = "the connection is closed";
    event({.type = int(Event::failed),
           .slot = m.slot,
           .generation = m.generation,
           .a = int(TunnelFailure::Kind::truncated)},
          {reinterpret_cast<const uint8_t *>(reason.data()), reason.size()});
    return;
  }
  auto *carrier = new Carrier(*this, fd, std::move(context.tls), context.limits);
  objects_.put(m.id(), carrier);
  carrier->start();
}

} // namespace aq
