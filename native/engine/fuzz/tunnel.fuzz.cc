// Two tunnels and a network that cuts anywhere and changes bits: what comes out is what went in, or less.
#include "../units/certificates.h"
#include "../units/end.h"
#include "input.h"

using namespace aq;
using namespace aq::units;

namespace {

/** Any bytes to an end that is still in its handshake. */
void strangers(fuzz::Input &in) {
  const Role role = in.byte() & 1 ? Role::client : Role::server;
  static const auto client = context(Role::client, true), server = context(Role::server, true);
  End end({}, role == Role::client ? client : server);
  end.tunnel->start();
  (void)end.take();
  while (!in.empty() && end.tunnel->wantsRead()) end.give(in.take(in.word()), 1 + in.byte());
  (void)end.take();
  end.tunnel->endOfInput();
  fuzz::holds(end.failure.has_value() && !end.closed);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input in(data, size);
  const uint8_t how = in.byte();
  if (how >= 240) {
    strangers(in);
    return 0;
  }
  TunnelLimits limits;
  limits.recordsPerKey = 1 + how % 16;
  limits.streamWindow = 65'535 + 100 * how;
  limits.connectionWindow = 80'000;
  Pair pair(Pair::agreed, limits, limits);
  std::map<std::pair<bool, uint32_t>, std::string> sent;
  std::string way[2];
  uint32_t seed = 0;
  while (!in.empty()) {
    const uint8_t op = in.byte();
    const bool up = op & 1;
    End &from = up ? pair.client : pair.server, &to = up ? pair.server : pair.client;
    Stream *s = nullptr;
    if (!from.streams.empty()) {
      auto it = from.streams.begin();
      std::advance(it, (op >> 1) % 4 % from.streams.size());
      s = it->second;
    }
    switch (op >> 4) {
      case 0: pair.client.open(); break;
      case 1:
      case 2:
        if (s) {
          const std::string bytes = pattern(in.word(), ++seed);
          sent[{up, s->id}] += bytes.substr(0, from.tunnel->write(*s, asBytes(bytes)));
        }
        break;
      case 3:
        if (s) {
          from.tunnel->end(*s);
          if (s->closed) from.drop(*from.tunnel, *s);
        }
        break;
      case 4:
        if (s && op & 8) from.drop(*from.tunnel, *s);
        break;
      case 5: from.tunnel->ping(); break;
      case 6:
        if (op & 8) from.tunnel->goaway(NO_ERROR, op & 4);
        break;
      case 7:
        if (!way[up].empty()) way[up][in.word() % way[up].size()] ^= char(in.byte());
        break;
      case 8: to.tunnel->endOfInput(); break;
      default: {
        way[up] += from.take();
        const size_t n = std::min<size_t>(op & 8 ? way[up].size() : in.word(), way[up].size());
        if (n > 0 && to.tunnel->wantsRead()) to.give(way[up].substr(0, n), op & 2 ? 1 + in.word() : 0);
        way[up].erase(0, n);
      }
    }
  }
  for (const auto &[key, bytes] : sent) fuzz::holds(bytes.starts_with((key.first ? pair.server : pair.client).data[key.second]));
  for (const auto &[id, bytes] : pair.server.data) fuzz::holds(bytes.empty() || sent.contains({true, id}));
  return 0;
}
