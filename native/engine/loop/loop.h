// One thread beside Node's: it owns listeners, connections and tunnels, and moves their bytes. It decides nothing and keeps no time.
#pragma once
#include "../tls/context.h"
#include "../tunnel/row.h"
#include "../tunnel/tunnel.h"
#include "messages.h"
#include "object.h"
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <thread>
#include <vector>

struct epoll_event;

namespace aq {

class Carrier;
class End;
class StreamEnd;

class Loop {
public:
  // Bytes that one connection may move before the next has its turn.
  static constexpr size_t kTurnBytes = 512 * 1024;
  // Relays that count in one piece of the slab.
  static constexpr uint32_t kCountersInChunk = 4096;
  static constexpr uint32_t kCounterChunks = 4096;
  // ms.
  static constexpr int kNextMs = 2;
  // us.
  static constexpr int kMostSpinUs = 1000;

  // `notify` is called on the loop's thread when events wait, at most once between two calls of take().
  // `spinUs`: how long it asks for events before it sleeps, while there are any; 0 to kMostSpinUs.
  explicit Loop(std::function<void()> notify, int spinUs = 0);
  ~Loop();

  // For JavaScript's thread.
  void submit(const Message *records, size_t count, const uint8_t *bytes, size_t size);
  // False when nothing waits.
  bool take(Batch &events);
  // Two numbers for each relay: bytes from downstream, and to it. Lives as long as the loop.
  double *counterChunk(uint32_t chunk);
  // What a tunnel is made of; never reused while one is being made.
  int32_t addContext(std::shared_ptr<TlsContext> context, const TunnelLimits &limits);
  void removeContext(int32_t context);
  // Plans of before mean nothing from now on, not even for what they have begun. Returns the generation of those that follow.
  uint32_t raise() { return generation_.fetch_add(1) + 1; }

  // For what lives in the loop.
  Table &objects() { return objects_; }
  RowPool &rows() { return rows_; }
  uint8_t *buffer() { return buffer_.get(); }
  // Monotonic, ms; of this turn.
  uint64_t now() const { return now_; }
  void event(Message message, Bytes bytes = {});
  // Nobody waits for it: it goes with the next event, or in kNextMs. Its place among the turn's events.
  size_t eventWithNext(Message message, Bytes bytes = {});
  // Of an event by whose object a relay has begun, or of one that JavaScript is to go on with now.
  void relayedAhead(size_t event, bool relayed);
  void watch(int fd, Object *object, uint32_t events);
  void rewatch(int fd, Object *object, uint32_t events);
  // Whoever has a duplicate keeps it in our epoll otherwise.
  void unwatch(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }
  // It may have something to move.
  void ready(End *end);
  void readable(Carrier *carrier);
  void touched(Carrier *carrier) { touched_.push_back(carrier); }
  // Slices for one end are written together.
  void gather(StreamEnd *end, Bytes bytes);
  void flushGathered();
  // Its number means nothing any more; deleted at the end of the turn.
  void bury(Object *object);
  double *counters(uint32_t index);
  uint32_t generation() const { return generation_.load(); }
  // Counters of a relay that a plan begins; given back, they are used again once JavaScript has seen the relay's end.
  uint32_t takeCounters();
  void giveCounters(uint32_t index) { ended_.push_back(index); }
  // Of a plan, and does not stand yet.
  void attempted(Id upstream) { attempts_.push_back(upstream); }
  // JavaScript is asked for those of this plan, or of all plans of this listener.
  void giveUpAttemptsOf(Id owner);
  // Lower-case hexadecimal digits for `bytes` random bytes.
  void randomHex(std::string &to, size_t bytes);
  // With no descriptor left, the caller that waits is told by a close; else the listener would wake us for ever.
  void refuseWithoutDescriptor(int listener);

private:
  struct Context {
    std::shared_ptr<TlsContext> tls;
    TunnelLimits limits;
  };

  void run();
  void turn();
  int spin(epoll_event *events);
  void commands();
  void command(const Message &m, const Batch &batch);
  void makeTunnel(const Message &m);
  void publish();
  void unwatchable(int fd, Object *object);

  std::function<void()> notify_;
  const int64_t spinNs_;
  // The last turn had events.
  bool busy_ = false;
  int epoll_, wake_, spare_;
  Table objects_;
  RowPool rows_;
  std::unique_ptr<uint8_t[]> buffer_;
  uint64_t now_ = 0;
  std::vector<End *> ready_, readyNow_;
  std::vector<Carrier *> reading_, readingNow_, touched_, touchedNow_;
  std::vector<Object *> buried_;
  std::vector<Object *> unwatchable_;
  StreamEnd *gathering_ = nullptr;
  std::vector<iovec> gathered_;
  size_t gatheredBytes_ = 0;
  Batch events_, taken_;
  // Of events_: some wait for an answer.
  bool urgent_ = false;
  // Events went out without a word to JavaScript.
  bool untold_ = false;
  uint64_t untoldSince_ = 0;
  std::vector<Header> headers_;
  std::atomic<uint32_t> generation_{1};
  uint32_t nextCounters_ = kCounterChunks / 2 * kCountersInChunk;
  // Counters: free; of relays whose end is among events_, among outgoing_, with JavaScript.
  std::vector<uint32_t> freeCounters_, ended_, endedTold_, seen_;
  std::vector<Id> attempts_, olderAttempts_;
  std::array<uint8_t, 4096> random_;
  size_t randomUsed_ = sizeof random_;

  std::mutex mutex_;
  Batch submitted_, outgoing_;
  bool told_ = false;
  std::vector<Context> contexts_;
  std::vector<int32_t> freeContexts_;
  std::array<std::atomic<double *>, kCounterChunks> slab_{};

  std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

} // namespace aq
