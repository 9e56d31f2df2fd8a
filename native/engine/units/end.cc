#include "end.h"
#include "certificates.h"

namespace aq::units {

Pair::Pair(const TunnelLimits &limits, bool tls12)
    : client(limits, context(Role::client, tls12)), server(limits, context(Role::server, tls12)) {
  client.tunnel->start();
}

} // namespace aq::units
