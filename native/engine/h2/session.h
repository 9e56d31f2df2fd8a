// HTTP/2 of one connection that carries CONNECT streams (RFC 9113): frames in, frames out, nothing else.
#pragma once
#include "../tunnel/row.h"
#include "../tunnel/tunnel.h"
#include "bounds.h"
#include "frames.h"
#include "headers.h"
#include "hpack.h"
#include "stream-table.h"
#include <deque>

namespace aq {

/** Who owns the connection below. Called last, when the session has nothing more to do. */
struct SessionOwner {
  virtual ~SessionOwner() = default;
  /** GOAWAY is queued and the streams were cut. */
  virtual void onSessionFailed(TunnelFailure failure) = 0;
  /** GOAWAY was sent or received, and no stream is left. */
  virtual void onDrained() = 0;
};

class Session {
public:
  Session(Role role, const TunnelLimits &limits, OutputRow &row, Unread &unread, Tunnel &tunnel, TunnelHandler &handler,
          SessionOwner &owner);
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  /** Preface and SETTINGS. */
  void start();
  /** Slices given to onData() lie within `bytes`. */
  void receive(Bytes bytes, uint64_t now);
  /** The row was written: those who wait for room may go on. */
  void onRowMoved(bool empty);
  bool alive() const { return alive_; }
  /** The peer's SETTINGS have come. */
  bool ready() const { return settingsSeen_; }
  bool goingAway() const { return goawaySent_ || goawayReceived_; }
  /** Ends the session by its peer's mistake. */
  void fail(TunnelFailure::Kind kind, uint32_t code, std::string reason);
  /** The same without GOAWAY, since the records below are of no use any more. */
  void abandon();

  /** Whether save() may be called: what came and went until now is told by plain numbers. */
  bool canMove() const { return alive_ && settingsSeen_ && tableAcknowledged_; }
  void save(StateWriter &);
  /** Of a session that was not started. UnreadableState. Streams have no owner, and those that waited for room still do. */
  void restore(StateReader &);

  // As Tunnel's.
  Stream *open(std::span<const Header>);
  void respond(Stream &, int status, std::span<const Header>, bool end);
  size_t room(Stream &);
  int prepare(Stream &, size_t most, iovec *holes, int max);
  void commit(Stream &, size_t);
  void end(Stream &);
  void reset(Stream &, uint32_t code);
  void release(Stream &);
  void consumed(Stream &, size_t);
  void ping();
  void goaway(uint32_t code, bool graceful);
  uint64_t unconsumed() const { return unconsumed_; }
  size_t streams() const { return open_; }
  uint32_t peerMaxStreams() const { return peerMaxStreams_; }
  Stream *find(uint32_t id) const { return table_.find(id); }
  std::vector<uint32_t> ids() const { return table_.ids(); }

private:
  // State: session-state.cc.
  template <class State> void transferConnection(State &);
  template <class State> void transferPosition(State &);
  template <class State> void transferStream(State &, Stream &) const;
  bool mayBeCut(const FrameHeader &) const;

  // Frames in.
  void beginFrame();
  void beginData();
  void dataPayload(Bytes);
  void endData();
  void endFrame(Bytes payload);
  void onHeadersFrame(Bytes);
  void onContinuation(Bytes);
  void onBlock();
  void onRequestBlock(Stream *);
  void onResponseBlock(Stream *);
  void openRequest();
  void onTrailers(Stream &);
  void onPriority(Bytes);
  void onRstStream(Bytes);
  void onSettings(Bytes);
  void onSettingsAck();
  bool applySetting(Setting, uint32_t value);
  void onPing(Bytes);
  void onGoaway(Bytes);
  void onWindowUpdate(Bytes);
  void onRemoteEnd(Stream &);
  bool isIdle(uint32_t id) const;
  bool spend(const char *what);

