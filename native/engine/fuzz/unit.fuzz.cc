// The state of a unit that was damaged on its way, or that another version wrote: refused, or relays like any other.
#include "../units/chain.h"
#include "input.h"
#include <sys/mman.h>

using namespace aq;
using namespace aq::units;

namespace {

/** States of a tunnel with three relays, of a relay of two connections and how many descriptors are theirs: made once. */
struct Kept {
  Chain chain{3};
  std::vector<std::pair<std::string, size_t>> states;
  Kept() {
    chain.near[0].toSend = std::string(50'000, 'x');
    for (int i = 0; i < 50; i++) chain.near[0].write(1'000);
    for (Place *place : {&chain.client, &chain.server}) keep(*place->at, place->id);
    Driver &c = chain.clients[0];
    const Id up = c.name();
    chain.near.push_back({.fd = dialed(chain.toClient.socket.port)});
    const Id down = acceptedBy(c, chain.toClient.id);
    c.send(Command::dial, up, smallSocket(), chain.backend.port, 0, "127.0.0.1");
    (void)c.wait(up, {Event::connected});
    chain.far.push_back({.fd = accepted(chain.backend.fd)});
    c.send(Command::relay, down, up.slot, up.generation, 9);
    keep(c, down);
  }

private:
  void keep(Driver &at, Id id) {
    const Id unit = at.name();
    at.send(Command::freeze, unit, id.slot, id.generation);
    const Told frozen = at.wait(unit, {Event::frozen});
    const auto all = frozen.numbers();
    std::string state(size_t(lseek(frozen.m.a, 0, SEEK_END)), 0);
    fuzz::holds(pread(frozen.m.a, state.data(), state.size(), 0) == ssize_t(state.size()));
    states.emplace_back(state, size_t(frozen.m.b));
    ::close(frozen.m.a);
    closeAll({all.begin(), all.begin() + frozen.m.b});
    at.send(Command::live, unit);
  }
};

int memory(const std::string &state, bool sealed) {
  const int fd = memfd_create("unit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  fuzz::holds(::write(fd, state.data(), state.size()) == ssize_t(state.size()));
  if (sealed) fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return fd;
}

/** All that was asked for is done. */
void settle(Driver &driver) {
  const Id none = driver.name();
  driver.send(Command::restore, none, -1);
  (void)driver.wait(none, {Event::unreadable});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Kept &kept = *new Kept;
  static Driver &driver = *new Driver;
  fuzz::Input in(data, size);
  auto [state, count] = kept.states[in.byte() % kept.states.size()];
  const uint8_t how = in.byte();
  // Relays stand behind the tunnel.
  for (int edits = how % 8; edits > 0; edits--) {
    const size_t at = state.size() - 1 - in.word() % std::min<size_t>(state.size(), how & 8 ? state.size() : 300);
    state[at] = char(in.byte());
  }
  if (how & 16) state.resize(state.size() - std::min<size_t>(state.size(), in.byte()));
  if (how & 32) count = in.byte() % 8;
  if (how & 64) state = in.all();
  std::vector<int32_t> fds;
  std::vector<int> peers;
  for (size_t i = 0; i < count; i++) {
    int pair[2];
    fuzz::holds(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    fds.push_back(pair[0]);
    peers.push_back(pair[1]);
  }
  const Id unit = driver.name();
  driver.send(Command::restore, unit, memory(state, how != 255), 0, 0, {reinterpret_cast<const char *>(fds.data()), fds.size() * 4});
  const Told told = driver.wait(unit, {Event::restored, Event::unreadable});
  if (Event(told.m.type) == Event::restored) {
    fuzz::holds(how != 255);
    if (how & 128) {
      driver.send(Command::live, unit);
      for (int fd : peers) (void)!::send(fd, "hello", 5, MSG_NOSIGNAL);
      settle(driver);
      if (told.m.c) driver.send(Command::close, told.of());
      const auto relays = told.numbers();
      for (size_t i = 0; i + 5 <= relays.size(); i += 5) driver.send(Command::reset, {relays[i + 2], relays[i + 3]}, 8);
    } else {
      driver.send(Command::forget, unit);
    }
  }
  settle(driver);
  driver.take();
  driver.told.clear();
  for (int fd : peers) {
    // Whatever was made of it, nothing of it is open any more.
    char bytes[4096];
    ssize_t n;
    while ((n = ::recv(fd, bytes, sizeof bytes, 0)) > 0) {
    }
    fuzz::holds(n == 0 || errno == ECONNRESET);
    ::close(fd);
  }
  return 0;
}
