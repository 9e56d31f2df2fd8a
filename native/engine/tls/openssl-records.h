// OpenSSL's own records behind the same interface: for TLS 1.2, and to compare ours with.
#pragma once
#include "openssl.h"
#include "records.h"

namespace aq {

class OpensslRecords final : public Records {
public:
  /** `ssl` has done its handshake over memory. */
  OpensslRecords(OwnedSsl ssl, uint64_t recordsPerKey) : ssl_(std::move(ssl)), recordsPerKey_(recordsPerKey) {}
  size_t stride() const override { return kMaxPlaintext + kOverhead; }
  // TLS 1.2 allows 2,048 bytes more than the plain text, of which AES-GCM uses 24.
  size_t maxRecord() const override { return kMaxPlaintext + 256; }
  Opened open(uint8_t *record, size_t size) override;
  size_t seal(uint8_t *slot, size_t size, uint8_t *to) override;
  bool due() const override;
  size_t maintain(uint8_t *to) override;
  size_t alert(uint8_t code, uint8_t *to) override;

private:
  size_t drain(uint8_t *to, size_t most);
  OwnedSsl ssl_;
  uint64_t recordsPerKey_, sealed_ = 0;
};

} // namespace aq
