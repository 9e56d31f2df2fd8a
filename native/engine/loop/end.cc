#include "end.h"
#include "loop.h"
#include "plan.h"
#include <utility>
#include <cerrno>
#include <stdexcept>
#include <sys/socket.h>

namespace aq {

// What one end may have waiting for it: more than any window.
static constexpr int64_t kMostWaiting = int64_t(1) << 31;

End::End(Loop &loop) : loop_(loop) {}

End::~End() { part(); }

void End::read(size_t most) {
  if (isRelayed()) return;
  wantedByScript_ = most;
  answerRead();
  if (wantedByScript_ > 0) loop_.ready(this);
}

void End::answerRead() {
  if (wantedByScript_ == 0) return;
  if (!inbox_.empty()) {
    const size_t n = std::min(inbox_.size(), wantedByScript_);
    loop_.event({.type = int(Event::read), .slot = id.slot, .generation = id.generation}, {inbox_.data(), n});
    const size_t free = std::min(n, inboxFree_);
    inboxFree_ -= free;
    inbox_.drop(n);
    wantedByScript_ = 0;
    if (n > free) returnCredit(n - free);
    return;
  }
  if (!ended_ && error_ == 0) return;
  wantedByScript_ = 0;
  const auto result = error_ != 0 ? ReadResult::failed : ReadResult::end;
  loop_.event(
      {.type = int(Event::read), .slot = id.slot, .generation = id.generation, .a = int(result), .b = error_});
}

void End::unread() {
  if (wantedByScript_ == 0) return;
  wantedByScript_ = 0;
  loop_.event({.type = int(Event::read),
               .slot = id.slot,
               .generation = id.generation,
               .a = int(ReadResult::nothing)});
}

void End::unshift(std::string_view bytes) {
  Fifo rest;
  rest.append(bytes.data(), bytes.size());
  rest.append(inbox_.data(), inbox_.size());
  inbox_ = std::move(rest);
  inboxFree_ += bytes.size();
}

void End::write(std::string_view bytes, bool wantsDrained) {
  if (isRelayed() || finishing_) return;
  const iovec piece{const_cast<char *>(bytes.data()), bytes.size()};
  put(&piece, 1, bytes.size(), true);
  if (dead || !wantsDrained) return;
  wantsDrained_ = true;
  if (!outWaits()) tellDrained();
}

void End::finish(bool tell) {
  if (finishing_) return;
  finishing_ = true;
  wantsDrained_ = tell;
  if (!outWaits()) finishedAll();
}

void End::finishedAll() {
  finishNow();
  finished_ = true;
  tellDrained();
  maybeDone();
}

void End::tellDrained() {
  if (!std::exchange(wantsDrained_, false)) return;
  loop_.event({.type = int(Event::drained), .slot = id.slot, .generation = id.generation});
}

void End::close() {
  if (dead) return;
  if (isRelayed()) failed(RelayEnd::failed, ECANCELED);
  else drop();
}

void End::reset(uint32_t code) {
  if (dead) return;
  if (isRelayed()) failed(RelayEnd::failed, ECANCELED);
  else cut(code);
}

void End::relayWhenReady(Id downstream, uint32_t counters, std::string_view answer) {
  ahead_ = std::make_unique<Ahead>(Ahead{downstream, counters, std::string(answer), nullptr});
}

void End::attempt(std::unique_ptr<Attempt> attempt, std::string_view answer) {
  planned_ = true;
  loop_.attempted(id);
  const Id downstream = attempt->downstream;
  ahead_ = std::make_unique<Ahead>(Ahead{downstream, 0, std::string(answer), std::move(attempt)});
}

bool End::isAttempt() const { return ahead_ != nullptr && ahead_->attempt != nullptr; }

bool End::attemptIsOf(Id owner) const {
  if (!isAttempt()) return false;
  const Attempt &of = *ahead_->attempt;
  return of.asker == owner || of.plan == owner;
}

void End::giveUpAttempt() {
  if (dead || !isAttempt()) return;
  const auto ahead = std::move(ahead_);
  ahead->attempt->ask(loop_);
  // An end and no reset: an app may take for an error what ends in one before it was accepted.
  if (!dead) drop();
}

void End::missAttempt(int status) {
  const auto ahead = std::move(ahead_);
  ahead->attempt->missed(loop_, status);
  if (!dead) drop();
}

bool End::joinAhead() {
  if (isAttempt() && ahead_->attempt->generation != loop_.generation()) {
    giveUpAttempt();
    return true;
  }
  const auto ahead = std::move(ahead_);
  if (ahead == nullptr || isRelayed()) return false;
  // Where it is gone, JavaScript has been told.
  auto *downstream = dynamic_cast<End *>(loop_.objects().find(ahead->downstream));
  const bool there = downstream != nullptr && !downstream->dead && !downstream->isRelayed();
  if (there) downstream->answerAhead(ahead->answer);
  if (!there || downstream->dead) {
    if (ahead->attempt == nullptr) return false;
    ahead->attempt->missed(loop_, 0);
    drop();
    return true;
  }
  if (ahead->attempt != nullptr) {
    ahead->counters = loop_.takeCounters();
    downstream->planned_ = true;
    // Before what is told of its end, which may come at once.
    ahead->attempt->begun(loop_, ahead->counters);
  }
  join(loop_, *downstream, *this, ahead->counters);
  return true;
}

void End::join(Loop &loop, End &downstream, End &upstream, uint32_t counters) {
  auto *relay = new Relay{&downstream, &upstream, counters};
  double *slab = loop.counters(counters);
  slab[0] = slab[1] = 0;
  End *ends[] = {&downstream, &upstream};
  for (int i = 0; i < 2; i++) {
    ends[i]->relay_ = relay;
    ends[i]->wasRelayed_ = true;
    ends[i]->peer_ = ends[1 - i];
    ends[i]->counter_ = &slab[i];
    ends[i]->wantedByScript_ = 0;
  }
  for (End *end : ends) {
    if (end->dead) return;
    if (end->error_ != 0) {
      end->failed(RelayEnd::failed, end->error_);
      return;
    }
    const size_t waiting = end->inbox_.size();
    if (waiting > 0) {
      const size_t free = std::min(waiting, end->inboxFree_);
      Fifo inbox = std::move(end->inbox_);
      end->inbox_ = {};
      end->inboxFree_ = 0;
      const iovec first{const_cast<uint8_t *>(inbox.data()), free};
      if (free > 0) end->passOn(&first, 1, free, true);
      const iovec second{const_cast<uint8_t *>(inbox.data()) + free, waiting - free};
      if (!end->dead && waiting > free) end->passOn(&second, 1, waiting - free, false);
    }
    if (end->dead) return;
    if (end->ended_) {
      end->peer_->finish();
      if (end->dead) return;
    }
    loop.ready(end);
  }
  downstream.maybeDone();
}

void End::came(const iovec *pieces, int count, size_t total) {
  if (isRelayed()) {
    passOn(pieces, count, total, false);
    return;
  }
  for (int i = 0; i < count; i++) inbox_.append(pieces[i].iov_base, pieces[i].iov_len);
  answerRead();
}

void End::passOn(const iovec *pieces, int count, size_t total, bool free) {
  *counter_ += double(total);
  peer_->put(pieces, count, total, free);
}

void End::cameEnd() {
  if (ended_) return;
  ended_ = true;
  if (isRelayed()) {
    // May end the relay, and with it this end.
    peer_->finish();
    if (!dead) maybeDone();
  } else {
    answerRead();
  }
}

// `free`: nobody waits for credit.
void End::put(const iovec *pieces, int count, size_t total, bool free) {
  size_t done = 0;
  if (!outWaits()) {
    const ssize_t n = offer(pieces, count, total);
    if (n < 0) {
      failed(RelayEnd::failed, errno);
      return;
    }
    done = size_t(n);
    if (done > 0 && !free) peer_->returnCredit(done);
  }
  if (dead || done == total) return;
  if (free) outFree_ += total - done;
  size_t skip = done;
  for (int i = 0; i < count; i++) {
    const size_t size = pieces[i].iov_len;
    if (skip >= size) {
      skip -= size;
      continue;
    }
    out_.append(static_cast<const uint8_t *>(pieces[i].iov_base) + skip, size - skip);
    skip = 0;
  }
}

void End::drain() {
  while (outWaits()) {
    const iovec piece{const_cast<uint8_t *>(out_.data()), out_.size()};
    const ssize_t n = offer(&piece, 1, piece.iov_len);
    if (n < 0) {
      failed(RelayEnd::failed, errno);
      return;
    }
    if (n == 0) return;
    const size_t free = std::min(size_t(n), outFree_);
    outFree_ -= free;
    out_.drop(size_t(n));
    if (size_t(n) > free && isRelayed()) peer_->returnCredit(size_t(n) - free);
    if (dead) return;
  }
  if (finishing_ && !finished_) {
    finishedAll();
    return;
  }
  tellDrained();
  if (isRelayed()) loop_.ready(peer_);
}

void End::failed(RelayEnd kind, int value) {
  if (dead) return;
  if (isRelayed()) {
    relayDone(kind, value);
    return;
  }
  error_ = value;
  wantedByScript_ == 0 ? loop_.event({.type = int(Event::broken), .slot = id.slot, .generation = id.generation, .a = value})
                       : answerRead();
}

void End::maybeDone() {
  if (dead || !isRelayed()) return;
  if (ended_ && finished_ && peer_->ended_ && peer_->finished_) relayDone(RelayEnd::complete, 0);
}

void End::relayDone(RelayEnd kind, int value) {
  Relay *relay = relay_;
  const Id id = relay->downstream->id;
  if (relay->upstream->planned_) loop_.giveCounters(relay->counters);
  End *ends[] = {relay->downstream, relay->upstream};
  part();
  // Before what the ends say of themselves.
  loop_.eventWithNext(
      {.type = int(Event::relayed), .slot = id.slot, .generation = id.generation, .a = int(kind), .b = value});
  for (End *end : ends) {
    if (kind == RelayEnd::complete) end->drop();
    else end->cut(10 /* CONNECT_ERROR, RFC 9113 8.5 */);
  }
}

void End::part() {
  Relay *relay = relay_;
  if (relay == nullptr) return;
  for (End *end : {relay->downstream, relay->upstream}) {
    end->relay_ = nullptr;
    end->peer_ = nullptr;
  }
  delete relay;
}

const char *End::unmovable() const {
  if (!isRelayed()) return "a connection of it is not relayed yet";
  return ahead_ != nullptr ? "a connection of it does not stand yet" : nullptr;
}

const double *End::counters() const { return loop_.counters(relay_->counters); }

template <class State> void End::transfer(State &s) {
  s.bytes(out_, kMostWaiting);
  s.number(outFree_, 0, kMostWaiting);
  s.flag(ended_);
  s.flag(finishing_);
  s.flag(finished_);
}

void End::save(StateWriter &s) {
  if (!inbox_.empty()) throw std::logic_error("a relay leaves nothing unread");
  transfer(s);
}

void End::restore(StateReader &s) {
  transfer(s);
  StateReader::check(outFree_ <= out_.size(), "credit for more than waits");
  StateReader::check(finished_ ? finishing_ && out_.empty() : !finishing_ || !out_.empty(), "an end before its bytes");
}

void End::rejoin(Loop &loop, End &downstream, End &upstream, uint32_t counters, double received, double sent) {
  auto *relay = new Relay{&downstream, &upstream, counters};
  double *slab = loop.counters(counters);
  slab[0] = received;
  slab[1] = sent;
  End *ends[] = {&downstream, &upstream};
  for (int i = 0; i < 2; i++) {
    ends[i]->relay_ = relay;
    ends[i]->wasRelayed_ = ends[i]->planned_ = true;
    ends[i]->peer_ = ends[1 - i];
    ends[i]->counter_ = &slab[i];
  }
}

int End::freeze() {
  frozen = true;
  return -1;
}

void End::goLive() { frozen = false; }

void End::wake() {
  if (dead) return;
  drain();
  if (!dead) loop_.ready(this);
}

void End::forget() {
  if (isRelayed() && relay_->upstream->planned_) loop_.giveCounters(relay_->counters);
  part();
}

} // namespace aq
