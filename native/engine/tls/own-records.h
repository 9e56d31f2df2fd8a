// Records of TLS 1.3 (RFC 8446 5), sealed and opened in place. Its whole state is two secrets and two numbers.
#pragma once
#include "context.h"
#include "openssl.h"
#include "records.h"
#include "../state/state.h"

namespace aq {

/** A traffic secret. Wiped when it goes. */
struct Secret {
  uint8_t bytes[48] = {};
  size_t size = 0;
  Secret() = default;
  Secret(const Secret &) = default;
  Secret &operator=(const Secret &) = default;
  ~Secret() { wipe(); }
  void wipe();
};

enum class Suite : uint8_t { aes256, aes128 };

#ifdef AQ_LOG_SEALS
/** For tests: each record that is sealed, by its key's secret and number. */
inline void (*onSeal)(const Secret &secret, uint64_t sequence) = nullptr;
#endif

/** One direction. */
class RecordKey {
public:
  /** std::runtime_error when OpenSSL fails. */
  RecordKey(Suite suite, const Secret &secret, bool seals);
  /** The next generation: RFC 8446 7.2. */
  void update();
  /** Header, plain text, type and room for 16 bytes of tag at `record`; returns what it takes in all. */
  size_t seal(uint8_t *record, size_t size, uint8_t type);
  /** Bytes of plain text, type and padding behind the header; -1: forged. */
  ptrdiff_t open(uint8_t *record, size_t size);
  Suite suite() const { return suite_; }
  uint64_t sequence() const { return sequence_; }
  /** While frozen sealing throws std::runtime_error: somebody else may have the key, and no number may be used twice. */
  void freeze(bool frozen) { frozen_ = frozen; }
  /** Secret and number; the suite is known. */
  template <class State> void transfer(State &);

private:
  void derive();
  void nonce(uint8_t *to);
  Suite suite_;
  bool seals_;
  Secret secret_;
  uint8_t iv_[12] = {};
  uint64_t sequence_ = 0;
  bool frozen_ = false;
  OwnedCipher cipher_;
};

class OwnRecords final : public Records {
public:
  OwnRecords(Role role, Suite suite, const Secret &send, const Secret &receive, uint64_t recordsPerKey);
  size_t stride() const override { return kRecordHeader + kMaxPlaintext + 1 + 16; }
  size_t maxRecord() const override { return kMaxPlaintext + 256; }
  Opened open(uint8_t *record, size_t size) override;
  size_t seal(uint8_t *slot, size_t size, uint8_t *to) override;
  bool due() const override { return updateOwed_ || askForUpdate_ || send_.sequence() >= recordsPerKey_; }
  size_t maintain(uint8_t *to) override;
  size_t alert(uint8_t code, uint8_t *to) override;

  Suite suite() const { return send_.suite(); }
  void freeze(bool frozen) { send_.freeze(frozen); }
  /** All that a successor of the same role, suite and limits needs. */
  template <class State> void transfer(State &);

  /** For tests: the key that seals the next record. */
  RecordKey &sendKey() { return send_; }

private:
  Opened handshake(Bytes);
  Role role_;
  uint64_t recordsPerKey_;
  RecordKey send_, receive_;
  /** The peer asked for our next key. */
  bool updateOwed_ = false;
  /** We are to ask for the peer's next key; it was asked under its present one. */
  bool askForUpdate_ = false, asked_ = false;
  /** Records since the last one with application data. */
  uint32_t idle_ = 0;
  /** A handshake message that is under way. */
  uint8_t messageHeader_[4] = {};
  uint32_t messageHeaderSize_ = 0, messageLeft_ = 0;
};

} // namespace aq
