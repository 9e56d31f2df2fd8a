#include "own-records.h"
#include <algorithm>
#include <cstring>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdexcept>

namespace aq {
namespace {

constexpr size_t kTag = 16;
enum : uint8_t { kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22, kData = 23 };
enum : uint8_t { kNewSessionTicket = 4, kKeyUpdate = 24 };
constexpr uint8_t kIllegalParameter = 47;
/** Two lengths of 16 bits, one of 8, and 12 bytes more (RFC 8446 4.6.1). */
constexpr uint32_t kMaxTicket = 2 * 65536 + 256 + 12;
/** As OpenSSL bounds empty records. */
constexpr uint32_t kMaxIdle = 32;
/** No key lives that long. */
constexpr int64_t kMaxSequence = int64_t(1) << 48;

void check(bool ok) {
  if (!ok) throw std::runtime_error("OpenSSL: " + takeOpensslError().reason);
}

/** HKDF-Expand-Label without context (RFC 8446 7.1) for at most one block of the hash. */
void expandLabel(const Secret &secret, std::string_view label, uint8_t *out, size_t size) {
  uint8_t info[64];
  size_t n = 0;
  info[n++] = 0;
  info[n++] = uint8_t(size);
  info[n++] = uint8_t(6 + label.size());
  memcpy(info + n, "tls13 ", 6);
  n += 6;
  memcpy(info + n, label.data(), label.size());
  n += label.size();
  info[n++] = 0;
  info[n++] = 1;
  uint8_t block[EVP_MAX_MD_SIZE];
  const EVP_MD *hash = secret.size == 48 ? EVP_sha384() : EVP_sha256();
  check(HMAC(hash, secret.bytes, int(secret.size), info, n, block, nullptr) != nullptr);
  memcpy(out, block, size);
  OPENSSL_cleanse(block, sizeof block);
}

Opened failed(uint8_t alert, std::string reason) {
  return {.kind = Opened::Kind::failed, .alert = alert, .reason = std::move(reason)};
}

} // namespace

void Secret::wipe() {
  OPENSSL_cleanse(bytes, sizeof bytes);
  size = 0;
}

RecordKey::RecordKey(Suite suite, const Secret &secret, bool seals)
    : suite_(suite), seals_(seals), secret_(secret), cipher_(EVP_CIPHER_CTX_new()) {
  check(cipher_ != nullptr);
  if (secret.size != (suite == Suite::aes256 ? 48 : 32)) throw std::runtime_error("the handshake left no traffic secret");
  derive();
}

void RecordKey::derive() {
  uint8_t key[32];
  expandLabel(secret_, "key", key, suite_ == Suite::aes256 ? 32 : 16);
  expandLabel(secret_, "iv", iv_, sizeof iv_);
  const EVP_CIPHER *cipher = suite_ == Suite::aes256 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
  const int ok = EVP_CipherInit_ex(cipher_.get(), cipher, nullptr, key, iv_, seals_);
  OPENSSL_cleanse(key, sizeof key);
  check(ok);
  sequence_ = 0;
}

void RecordKey::update() {
  Secret next;
  next.size = secret_.size;
  expandLabel(secret_, "traffic upd", next.bytes, next.size);
  secret_ = next;
  derive();
}

void RecordKey::nonce(uint8_t *to) {
  memcpy(to, iv_, sizeof iv_);
  for (int i = 0; i < 8; i++) to[11 - i] ^= uint8_t(sequence_ >> (8 * i));
  sequence_++;
}

size_t RecordKey::seal(uint8_t *record, size_t size, uint8_t type) {
  if (frozen_) throw std::runtime_error("its keys are with another process");
#ifdef AQ_LOG_SEALS
  if (onSeal != nullptr) onSeal(secret_, sequence_);
#endif
  uint8_t n[12];
  nonce(n);
  record[0] = kData;
  record[1] = record[2] = 3;
  write16(record + 3, uint32_t(size + 1 + kTag));
  uint8_t *text = record + kRecordHeader;
  text[size] = type;
  EVP_CIPHER_CTX *c = cipher_.get();
  int out = 0;
  check(EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, n) && EVP_EncryptUpdate(c, nullptr, &out, record, kRecordHeader) &&
        EVP_EncryptUpdate(c, text, &out, text, int(size + 1)) && EVP_EncryptFinal_ex(c, text + size + 1, &out) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kTag, text + size + 1));
  return kRecordHeader + size + 1 + kTag;
}

template <class State> void RecordKey::transfer(State &s) {
  s.raw(secret_.bytes, secret_.size);
  if constexpr (State::reads) derive();
  s.number(sequence_, 0, kMaxSequence);
}

ptrdiff_t RecordKey::open(uint8_t *record, size_t size) {
  uint8_t n[12];
  nonce(n);
  const size_t inner = size - kRecordHeader - kTag;
  uint8_t *text = record + kRecordHeader;
  EVP_CIPHER_CTX *c = cipher_.get();
  int out = 0;
  check(EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, n) && EVP_DecryptUpdate(c, nullptr, &out, record, kRecordHeader) &&
        EVP_DecryptUpdate(c, text, &out, text, int(inner)) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, kTag, text + inner));
  uint8_t rest[16];
  if (EVP_DecryptFinal_ex(c, rest, &out) <= 0) {
    takeOpensslError();
    return -1;
  }
  return ptrdiff_t(inner);
}

OwnRecords::OwnRecords(Role role, Suite suite, const Secret &send, const Secret &receive, uint64_t recordsPerKey)
    : role_(role), recordsPerKey_(recordsPerKey), send_(suite, send, true), receive_(suite, receive, false) {}

