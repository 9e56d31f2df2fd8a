// A CONNECT stream of a tunnel.
#pragma once
#include "../tunnel/tunnel.h"
#include "end.h"

namespace aq {

class Carrier;

class StreamEnd : public End {
public:
  StreamEnd(Loop &loop, Carrier &carrier, Stream &stream);
  // Whose stream is gone.
  explicit StreamEnd(Loop &loop) : End(loop), carrier_(nullptr), stream_(nullptr) {}
  ~StreamEnd() override;

  void respond(int status, std::span<const Header> headers, bool end);
  // Holes for what a socket has, as Tunnel::prepare(); tries to empty the connection's output once.
  int prepare(size_t most, iovec *holes, int max, size_t *total);
  void commit(size_t size);
  void pump() override {}
  const char *unmovable() const override;
  void save(StateWriter &) override;
  void restore(StateReader &) override;
  void owe(size_t bytes) override;
  void forget() override;
  // nullptr: it is gone, and what came by it waits for its reader.
  Stream *stream() const { return stream_; }
  void reset(uint32_t code) override;

  // Of the tunnel.
  void gathered(const iovec *pieces, int count, size_t total);
  void remoteEnd();
  void wasReset(uint32_t code, bool unprocessed, bool lost);
  void writable() { drain(); }
  // The tunnel is gone, and its streams with it.
  void orphan();
  // The carrier's list.
  StreamEnd *next = nullptr, **link = nullptr;

protected:
  ssize_t offer(const iovec *pieces, int count, size_t total) override;
  void finishNow() override;
  void returnCredit(size_t size) override;
  void drop() override;
  void cut(uint32_t code) override;
  void answerAhead(std::string_view headers) override;

private:
  template <class State> void transfer(State &);
  void unlink();
  void gone(uint32_t code);

  Carrier *carrier_;
  Stream *stream_;
  uint32_t closeCode_ = 0;
  bool byPeer_ = false;
  bool unprocessed_ = false;
  bool responded_ = false;
  // Answered for good: what still comes is of no use.
  bool refused_ = false;
};

} // namespace aq
