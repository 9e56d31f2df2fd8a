// A tunnel and the socket under it.
#pragma once
#include "../tunnel/tunnel.h"
#include "object.h"
#include "plan.h"

namespace aq {

class Loop;
class StreamEnd;

class Carrier : public Object, private TunnelHandler {
public:
  // Takes the descriptor over.
  Carrier(Loop &loop, int fd, std::shared_ptr<TlsContext> context, const TunnelLimits &limits);
  // Of another loop, which froze it; UnreadableState. Frozen here, too, and without a descriptor yet.
  Carrier(Loop &loop, Bytes state);
  ~Carrier() override;

  Tunnel &tunnel() { return tunnel_; }
  void start();
  void onEvents(uint32_t events) override;
  // One turn's worth.
  void readTurn();
  // In this turn its output is to be written.
  void touch();
  // Seals and writes; whether anything left.
  bool write();
  // At the end of a turn: writes, and closes what is over.
  void settle();
  void close() override;

  // Commands.
  void accepted();
  void refuse(uint8_t alert, std::string_view reason);
  void open(Id stream, std::span<const Header> headers);
  void ping();
  void heard();
  void goaway(uint32_t code, bool graceful);

  void adopt(StreamEnd *end);
  // For a plan, under a number of the loop's; nullptr where it takes none, or has `most` already.
  StreamEnd *open(std::span<const Header> headers, size_t most);
  // What keeps it here; nullptr: nothing that is known of.
  const char *unmovable() const;
  // Its descriptor, and it is nobody's event any more.
  int freeze();
  void take(int fd) { fd_ = fd; }
  void goLive();
  // Without a word on the wire or to JavaScript.
  void forget();
  // JavaScript's answers to CONNECTs of this peer.
  Plans plans;

  bool reading = false;
  bool touched = false;

private:
  static constexpr unsigned kLastBytesMs = 30'000;
  /** Whose stream it is, after what was gathered is written: bytes that cannot be end their relay, and with it the stream. nullptr: none, or it is gone. */
  StreamEnd *flushed(Stream &);
  void onHandshaken(Tunnel &, const std::vector<std::vector<uint8_t>> &chain, std::string_view alpn) override;
  void onSettings(Tunnel &, uint32_t maxStreams) override;
  void onPong(Tunnel &) override;
  void onGoaway(Tunnel &, uint32_t code) override;
  void onRequest(Tunnel &, Stream &, std::span<const Header>) override;
  void onResponse(Tunnel &, Stream &, int status, std::span<const Header>) override;
  void onData(Tunnel &, Stream &, Bytes) override;
  void onEnd(Tunnel &, Stream &) override;
  void onReset(Tunnel &, Stream &, uint32_t code, bool unprocessed) override;
  void onWritable(Tunnel &, Stream &) override;
  void onResetFlood(Tunnel &) override;
  void onFailed(Tunnel &, const TunnelFailure &) override;
  void onClosed(Tunnel &) override;
  void tell(Event type, int a = 0, int b = 0, int c = 0);

  Loop &loop_;
  StreamEnd *streams_ = nullptr;
  int fd_;
  Tunnel tunnel_;
  bool readable_ = false;
  // Bytes came since this was asked.
  bool heard_ = false;
  bool hung_ = false;
  bool blocked_ = false;
  // Nothing more can be written.
  bool broken_ = false;
  // It is to be fed even without anything new.
  bool owed_ = false;
  // The connection broke off without a word.
  bool lost_ = false;
  // Closed in order: it is over when its last bytes are the kernel's, or nobody takes them.
  bool ended_ = false;
  // Failed or closed: its last bytes, then nothing.
  bool over_ = false;
};

} // namespace aq
