// Keys and certificates of tests.
#pragma once
#include "../tls/context.h"
#include <string>

namespace aq::units {

struct Credentials {
  std::string chainPem, keyPem;
};

/** A root of its own. */
class Authority {
public:
  explicit Authority(const std::string &name = "root");
  ~Authority();
  /** A leaf for clients and servers with a SPIFFE id; `days` below 0: expired. */
  Credentials issue(const std::string &spiffe, int days = 1) const;
  std::string rootPem() const;

private:
  void *key_;
  void *root_;
};

/** One authority, a client and a server certificate: made once. */
const Authority &authority();
std::shared_ptr<TlsContext> context(Role role, bool tls12 = false);

} // namespace aq::units