  // Frames out.
  void putFrame(FrameType type, uint8_t flags, uint32_t stream, Bytes payload);
  void putReply(FrameType type, uint8_t flags, uint32_t stream, Bytes payload);
  void putCode(FrameType type, uint32_t stream, uint32_t value);
  void putHeaders(uint32_t stream, std::span<const Header>, bool end);
  void putGoaway(uint32_t code);
  void announceWindow(uint32_t window);
  void tellUnread();
  void checkUnconsumed();
  void creditConnection(uint32_t);
  void creditStream(Stream &, uint32_t);

  // Ends.
  void protocolError(std::string reason) { fail(TunnelFailure::Kind::http2, PROTOCOL_ERROR, std::move(reason)); }
  void streamError(uint32_t id, Stream *, uint32_t code);
  void refuse(uint32_t id);
  void markClosed(Stream &);
  void afterClose(const Stream &, bool resetByPeer);
  void cutStreams(bool announce);
  void checkDrained();
  void wakeWaiting();
  int64_t sendable(const Stream &) const;

  const Role role_;
  const TunnelLimits limits_;
  OutputRow &row_;
  Unread &unread_;
  Tunnel &tunnel_;
  TunnelHandler &handler_;
  SessionOwner &owner_;
  bool alive_ = true;
  uint64_t now_ = 0;

  // Position in the input.
  size_t prefaceSeen_ = 0;
  uint8_t headerBytes_[kFrameHeaderSize] = {};
  uint32_t headerSize_ = 0;
  FrameHeader frame_;
  uint32_t payloadLeft_ = 0;
  /** What came so far of the payload of a frame that is not DATA. */
  std::vector<uint8_t> payload_;
  /** DATA: the pad length is still to come; padding at the end; bytes of padding, its length included. */
  bool padLengthDue_ = false;
  uint32_t padding_ = 0;
  /** DATA and unknown frames: whom it is for; 0: nobody. */
  uint32_t dataStream_ = 0;
  bool skipping_ = false;
  /** A header block that is under way, and for which stream. */
  uint32_t blockStream_ = 0;
  bool blockEndsStream_ = false, blockDependsOnItself_ = false;
  uint32_t continuations_ = 0;
  std::vector<uint8_t> block_;

  // Of the peer.
  bool settingsSeen_ = false, goawayReceived_ = false;
  uint32_t peerMaxStreams_ = UINT32_MAX, peerWindow_ = kDefaultWindow;
  /** The last id that was taken up, and the last that came at all. */
  uint32_t lastPeerId_ = 0, highestPeerId_ = 0, lastGoawayId_ = kMaxStreamId;
  int64_t sendWindow_ = kDefaultWindow;

  // Ours.
  bool goawaySent_ = false;
  uint32_t nextId_ = 1;
  int64_t receiveWindow_ = kDefaultWindow;
  uint32_t unreported_ = 0;
  /** Windows of streams that were announced and not yet acknowledged, oldest first. */
  std::deque<uint32_t> announced_;
  uint32_t streamWindow_;
  uint64_t unconsumed_ = 0;
  /** What all tunnels together were told of this one. */
  uint64_t toldBytes_ = 0;
  size_t toldStreams_ = 0;
  bool pingOwed_ = false, tableAcknowledged_ = false;

  StreamTable table_;
  ClosedStreams closed_;
  size_t open_ = 0;
  std::vector<uint32_t> waiting_;
  HeaderEncoder encoder_;
  HeaderDecoder decoder_;
  HeaderList list_;
  std::vector<uint8_t> encoded_;

  // Bounds.
  ResetGuard resets_;
  bool resetFlood_ = false;
  FrameBudget budget_;
  /** WINDOW_UPDATEs that what we sent may still bring. */
  uint64_t windowUpdates_ = 1000;
  /** Replies that the peer caused and has not read; frames other than DATA that it has not read. */
  uint32_t replies_ = 0, frames_ = 0;
  uint32_t streamErrors_ = 0;
};

} // namespace aq
