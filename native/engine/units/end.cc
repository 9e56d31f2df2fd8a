#include "end.h"
#include "../tls/own-records.h"
#include "certificates.h"

namespace aq::units {
namespace {

Secret secretOf(Role sender) {
  Secret s;
  s.size = 48;
  for (size_t i = 0; i < s.size; i++) s.bytes[i] = uint8_t(i * 3 + (sender == Role::client ? 1 : 2));
  return s;
}

} // namespace

std::unique_ptr<Records> agreedRecords(Role role, uint64_t recordsPerKey) {
  const Role other = role == Role::client ? Role::server : Role::client;
  return std::make_unique<OwnRecords>(role, Suite::aes256, secretOf(role), secretOf(other), recordsPerKey);
}

Pair::Pair(const TunnelLimits &limits, bool tls12)
    : Pair(limits, limits, context(Role::client, tls12), context(Role::server, tls12)) {}

Pair::Pair(const TunnelLimits &ofClient, const TunnelLimits &ofServer, std::shared_ptr<TlsContext> tlsOfClient,
           std::shared_ptr<TlsContext> tlsOfServer)
    : client(ofClient, std::move(tlsOfClient)), server(ofServer, std::move(tlsOfServer)) {
  client.tunnel->start();
}

Pair::Pair(Agreed, const TunnelLimits &ofClient, const TunnelLimits &ofServer)
    : client(Role::client, ofClient, agreedRecords(Role::client, ofClient.recordsPerKey)),
      server(Role::server, ofServer, agreedRecords(Role::server, ofServer.recordsPerKey)) {}

} // namespace aq::units
