// A TLS handshake by OpenSSL over memory. What comes after it may be sealed by OpenSSL too, or by ourselves.
#pragma once
#include "context.h"
#include "openssl.h"
#include "own-records.h"
#include "records.h"
#include <string_view>
#include <vector>

namespace aq {

class Handshake {
public:
  /** std::bad_alloc. */
  explicit Handshake(const TlsContext &context);
  ~Handshake();
  Handshake(const Handshake &) = delete;
  Handshake &operator=(const Handshake &) = delete;

  enum class State { going, done, failed };
  /** Takes whole records, or bytes that are no TLS at all; never more than the record that ends the handshake. */
  State feed(Bytes);
  /** What is to be sent; failed: the alert, if any. Moves it into `to`. */
  size_t output(uint8_t *to, size_t most);

  // failed
  const std::string &reason() const { return reason_; }
  /** The alert that came or was sent; -1 for none. */
  int alert() const { return alert_; }

  // done
  /** DER, leaf first. */
  std::vector<std::vector<uint8_t>> chain() const;
  std::string_view alpn() const;
  std::string_view protocol() const;
  std::string_view suite() const;
  /** Ends the handshake's part. Our own where `own` and TLS 1.3, else OpenSSL's. */
  std::unique_ptr<Records> records(bool own, uint64_t recordsPerKey);

  /** Lets handshakes of the context see their secrets. */
  static void watch(SSL_CTX *);

private:
  static void onSecret(const SSL *, const char *line);
  static void onState(const SSL *, int where, int value);
  Role role_;
  OwnedSsl ssl_;
  Secret sendSecret_, receiveSecret_;
  std::string reason_;
  int alert_ = -1;
};

} // namespace aq
