#include "context.h"
#include "handshake.h"
#include "openssl.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdexcept>

namespace aq {
namespace {

constexpr char kSuites[] = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
constexpr char kSuites12[] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                             "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
constexpr unsigned char kAlpn[] = {2, 'h', '2'};

[[noreturn]] void refuse(const char *part) { throw std::invalid_argument(std::string(part) + ": " + takeOpensslError().reason); }

OwnedBio bioOf(const std::string &pem) {
  OwnedBio bio(BIO_new_mem_buf(pem.data(), int(pem.size())));
  if (!bio) throw std::bad_alloc();
  return bio;
}

// Without it OpenSSL asks for a password on the terminal.
int noPassword(char *, int, int, void *) { return -1; }

OwnedX509 nextCertificate(BIO *bio) { return OwnedX509(PEM_read_bio_X509(bio, nullptr, noPassword, nullptr)); }

/** Calls `use` for each certificate; refuses an empty list and rubbish between them. */
template <class Use> void eachCertificate(const char *part, const std::string &pem, Use use) {
  const OwnedBio bio = bioOf(pem);
  size_t n = 0;
  while (OwnedX509 certificate = nextCertificate(bio.get())) {
    if (!use(certificate.get(), n++)) refuse(part);
  }
  const unsigned long last = ERR_peek_last_error();
  if (n == 0 || ERR_GET_REASON(last) != PEM_R_NO_START_LINE) refuse(part);
  ERR_clear_error();
}

int selectAlpn(SSL *, const unsigned char **out, unsigned char *outSize, const unsigned char *in, unsigned inSize, void *) {
  for (unsigned i = 0; i < inSize; i += 1u + in[i]) {
    if (in[i] != 2 || i + 3 > inSize || in[i + 1] != 'h' || in[i + 2] != '2') continue;
    *out = in + i + 1;
    *outSize = 2;
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

} // namespace

std::shared_ptr<TlsContext> TlsContext::make(const TlsSettings &s) {
  ERR_clear_error();
  const bool server = s.role == Role::server;
  SSL_CTX *c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  if (!c) throw std::bad_alloc();
  std::shared_ptr<TlsContext> context(new TlsContext(s.role, c));
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  // The sequence number of our own records begins at 0 only if nothing was sealed before them.
  SSL_CTX_set_num_tickets(c, 0);
  // The chain is what was given: OpenSSL would add the root, which every peer has.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  if (!SSL_CTX_set_min_proto_version(c, s.tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) ||
      !SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) || !SSL_CTX_set_ciphersuites(c, kSuites) ||
      !SSL_CTX_set_cipher_list(c, kSuites12) || (s.pqc && !SSL_CTX_set1_groups_list(c, "X25519MLKEM768"))) {
    refuse("settings");
  }
  eachCertificate("chain", s.chainPem, [&](X509 *x, size_t n) {
    return n == 0 ? SSL_CTX_use_certificate(c, x) : SSL_CTX_add1_chain_cert(c, x);
  });
  const OwnedBio keyBio = bioOf(s.keyPem);
  const OwnedKey key(PEM_read_bio_PrivateKey(keyBio.get(), nullptr, noPassword, nullptr));
  if (!key || !SSL_CTX_use_PrivateKey(c, key.get()) || !SSL_CTX_check_private_key(c)) refuse("key");
  X509_STORE *store = SSL_CTX_get_cert_store(c);
  eachCertificate("roots", s.rootsPem, [&](X509 *x, size_t) { return X509_STORE_add_cert(store, x); });
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  if (server) SSL_CTX_set_alpn_select_cb(c, selectAlpn, nullptr);
  else if (SSL_CTX_set_alpn_protos(c, kAlpn, sizeof kAlpn)) throw std::bad_alloc();
  Handshake::watch(c);
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

} // namespace aq
