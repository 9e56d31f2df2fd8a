// JavaScript's answers, kept for connections that are equal to the one that it was asked about: the loop begins those by itself and
// says so afterwards. Whatever does not go as it did the first time is asked. An answer counts as long as its generation is the loop's.
#pragma once
#include "../h2/stream.h"
#include "object.h"
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace aq {

class Carrier;
class Listener;
class Loop;
class Plan;
class StreamEnd;
class TcpEnd;

// Those of one listener or tunnel, by what is equal.
class Plans {
public:
  Plans() = default;
  ~Plans();
  Plans(const Plans &) = delete;
  Plans &operator=(const Plans &) = delete;
  bool empty() const { return plans_.empty(); }
  Plan *find(const std::string &key) const;
  // In place of an older one.
  void put(Plan *plan);
  void remove(Plan *plan);

private:
  std::unordered_map<std::string, Plan *> plans_;
};

// A connection of a plan that does not stand yet.
struct Attempt {
  Event question;
  Id plan;
  uint32_t generation;
  // The listener or tunnel by which JavaScript would be asked, and its question.
  Id asker;
  Id downstream;
  int32_t fd;
  std::vector<uint8_t> asked;
  // For the account: pieces.
  std::vector<uint8_t> who;

  void ask(Loop &loop) const;
  void begun(Loop &loop, uint32_t counters) const;
  void missed(Loop &loop, int status) const;
};

class Plan : public Object {
public:
  explicit Plan(Loop &loop) : loop_(loop) {}
  ~Plan() override;
  void close() override;
  // Nothing has changed since, and no certificate has expired.
  bool holds() const;

  std::string key;
  Plans *home = nullptr;

protected:
  // The first pieces of every plan: generation, ms until it expires.
  bool takeTerm(std::string_view &text);
  std::unique_ptr<Attempt> attempt(Event question, Id asker, Id downstream, int fd, std::vector<uint8_t> asked,
                                   std::vector<uint8_t> who) const;

  Loop &loop_;
  uint32_t generation_ = 0;
  // Realtime, ms.
  int64_t until_ = 0;
};

/**
 * Of a listener: a further stream of a tunnel. Pieces: the term; source ip, target ip, target port; slot and generation of the tunnel; highest
 * descriptor; what follows the address in `forwarded`; names and values of the other headers but `traceparent`.
 */
class OutPlan : public Plan {
public:
  static void make(Loop &loop, const Message &m, std::string_view text);
  // False where nothing was done.
  static bool serve(Loop &loop, Listener &listener, TcpEnd &app, int fd, std::string_view ip, uint16_t port,
                    const std::vector<uint8_t> &asked);

private:
  using Plan::Plan;
  Id tunnel_;
  size_t most_ = 0;
  int highestFd_ = 0;
  std::string forwarded_;
  std::string headers_;
};

/**
 * Of a tunnel: a connection to the app. Pieces: the term; slot and generation of the stock; ip and port of the app; ip to bind, or nothing;
 * how many pieces follow as the request's headers; those; headers of the answer.
 */
class InPlan : public Plan {
public:
  static void make(Loop &loop, const Message &m, std::string_view text);
  static bool serve(Loop &loop, Carrier &carrier, StreamEnd &stream, std::span<const Header> headers,
                    const std::vector<uint8_t> &asked);

private:
  using Plan::Plan;
  Id stock_;
  std::string ip_;
  uint16_t port_ = 0;
  std::string bind_;
  std::string answer_;
};

// Sockets of a pod's network namespace.
class Stock : public Object {
public:
  explicit Stock(Loop &loop) : loop_(loop) {}
  ~Stock() override;
  void close() override;
  void supply(int fd) { fds_.push_back(fd); }
  // -1: none is left.
  int take();

private:
  // JavaScript hears of so many at once.
  static constexpr int kTold = 8;
  Loop &loop_;
  std::vector<int> fds_;
  int taken_ = 0;
};

// What is equal in requests that get the same answer: everything but the trace's ids and the port of the client.
std::string requestKey(std::span<const Header> headers);

} // namespace aq
