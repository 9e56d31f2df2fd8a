// A record layer after the handshake: whole records in, whole records out.
#pragma once
#include "../bytes.h"
#include <string>

namespace aq {

inline constexpr size_t kRecordHeader = 5;
inline constexpr size_t kMaxPlaintext = 16384;

enum Alert : uint8_t {
  CLOSE_NOTIFY = 0,
  UNEXPECTED_MESSAGE = 10,
  BAD_RECORD_MAC = 20,
  RECORD_OVERFLOW = 22,
  BAD_CERTIFICATE = 42,
  DECODE_ERROR = 50,
  ALERT_INTERNAL_ERROR = 80,
  USER_CANCELED = 90,
};

/** What a record was. */
struct Opened {
  enum class Kind { data, nothing, closeNotify, failed };
  Kind kind = Kind::nothing;
  /** data: the plain text, within the record that was given. */
  Bytes data = {};
  /** failed: the alert that came from the peer (`received`) or is to be sent. */
  uint8_t alert = 0;
  bool received = false;
  std::string reason = {};
};

class Records {
public:
  /** Bytes that a sealed record may be longer than its plain text, one KeyUpdate included. */
  static constexpr size_t kOverhead = 5 + 64;
  virtual ~Records() = default;
  /** Bytes between the slots of full records that are laid out before they are sealed. */
  virtual size_t stride() const = 0;
  /** The largest length that a record's header may name. */
  virtual size_t maxRecord() const = 0;
  /** Opens one whole record, header included, in place. */
  virtual Opened open(uint8_t *record, size_t size) = 0;
  /**
   * Seals `size` (1 to 16,384) bytes of application data that lie at `slot` + 5 into records at `to`, which is `slot` or
   * before it; returns how many bytes they take. std::runtime_error when the library fails.
   */
  virtual size_t seal(uint8_t *slot, size_t size, uint8_t *to) = 0;
  /** Whether maintain() has something to send: keys that are to be updated. Looked at before records are laid out. */
  virtual bool due() const = 0;
  /** Writes it to `to`, at most 64 bytes. */
  virtual size_t maintain(uint8_t *to) = 0;
  /** An alert at `to`, at most 64 bytes; 0 where this layer cannot send it. */
  virtual size_t alert(uint8_t code, uint8_t *to) = 0;
};

} // namespace aq
