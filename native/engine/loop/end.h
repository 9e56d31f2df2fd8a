// One end of a relay: a TCP connection to an app, or a stream of a tunnel. JavaScript may read and write it until it is relayed.
#pragma once
#include "../state/state.h"
#include "fifo.h"
#include "object.h"
#include <memory>
#include <string>
#include <sys/uio.h>

namespace aq {

class Loop;
class End;
struct Attempt;

// Two ends whose bytes go to each other. Gone when both directions have ended, or one has failed.
struct Relay {
  End *downstream;
  End *upstream;
  uint32_t counters;
};

class End : public Object {
public:
  explicit End(Loop &loop);
  ~End() override;

  // Commands of JavaScript.
  void read(size_t most);
  void unread();
  void unshift(std::string_view bytes);
  void write(std::string_view bytes, bool wantsDrained);
  // `tell`: by `drained`, once it is done.
  void finish(bool tell = false);
  // Nobody has a use for what still comes.
  void abandon() { ended_ = true; }
  void close() override;
  void reset(uint32_t code) override;
  // This end is to be relayed with `downstream` as soon as it stands.
  void relayWhenReady(Id downstream, uint32_t counters, std::string_view answer);
  // As relayWhenReady(), by a plan. JavaScript does not know this end, and the downstream one only once it is asked, or told of the relay.
  void attempt(std::unique_ptr<Attempt> attempt, std::string_view answer);
  bool isAttempt() const;
  // Of this plan, or of a plan of this listener.
  bool attemptIsOf(Id owner) const;
  // It takes too long, or came to nothing: JavaScript is asked what to do with the downstream end.
  void giveUpAttempt();
  // The peer has said no.
  void missAttempt(int status);
  // It stands: joined with what was asked for, if that still is there.
  bool joinAhead();
  // Takes both ends; `counters` is where bytes are counted.
  static void join(Loop &loop, End &downstream, End &upstream, uint32_t counters);

  // Moves what can be moved from here, at most one turn's worth.
  virtual void pump() = 0;
  bool isRelayed() const { return relay_ != nullptr; }
  bool outWaits() const { return !out_.empty(); }

  // Hand-over (see Unit).
  // What keeps a relay's end here; nullptr: nothing.
  virtual const char *unmovable() const;
  End *peer() const { return peer_; }
  bool isUpstream() const { return relay_ != nullptr && relay_->upstream == this; }
  const double *counters() const;
  uint32_t countersAt() const { return relay_->counters; }
  virtual void save(StateWriter &);
  // UnreadableState.
  virtual void restore(StateReader &);
  // Both are restored: counters as they were.
  static void rejoin(Loop &loop, End &downstream, End &upstream, uint32_t counters, double received, double sent);
  // Bytes that wait for this end, and whoever they came from gets credit for.
  size_t lent() const { return out_.size() - outFree_; }
  // So many of those came from here.
  virtual void owe(size_t bytes) = 0;
  // Its descriptor, and it is nobody's event any more; -1: it has none.
  virtual int freeze();
  virtual void goLive();
  // Moves what waited meanwhile; may end the relay.
  void wake();
  // Without a word on the wire or to JavaScript.
  virtual void forget();
  bool queued = false;

protected:
  // Writes what goes at once; -1 with errno. Only where nothing waits before it.
  virtual ssize_t offer(const iovec *pieces, int count, size_t total) = 0;
  // Nothing waits any more: FIN, END_STREAM.
  virtual void finishNow() = 0;
  // So many bytes that came from here have left for where they go.
  virtual void returnCredit(size_t) {}
  // The 200 of a CONNECT that is relayed ahead.
  virtual void answerAhead(std::string_view) {}
  // Closes without a word to JavaScript. `code`: HTTP/2's, where it is a reset.
  virtual void drop() = 0;
  virtual void cut(uint32_t code) = 0;

  // Bytes came; they go to the peer, or wait for somebody to read them.
  void came(const iovec *pieces, int count, size_t total);
  void cameEnd();
  // A failure of this end: a relay ends by it.
  void failed(RelayEnd kind, int value);
  // Room again: what waits goes on, and whoever fills this end.
  void drain();
  // JavaScript's read, from what waits.
  void answerRead();
  void relayDone(RelayEnd kind, int value);
  // The relay is no more; its ends are.
  void part();
  void maybeDone();

  // Nothing is left to do but this end's FIN.
  bool isLast() const { return isRelayed() && ended_ && peer_->ended_ && peer_->finished_; }
  // What JavaScript has asked for, or a peer would take now.
  bool wanted() const { return isRelayed() ? !peer_->outWaits() : wantedByScript_ > 0; }

  Loop &loop_;
  Relay *relay_ = nullptr;
  End *peer_ = nullptr;
  double *counter_ = nullptr;
  // Came from here, and nobody has taken it.
  Fifo inbox_;
  // Its first bytes came by unshift(), so that their credit was returned before.
  size_t inboxFree_ = 0;
  // Goes to here, and waits for room.
  Fifo out_;
  // Its first bytes are JavaScript's, so that nobody gets credit for them.
  size_t outFree_ = 0;
  size_t wantedByScript_ = 0;
  bool wantsDrained_ = false;
  // The far side has ended.
  bool ended_ = false;
  // The end of what waits is to be told to the far side; it was told.
  bool finishing_ = false;
  bool finished_ = false;
  bool wasRelayed_ = false;
  // Of a plan: JavaScript hears of the relay alone.
  bool planned_ = false;
  int error_ = 0;

private:
  struct Ahead {
    Id downstream;
    uint32_t counters;
    std::string answer;
    std::unique_ptr<Attempt> attempt;
  };

  template <class State> void transfer(State &);
  void finishedAll();
  void tellDrained();
  void put(const iovec *pieces, int count, size_t total, bool free);
  void passOn(const iovec *pieces, int count, size_t total, bool free);

  std::unique_ptr<Ahead> ahead_;
};

} // namespace aq
