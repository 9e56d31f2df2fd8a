// One HBONE connection: TLS and HTTP/2 between bytes that came and bytes that are to go. No socket, no clock, no thread.
#pragma once
#include "../bytes.h"
#include "../h2/stream.h"
#include "../state/state.h"
#include "../tls/context.h"
#include <memory>
#include <string>
#include <sys/uio.h>
#include <vector>

namespace aq {

class Records;
class RowPool;
class Tunnel;

/** HTTP/2 error codes (RFC 9113 7). */
enum Http2Code : uint32_t {
  NO_ERROR = 0,
  PROTOCOL_ERROR = 1,
  INTERNAL_ERROR = 2,
  FLOW_CONTROL_ERROR = 3,
  SETTINGS_TIMEOUT = 4,
  STREAM_CLOSED = 5,
  FRAME_SIZE_ERROR = 6,
  REFUSED_STREAM = 7,
  CANCEL = 8,
  COMPRESSION_ERROR = 9,
  CONNECT_ERROR = 10,
  ENHANCE_YOUR_CALM = 11,
};

struct TunnelLimits {
  /** Bytes a peer may send on one stream before they are consumed, 65,535 to 2^31-1. */
  uint32_t streamWindow = 4u << 20;
  /** The same of the connection; what all streams together may leave unconsumed before their windows are made small. */
  uint32_t connectionWindow = 16u << 20;
  /** Bytes of the largest frame that a peer may send, 16,384 to 2^24-1. */
  uint32_t maxFrame = 1u << 20;
  /** Bytes of a header list as RFC 9113 6.5.2 counts them. 16 KiB is the client's (ambient-wire 1.6). */
  uint32_t maxHeaderList = 64u << 10;
  /** Streams that a client may have open at once. */
  uint32_t maxStreams = 200;
  /** Records that are sealed by one key before the next; the bound of AES-GCM is 2^24.5 (RFC 8446 5.5). */
  uint64_t recordsPerKey = 1u << 24;
  /** False: OpenSSL's records, as always with TLS 1.2. */
  bool ownRecords = true;
};

struct TunnelFailure {
  enum class Kind {
    /** Handshake, certificate, record or alert. */
    tls,
    /** The peer broke HTTP/2's rules, or told of an error by GOAWAY and left. */
    http2,
    /** It kept to the letter and asked for too much. */
    peerFlood,
    /** It ended within something: a record, a frame, the handshake, or with streams open. */
    truncated,
  };
  Kind kind;
  /** tls: the alert that was received or is sent. Others: the code of our GOAWAY. */
  int alertOrCode;
  std::string reason;
};

/**
 * Calls come within feed(), endOfInput(), wrote() or a command. A handler may use any command of the same tunnel, release() of
 * the stream of the call among them, but never destroys the tunnel.
 */
struct TunnelHandler {
  virtual ~TunnelHandler() = default;
  /**
   * The chain of the peer as DER, leaf first, which OpenSSL has verified against the context's roots. Nothing more is read
   * until accepted(); fail() refuses.
   */
  virtual void onHandshaken(Tunnel &, const std::vector<std::vector<uint8_t>> &chain, std::string_view alpn) = 0;
  /** The peer's first SETTINGS, and each later one that changes the limit. 2^32-1: it sets none. */
  virtual void onSettings(Tunnel &, uint32_t maxStreams) = 0;
  /** An answer to ping(). */
  virtual void onPong(Tunnel &) = 0;
  /** The peer takes no new stream. With NO_ERROR the tunnel closes when the open ones have ended. */
  virtual void onGoaway(Tunnel &, uint32_t code) = 0;
  /** Server: a request that is well-formed, CONNECT or not. */
  virtual void onRequest(Tunnel &, Stream &, std::span<const Header>) = 0;
  virtual void onResponse(Tunnel &, Stream &, int status, std::span<const Header>) = 0;
  /** A slice of what feed() was given, valid until that returns. Credit comes back by consumed(). */
  virtual void onData(Tunnel &, Stream &, Bytes) = 0;
  /** END_STREAM. */
  virtual void onEnd(Tunnel &, Stream &) = 0;
  /**
   * The stream was cut: RST_STREAM, an id above GOAWAY's last (`unprocessed`, as REFUSED_STREAM is), a mistake of the peer on
   * this stream, or the connection failed (CONNECT_ERROR). The last call for it; it is still to be released.
   */
  virtual void onReset(Tunnel &, Stream &, uint32_t code, bool unprocessed) = 0;
  /** room() was 0 and is not any more. */
  virtual void onWritable(Tunnel &, Stream &) = 0;
  /** The peer opens and resets streams too fast. It was sent GOAWAY; open streams may finish. Once. */
  virtual void onResetFlood(Tunnel &) = 0;
  /** Once; streams have had onReset(). What output() holds (GOAWAY, alert) is still to be written, then the socket is closed. */
  virtual void onFailed(Tunnel &, const TunnelFailure &) = 0;
  /** Once, in order: no stream is left. What output() holds is still to be written, then the socket is closed. */
  virtual void onClosed(Tunnel &) = 0;
};

class Tunnel {
public:
  /** `rows` outlives the tunnel and belongs to the same thread. The role is the context's. */
  Tunnel(std::shared_ptr<TlsContext> context, const TunnelLimits &limits, RowPool &rows, TunnelHandler &handler);
  /** One whose handshake is done: as after accepted(). */
  Tunnel(Role role, std::unique_ptr<Records> records, const TunnelLimits &limits, RowPool &rows, TunnelHandler &handler);
  /**
   * One that another process froze, with limits and role as they were there. Its streams have no owner yet; there may be output,
   * and what came of a record. UnreadableState: of another version or damaged. The handler is not called.
   */
  Tunnel(Bytes state, RowPool &rows, TunnelHandler &handler);
  ~Tunnel();
  Tunnel(const Tunnel &) = delete;
  Tunnel &operator=(const Tunnel &) = delete;
  /** Client: makes the first flight. */
  void start();

