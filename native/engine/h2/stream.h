// One CONNECT stream: plain data, owned by its tunnel.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace aq {

/** Names in lower case, pseudo headers first. Valid during the call that it is given to. */
struct Header {
  std::string_view name, value;
};

struct Stream {
  uint32_t id = 0;
  /** The peer has sent END_STREAM or RST_STREAM, or the connection failed. */
  bool remoteEnded = false;
  /** We have, or the connection failed. */
  bool localEnded = false;
  /** Nothing more is sent or received: both ended, or reset. It stays until release(). */
  bool closed = false;
  /** The request was CONNECT, so that only DATA may follow (RFC 9113 8.5). */
  bool connect = false;
  /** Server: respond() was called. Client: the response has come. */
  bool answered = false;
  /** Somebody found room() to be 0 and gets onWritable(). */
  bool waiting = false;
  /** Below 0 when the peer's SETTINGS made it so. */
  int64_t sendWindow = 0;
  /** What the peer may still send. */
  int64_t receiveWindow = 0;
  /** Bytes of DATA given to onData() and not yet consumed(). */
  uint64_t unconsumed = 0;
  /** Consumed, but not yet returned by WINDOW_UPDATE. */
  uint32_t unreported = 0;
  /** What the request's content-length still promises; -1: none was given. */
  int64_t promised = -1;
  uint64_t received = 0;
  uint64_t sent = 0;
  /** The feed() in which it was opened, ms. */
  uint64_t opened = 0;
  /** The loop's: its relay. The tunnel never touches it. */
  void *owner = nullptr;
  Stream *nextInBucket = nullptr;
};

} // namespace aq
