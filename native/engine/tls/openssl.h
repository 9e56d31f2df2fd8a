// Owners of OpenSSL's objects, and its errors as text.
#pragma once
#include <memory>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string>

namespace aq {

template <auto Free> struct Freed {
  template <class T> void operator()(T *p) const { Free(p); }
};
using OwnedSsl = std::unique_ptr<SSL, Freed<SSL_free>>;
using OwnedBio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using OwnedX509 = std::unique_ptr<X509, Freed<X509_free>>;
using OwnedKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using OwnedCipher = std::unique_ptr<EVP_CIPHER_CTX, Freed<EVP_CIPHER_CTX_free>>;

/** The oldest error of this thread's queue, which is empty then. */
struct OpensslError {
  std::string reason;
  /** The alert that the peer sent, or -1. */
  int receivedAlert;
};
OpensslError takeOpensslError();

} // namespace aq
