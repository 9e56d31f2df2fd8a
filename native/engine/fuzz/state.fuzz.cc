// State of a tunnel that was damaged on its way, or that another version wrote: refused, or a tunnel like any other.
#include "../units/end.h"
#include "input.h"

using namespace aq;
using namespace aq::units;

namespace {

/** Whatever the state said, the tunnel made of it does what tunnels do. */
void use(End &end, fuzz::Input &in) {
  for (uint32_t id : end.tunnel->ids()) end.streams[id] = end.tunnel->find(id);
  (void)end.take();
  if (Stream *s = end.open()) end.tunnel->write(*s, asBytes("hello"));
  const auto ids = end.tunnel->ids();
  for (uint32_t id : ids) {
    Stream *s = end.tunnel->find(id);
    if (!s) continue;
    end.tunnel->write(*s, asBytes(pattern(300)));
    end.tunnel->consumed(*s, in.word());
    if (in.byte() & 1) end.tunnel->end(*s);
  }
  end.tunnel->ping();
  (void)end.take();
  const SecretBytes state = end.tunnel->freeze();
  if (state.empty()) return;
  // What is written can be read, and is the same.
  End heir(Role::server, {}, agreedRecords(Role::server, 9));
  heir.tunnel.emplace(Bytes(state), heir.rows, static_cast<TunnelHandler &>(heir));
  fuzz::holds(heir.tunnel->freeze() == state);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input in(data, size);
  const uint8_t how = in.byte();
  TunnelLimits limits;
  limits.recordsPerKey = 3 + how % 16;
  Pair pair(Pair::agreed, limits, limits);
  pair.client.consume = pair.server.consume = how & 32;
  pair.pump();
  for (int i = 0; i < how % 5; i++) pair.client.open();
  pair.pump();
  End &end = how & 64 ? pair.client : pair.server, &other = how & 64 ? pair.server : pair.client;
  for (auto &[id, s] : pair.client.streams) pair.client.tunnel->write(*s, asBytes(pattern(50)));
  // Half of what is under way has come.
  const std::string sent = other.take();
  const std::string half = sent.substr(0, sent.size() / 2), rest = sent.substr(half.size());
  if (!half.empty()) end.give(half);
  SecretBytes state = end.tunnel->freeze();
  fuzz::holds(!state.empty());
  if (how & 128) {
    const std::string_view all = in.all();
    state.resize(std::min<size_t>(state.size(), 48));
    state.insert(state.end(), all.begin(), all.end());
  } else {
    for (uint8_t edits = in.byte() % 8; edits > 0; edits--) {
      const size_t at = in.word() % state.size();
      state[at] = in.byte();
    }
  }
  End heir(Role::server, {}, agreedRecords(Role::server, 9));
  try {
    heir.tunnel.emplace(Bytes(state), heir.rows, static_cast<TunnelHandler &>(heir));
  } catch (const UnreadableState &) {
    return 0;
  }
  fuzz::holds(heir.log.empty());
  if (!rest.empty() && heir.tunnel->wantsRead()) heir.give(rest);
  use(heir, in);
  return 0;
}