  // Input. The caller keeps one buffer for all tunnels of its thread and reads behind what was carried over:
  //   n = carried(); carry(buffer); n += read(buffer + n, ...); feed(buffer, n, now)
  /** False while accepted() is awaited, and once the tunnel has failed or closed. */
  bool wantsRead() const;
  /** Bytes that carry() will copy: less than one record, but after accepted() what was left of the last feed(). */
  size_t carried() const;
  /** Copies what was kept to the start of the read buffer; it is the caller's then. */
  void carry(uint8_t *to);
  /** Works in place. `now` is monotonic, in ms. After accepted() it must be called even if nothing new was read. */
  void feed(uint8_t *data, size_t size, uint64_t now);
  /** The peer's FIN. */
  void endOfInput();

  // Output. In a turn of the loop: flush(), then output() is to be written, and wrote() says how much was.
  /** Seals what was queued. */
  void flush();
  Bytes output() const;
  /** May call onWritable(). */
  void wrote(size_t);

  // Commands. On a tunnel that has failed or closed, and on a closed stream, they do nothing.
  void accepted();
  /** Before accepted(): the alert; later also GOAWAY with INTERNAL_ERROR. Ends in onFailed() with kind tls. */
  void fail(uint8_t alert, std::string reason);
  /** Client. nullptr before the peer's SETTINGS, and when its limit, GOAWAY, our ids or a blocked output forbid one. */
  Stream *open(std::span<const Header>);
  void respond(Stream &, int status, std::span<const Header>, bool end);
  /** Bytes that may be given to the stream now. 0 asks for onWritable(). */
  size_t room(Stream &);
  /**
   * Holes for DATA, at most `most` bytes in `max` pieces; returns how many pieces, 0 as room(). No other call of this tunnel
   * comes between prepare() and commit(), which says how many bytes were put in, in order.
   */
  int prepare(Stream &, size_t most, iovec *holes, int max);
  void commit(Stream &, size_t);
  /** The copying form; returns what fitted. */
  size_t write(Stream &, Bytes);
  /** END_STREAM. */
  void end(Stream &);
  /** RST_STREAM where it is not closed, and release(). */
  void reset(Stream &, uint32_t code);
  /**
   * Every stream ends by this or reset(), when its owner has no more use for it: the reference is void then. One that is not
   * closed is reset with CANCEL; what it left unconsumed goes back to the connection.
   */
  void release(Stream &);
  /** Bytes of onData() that have left for the app. */
  void consumed(Stream &, size_t);
  /** Nothing while an answer is owed. */
  void ping();
  /** No new stream either way. Graceful: closes when the open ones have ended. Else: cuts them and closes at once. */
  void goaway(uint32_t code, bool graceful);

  // Hand-over to another process (issue 9, reference native-engine 6).
  /**
   * Everything that a successor needs, keys included; empty where this tunnel cannot move: TLS 1.2 or OpenSSL's records, before the
   * first SETTINGS are acknowledged, or once it has ended. From then on output() and wantsRead() give nothing, commands do nothing
   * and no record is sealed, until thaw(), which is allowed only where nobody else got the state. What is destroyed while it is
   * frozen leaves no trace.
   */
  SecretBytes freeze();
  void thaw();
  Role role() const;
  /** nullptr: there is none. */
  Stream *find(uint32_t id) const;
  std::vector<uint32_t> ids() const;

  /** Bytes that wait for the socket, or for room to be sealed. */
  size_t queued() const;
  /** Bytes of onData() that were not consumed, of all streams. */
  uint64_t unconsumed() const;
  /** Streams that are not closed. */
  size_t streams() const;
  /** Of the peer; 2^32-1 where it sets none. */
  uint32_t peerMaxStreams() const;
  /** "TLSv1.3", and the suite. Valid from onHandshaken() on. */
  std::string_view protocol() const;
  std::string_view suite() const;

private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace aq
