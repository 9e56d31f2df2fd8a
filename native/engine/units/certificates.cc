#include "certificates.h"
#include "../tls/openssl.h"
#include <atomic>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdexcept>

namespace aq::units {
namespace {

void need(bool ok) {
  if (!ok) throw std::runtime_error("certificates of tests: " + takeOpensslError().reason);
}

template <class Write> std::string pem(Write write) {
  const OwnedBio bio(BIO_new(BIO_s_mem()));
  need(bio && write(bio.get()));
  char *text;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, size_t(size)};
}

void extend(X509 *x, X509 *issuer, int nid, const std::string &value) {
  X509V3_CTX c;
  X509V3_set_ctx(&c, issuer, x, nullptr, nullptr, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(nullptr, &c, nid, value.c_str());
  need(e && X509_add_ext(x, e, -1));
  X509_EXTENSION_free(e);
}

OwnedX509 certificate(EVP_PKEY *key, const std::string &name, int days) {
  static std::atomic<long> serial{1};
  OwnedX509 x(X509_new());
  need(x != nullptr);
  X509_set_version(x.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -7 * 86400);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), long(days) * 86400);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char *>(name.c_str()), -1, -1, 0);
  X509_set_pubkey(x.get(), key);
  return x;
}

} // namespace

Authority::Authority(const std::string &name) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  need(key);
  OwnedX509 root = certificate(key, name, 10);
  X509_set_issuer_name(root.get(), X509_get_subject_name(root.get()));
  extend(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE");
  extend(root.get(), root.get(), NID_key_usage, "critical,keyCertSign");
  extend(root.get(), root.get(), NID_subject_key_identifier, "hash");
  need(X509_sign(root.get(), key, EVP_sha256()));
  key_ = key;
  root_ = root.release();
}

Authority::~Authority() {
  EVP_PKEY_free(static_cast<EVP_PKEY *>(key_));
  X509_free(static_cast<X509 *>(root_));
}

Credentials Authority::issue(const std::string &spiffe, int days) const {
  auto *root = static_cast<X509 *>(root_);
  const OwnedKey key(EVP_EC_gen("P-256"));
  need(key != nullptr);
  const OwnedX509 leaf = certificate(key.get(), "leaf", days);
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(root));
  extend(leaf.get(), root, NID_authority_key_identifier, "keyid");
  extend(leaf.get(), root, NID_ext_key_usage, "clientAuth,serverAuth");
  extend(leaf.get(), root, NID_subject_alt_name, "URI:" + spiffe);
  need(X509_sign(leaf.get(), static_cast<EVP_PKEY *>(key_), EVP_sha256()));
  return {pem([&](BIO *b) { return PEM_write_bio_X509(b, leaf.get()); }),
          pem([&](BIO *b) { return PEM_write_bio_PrivateKey(b, key.get(), nullptr, nullptr, 0, nullptr, nullptr); })};
}

std::string Authority::rootPem() const {
  return pem([&](BIO *b) { return PEM_write_bio_X509(b, static_cast<X509 *>(root_)); });
}

const Authority &authority() {
  static const Authority one;
  return one;
}

std::shared_ptr<TlsContext> context(Role role, bool tls12) {
  static const Credentials client = authority().issue("spiffe://cluster.local/ns/apps/sa/client");
  static const Credentials server = authority().issue("spiffe://cluster.local/ns/apps/sa/server");
  const Credentials &own = role == Role::client ? client : server;
  return TlsContext::make({role, own.chainPem, own.keyPem, authority().rootPem(), tls12, false});
}

} // namespace aq::units