template <class State> void OwnRecords::transfer(State &s) {
  send_.transfer(s);
  receive_.transfer(s);
  s.flag(updateOwed_);
  s.flag(askForUpdate_);
  s.flag(asked_);
  s.number(idle_, 0, kMaxIdle);
  s.raw(messageHeader_, sizeof messageHeader_);
  s.number(messageHeaderSize_, 0, sizeof messageHeader_);
  s.number(messageLeft_, 0, kMaxTicket);
}
template void OwnRecords::transfer(StateWriter &);
template void OwnRecords::transfer(StateReader &);

Opened OwnRecords::open(uint8_t *record, size_t size) {
  if (record[0] != kData) return failed(UNEXPECTED_MESSAGE, "a record of type " + std::to_string(record[0]) + " in plain text");
  if (size > kRecordHeader + maxRecord()) return failed(RECORD_OVERFLOW, "a record that is too long");
  if (size < kRecordHeader + 1 + kTag) return failed(BAD_RECORD_MAC, "a record that is too short");
  ptrdiff_t n = receive_.open(record, size);
  if (n < 0) return failed(BAD_RECORD_MAC, "a record that is forged or damaged");
  if (receive_.sequence() >= recordsPerKey_ && !asked_) askForUpdate_ = asked_ = true;
  if (size_t(n) > kMaxPlaintext + 1) return failed(RECORD_OVERFLOW, "more plain text than a record may hold");
  const uint8_t *text = record + kRecordHeader;
  while (n > 0 && text[n - 1] == 0) n--;
  if (n == 0) return failed(UNEXPECTED_MESSAGE, "a record of zeros only");
  const uint8_t type = text[--n];
  const Bytes bytes(text, size_t(n));
  if (type != kHandshake && messageHeaderSize_ > 0) return failed(UNEXPECTED_MESSAGE, "a record within a handshake message");
  if (type == kData && n > 0) {
    idle_ = 0;
    return {.kind = Opened::Kind::data, .data = bytes};
  }
  if (++idle_ > kMaxIdle) return failed(UNEXPECTED_MESSAGE, "too many records without data");
  switch (type) {
    case kData: return {};
    case kHandshake: return handshake(bytes);
    case kAlert:
      if (n != 2) return failed(DECODE_ERROR, "a malformed alert");
      if (bytes[1] == CLOSE_NOTIFY) return {.kind = Opened::Kind::closeNotify};
      if (bytes[1] == USER_CANCELED) return {};
      return {.kind = Opened::Kind::failed,
              .alert = bytes[1],
              .received = true,
              .reason = std::string("alert ") + SSL_alert_desc_string_long(bytes[1])};
    case kChangeCipherSpec:
    default: return failed(UNEXPECTED_MESSAGE, "a record of inner type " + std::to_string(type));
  }
}

Opened OwnRecords::handshake(Bytes m) {
  if (m.empty()) return failed(UNEXPECTED_MESSAGE, "an empty handshake record");
  while (!m.empty()) {
    if (messageHeaderSize_ < 4) {
      messageHeader_[messageHeaderSize_++] = m[0];
      m = m.subspan(1);
      if (messageHeaderSize_ < 4) continue;
      messageLeft_ = read24(messageHeader_ + 1);
      const uint8_t type = messageHeader_[0];
      const bool ticket = type == kNewSessionTicket && role_ == Role::client;
      if (!ticket && type != kKeyUpdate) return failed(UNEXPECTED_MESSAGE, "handshake message " + std::to_string(type));
      if (ticket ? messageLeft_ > kMaxTicket : messageLeft_ != 1) return failed(DECODE_ERROR, "a malformed handshake message");
      if (messageLeft_ == 0) messageHeaderSize_ = 0;
      continue;
    }
    if (messageHeader_[0] == kNewSessionTicket) {
      const size_t n = std::min<size_t>(messageLeft_, m.size());
      m = m.subspan(n);
      messageLeft_ -= uint32_t(n);
      if (messageLeft_ == 0) messageHeaderSize_ = 0;
      continue;
    }
    // What follows a change of keys must be under the new one.
    if (m.size() > 1) return failed(UNEXPECTED_MESSAGE, "bytes behind a KeyUpdate");
    if (m[0] > 1) return failed(kIllegalParameter, "a malformed KeyUpdate");
    if (m[0] == 1) updateOwed_ = true;
    receive_.update();
    asked_ = askForUpdate_ = false;
    messageHeaderSize_ = 0;
    m = {};
  }
  return {};
}

size_t OwnRecords::seal(uint8_t *slot, size_t size, uint8_t *to) {
  if (to != slot) memmove(to + kRecordHeader, slot + kRecordHeader, size);
  return send_.seal(to, size, kData);
}

size_t OwnRecords::maintain(uint8_t *to) {
  if (!due()) return 0;
  uint8_t *m = to + kRecordHeader;
  m[0] = kKeyUpdate;
  write24(m + 1, 1);
  m[4] = askForUpdate_ ? 1 : 0;
  const size_t n = send_.seal(to, 5, kHandshake);
  send_.update();
  updateOwed_ = askForUpdate_ = false;
  return n;
}

size_t OwnRecords::alert(uint8_t code, uint8_t *to) {
  uint8_t *m = to + kRecordHeader;
  m[0] = code == CLOSE_NOTIFY ? 1 : 2;
  m[1] = code;
  return send_.seal(to, 2, kAlert);
}

} // namespace aq
