// What the TLS of one workload certificate is made of: key, chain, roots, suites (ambient-wire 1.2).
#pragma once
#include <memory>
#include <string>

struct ssl_ctx_st;

namespace aq {

enum class Role { client, server };

struct TlsSettings {
  Role role = Role::client;
  /** Leaf first. */
  std::string chainPem;
  std::string keyPem;
  /** Several, also of one name: both hold while a CA is rotated. */
  std::string rootsPem;
  /** Also TLS 1.2, with ECDHE and AES-GCM. */
  bool tls12 = false;
  /** X25519MLKEM768 alone; else OpenSSL's own list. */
  bool pqc = false;
};

/** Immutable, so that all tunnels of a certificate share it, on all threads. */
class TlsContext {
public:
  /** std::invalid_argument names the part that is wrong: key, chain, roots or settings. */
  static std::shared_ptr<TlsContext> make(const TlsSettings &settings);
  ~TlsContext();
  TlsContext(const TlsContext &) = delete;
  TlsContext &operator=(const TlsContext &) = delete;

  Role role() const { return role_; }
  ssl_ctx_st *get() const { return context_; }

private:
  TlsContext(Role role, ssl_ctx_st *context) : role_(role), context_(context) {}
  Role role_;
  ssl_ctx_st *context_;
};

} // namespace aq
