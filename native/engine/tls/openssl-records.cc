#include "openssl-records.h"
#include <openssl/err.h>
#include <stdexcept>

namespace aq {

size_t OpensslRecords::drain(uint8_t *to, size_t most) {
  const int n = BIO_read(SSL_get_wbio(ssl_.get()), to, int(most));
  return n > 0 ? size_t(n) : 0;
}

Opened OpensslRecords::open(uint8_t *record, size_t size) {
  ERR_clear_error();
  if (BIO_write(SSL_get_rbio(ssl_.get()), record, int(size)) != int(size)) throw std::bad_alloc();
  // The record has been copied, so its place takes the plain text, which is shorter.
  const int n = SSL_read(ssl_.get(), record, int(size));
  if (n > 0) return {.kind = Opened::Kind::data, .data = Bytes(record, size_t(n))};
  const int error = SSL_get_error(ssl_.get(), n);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return {};
  if (error == SSL_ERROR_ZERO_RETURN) return {.kind = Opened::Kind::closeNotify};
  const OpensslError why = takeOpensslError();
  const bool received = why.receivedAlert >= 0;
  return {.kind = Opened::Kind::failed,
          .alert = uint8_t(received ? why.receivedAlert : BAD_RECORD_MAC),
          .received = received,
          .reason = why.reason};
}

size_t OpensslRecords::seal(uint8_t *slot, size_t size, uint8_t *to) {
  ERR_clear_error();
  if (SSL_write(ssl_.get(), slot + kRecordHeader, int(size)) != int(size)) {
    throw std::runtime_error("OpenSSL: " + takeOpensslError().reason);
  }
  sealed_++;
  return drain(to, size + kOverhead);
}

bool OpensslRecords::due() const { return sealed_ >= recordsPerKey_ || BIO_pending(SSL_get_wbio(ssl_.get())) > 0; }

size_t OpensslRecords::maintain(uint8_t *to) {
  if (sealed_ >= recordsPerKey_) {
    sealed_ = 0;
    SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(ssl_.get());
  }
  return drain(to, 64);
}

size_t OpensslRecords::alert(uint8_t code, uint8_t *to) {
  ERR_clear_error();
  // OpenSSL has queued its own alert when the error is one that it found.
  if (code == CLOSE_NOTIFY) SSL_shutdown(ssl_.get());
  return drain(to, 64);
}

} // namespace aq
