#include "handshake.h"
#include "openssl-records.h"
#include <cstring>
#include <openssl/err.h>
#include <stdexcept>

namespace aq {
namespace {

int digit(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

void readHex(const char *text, Secret &to) {
  to.size = 0;
  for (; text[0] && text[1] && to.size < sizeof to.bytes; text += 2) {
    to.bytes[to.size++] = uint8_t(digit(text[0]) * 16 + digit(text[1]));
  }
}

} // namespace

void Handshake::watch(SSL_CTX *c) {
  SSL_CTX_set_keylog_callback(c, onSecret);
  SSL_CTX_set_info_callback(c, onState);
}

/** Lines of OpenSSL's key log: label, client random, secret. They are read here and go nowhere else. */
void Handshake::onSecret(const SSL *ssl, const char *line) {
  auto *self = static_cast<Handshake *>(SSL_get_app_data(ssl));
  if (!self) return;
  const std::string_view text(line);
  const bool client = text.starts_with("CLIENT_TRAFFIC_SECRET_0 ");
  if (!client && !text.starts_with("SERVER_TRAFFIC_SECRET_0 ")) return;
  const bool send = client == (self->role_ == Role::client);
  readHex(strrchr(line, ' ') + 1, send ? self->sendSecret_ : self->receiveSecret_);
}

void Handshake::onState(const SSL *ssl, int where, int value) {
  auto *self = static_cast<Handshake *>(SSL_get_app_data(ssl));
  if (self && (where & SSL_CB_ALERT)) self->alert_ = value & 0xff;
}

Handshake::Handshake(const TlsContext &context) : role_(context.role()), ssl_(SSL_new(context.get())) {
  if (!ssl_) throw std::bad_alloc();
  OwnedBio in(BIO_new(BIO_s_mem())), out(BIO_new(BIO_s_mem()));
  if (!in || !out) throw std::bad_alloc();
  BIO_set_mem_eof_return(in.get(), -1);
  BIO_set_mem_eof_return(out.get(), -1);
  SSL_set_bio(ssl_.get(), in.release(), out.release());
  SSL_set_app_data(ssl_.get(), this);
  if (role_ == Role::server) SSL_set_accept_state(ssl_.get());
  else SSL_set_connect_state(ssl_.get());
}

Handshake::~Handshake() {
  if (ssl_) SSL_set_app_data(ssl_.get(), nullptr);
}

Handshake::State Handshake::feed(Bytes bytes) {
  ERR_clear_error();
  if (!bytes.empty() && BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), int(bytes.size())) != int(bytes.size())) {
    throw std::bad_alloc();
  }
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return State::done;
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return State::going;
  const long verdict = SSL_get_verify_result(ssl_.get());
  const OpensslError why = takeOpensslError();
  reason_ = why.receivedAlert < 0 && verdict != X509_V_OK ? why.reason + ": " + X509_verify_cert_error_string(verdict) : why.reason;
  return State::failed;
}

size_t Handshake::output(uint8_t *to, size_t most) {
  const int n = BIO_read(SSL_get_wbio(ssl_.get()), to, int(most));
  return n > 0 ? size_t(n) : 0;
}

std::vector<std::vector<uint8_t>> Handshake::chain() const {
  std::vector<std::vector<uint8_t>> result;
  const auto add = [&](X509 *x) {
    const int size = i2d_X509(x, nullptr);
    if (size <= 0) return;
    auto &der = result.emplace_back(size_t(size));
    uint8_t *p = der.data();
    i2d_X509(x, &p);
  };
  const OwnedX509 leaf(SSL_get1_peer_certificate(ssl_.get()));
  if (leaf) add(leaf.get());
  const STACK_OF(X509) *rest = SSL_get_peer_cert_chain(ssl_.get());
  // A client's list begins with the leaf, a server's does not.
  for (int i = role_ == Role::client ? 1 : 0; rest && i < sk_X509_num(rest); i++) add(sk_X509_value(rest, i));
  return result;
}

std::string_view Handshake::alpn() const {
  const unsigned char *name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char *>(name), size};
}

std::string_view Handshake::protocol() const { return SSL_get_version(ssl_.get()); }
std::string_view Handshake::suite() const { return SSL_get_cipher_name(ssl_.get()); }

std::unique_ptr<Records> Handshake::records(bool own, uint64_t recordsPerKey) {
  const bool tls13 = SSL_version(ssl_.get()) == TLS1_3_VERSION;
  if (own && tls13) {
    const bool aes256 = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl_.get())) == 0x1302;
    return std::make_unique<OwnRecords>(role_, aes256 ? Suite::aes256 : Suite::aes128, sendSecret_, receiveSecret_, recordsPerKey);
  }
  sendSecret_.wipe();
  receiveSecret_.wipe();
  SSL_set_app_data(ssl_.get(), nullptr);
  return std::make_unique<OpensslRecords>(std::move(ssl_), tls13 ? recordsPerKey : UINT64_MAX);
}

} // namespace aq
