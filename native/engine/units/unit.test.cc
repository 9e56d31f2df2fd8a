// Units that move between loops while bytes flow: nothing is lost, doubled or sealed twice, and nobody outside sees a close.
#include "../tls/own-records.h"
#include "loops.h"
#include <algorithm>
#include <poll.h>
#include <random>
#include <set>

using namespace aq;
using namespace aq::units;

namespace {

std::mutex sealsMutex;
std::set<std::pair<std::string, uint64_t>> seals;
bool sealedTwice = false;

/** Of all loops of a test. */
struct SealLog {
  SealLog() {
    seals.clear();
    sealedTwice = false;
    onSeal = [](const Secret &secret, uint64_t sequence) {
      const std::lock_guard lock(sealsMutex);
      const std::string key(reinterpret_cast<const char *>(secret.bytes), secret.size);
      if (!seals.emplace(key, sequence).second) sealedTwice = true;
    };
  }
  ~SealLog() { onSeal = nullptr; }
};

/** An app's socket: what it is to send, and what has come. */
struct App {
  int fd = -1;
  std::string toSend;
  size_t sent = 0;
  bool closed = false;
  std::string got;
  bool ended = false;

  void write(size_t most) {
    const size_t n = std::min(most, toSend.size() - sent);
    if (n > 0) {
      const ssize_t done = ::send(fd, toSend.data() + sent, n, MSG_NOSIGNAL);
      if (done > 0) sent += size_t(done);
      else CHECK(errno == EAGAIN);
    }
    if (sent < toSend.size() || closed) return;
    ::shutdown(fd, SHUT_WR);
    closed = true;
  }
  void read(size_t most) {
    if (ended || most == 0) return;
    std::string buffer(most, 0);
    const ssize_t n = ::recv(fd, buffer.data(), most, 0);
    if (n < 0) {
      if (errno != EAGAIN) failed(__FILE__, __LINE__, "an app's connection broke: errno " + std::to_string(errno));
      return;
    }
    if (n == 0) ended = true;
    got.append(buffer, 0, size_t(n));
  }
};

/** What moves: where it is, and under which number. */
struct Place {
  Driver *at, *other;
  /** A tunnel's, or a plain relay's downstream. */
  Id id;
  bool isTunnel;
  /** Of its relays, by the downstream's number: which of the test's. */
  std::vector<std::pair<Id, size_t>> relays;
  size_t moves = 0, thaws = 0, discards = 0;
  std::set<std::string> reasons = {};
};

enum class Then { thaw, discard, commit };

void closeAll(const std::vector<int32_t> &fds) {
  for (int fd : fds) ::close(fd);
}

bool move(Place &place, Then then) {
  Driver &from = *place.at, &to = *place.other;
  const Id unit = from.name();
  from.send(Command::freeze, unit, place.id.slot, place.id.generation);
  const Told frozen = from.wait(unit, {Event::frozen, Event::unmoved});
  if (Event(frozen.m.type) == Event::unmoved) {
    place.reasons.insert(frozen.bytes);
    return false;
  }
  const auto all = frozen.numbers();
  const std::vector<int32_t> fds(all.begin(), all.begin() + frozen.m.b);
  // What the frozen one was told is dropped.
  from.send(Command::reset, place.id, 1);
  if (then == Then::thaw) {
    from.send(Command::live, unit);
    ::close(frozen.m.a);
    closeAll(fds);
    place.thaws++;
    return true;
  }
  const Id there = to.name();
  to.send(Command::restore, there, frozen.m.a, 0, 0, {reinterpret_cast<const char *>(fds.data()), fds.size() * 4});
  const Told restored = to.wait(there, {Event::restored, Event::unreadable});
  if (Event(restored.m.type) == Event::unreadable) failed(__FILE__, __LINE__, restored.bytes);
  const auto relays = restored.numbers();
  if (then == Then::discard) {
    to.send(Command::forget, there);
    from.send(Command::live, unit);
    place.discards++;
    return true;
  }
  std::vector<std::pair<Id, size_t>> moved;
  for (size_t i = 0; i + 5 <= relays.size(); i += 5) {
    const Id was{relays[i], relays[i + 1]};
    const auto it = std::find_if(place.relays.begin(), place.relays.end(), [&](const auto &r) { return r.first == was; });
    CHECK(it != place.relays.end());
    moved.emplace_back(Id{relays[i + 2], relays[i + 3]}, it->second);
  }
  place.relays = moved;
  place.id = place.isTunnel ? restored.of() : moved.front().first;
  std::swap(place.at, place.other);
  from.send(Command::forget, unit);
  to.send(Command::live, there);
  place.moves++;
  return true;
}

Id acceptedBy(Driver &driver, Id listener) { return driver.wait(listener, {Event::accepted}).of(); }

struct Listening {
  ListeningSocket socket;
  Id id;
  explicit Listening(Driver &driver) : id(driver.name()) { driver.send(Command::listen, id, socket.fd); }
};

/** Relays of a client's apps by one tunnel to a server's, all in loops of their own, with another loop to move to for each side. */
struct Chain {
  Driver clients[2], servers[2];
  Place client{&clients[0], &clients[1], {}, true, {}}, server{&servers[0], &servers[1], {}, true, {}};
  Listening toClient{clients[0]}, toServer{servers[0]};
  ListeningSocket backend;
  std::vector<App> near, far;

  explicit Chain(size_t relays) {
    Driver &c = clients[0], &s = servers[0];
    const Id dial = c.name();
    c.send(Command::dial, dial, smallSocket(), toServer.socket.port, 0, "127.0.0.1");
    EQUAL(c.wait(dial, {Event::connected}).m.a, 0);
    const Id incoming = acceptedBy(s, toServer.id);
    client.id = c.name();
    server.id = s.name();
    c.send(Command::tunnel, client.id, dial.slot, dial.generation, c.add(Role::client));
    s.send(Command::tunnel, server.id, incoming.slot, incoming.generation, s.add(Role::server));
    (void)s.wait(server.id, {Event::handshaken});
    s.send(Command::accepted, server.id);
    (void)c.wait(client.id, {Event::handshaken});
    c.send(Command::accepted, client.id);
    (void)c.wait(client.id, {Event::settings});
    for (size_t i = 0; i < relays; i++) join(i);
  }
  ~Chain() {
    for (auto *apps : {&near, &far})
      for (const App &app : *apps) ::close(app.fd);
    ::close(backend.fd);
  }

  void join(size_t i) {
    Driver &c = clients[0], &s = servers[0];
    App a, b;
    a.fd = dialed(toClient.socket.port);
    const Id app = acceptedBy(c, toClient.id), stream = c.name(), out = s.name();
    std::vector<uint8_t> headers;
    for (std::string_view piece : {":method", "CONNECT", ":authority", "10.0.0.1:80"}) putPiece(headers, piece);
    c.send(Command::open, stream, client.id.slot, client.id.generation, 0, {reinterpret_cast<char *>(headers.data()), headers.size()});
    const Id incoming = s.wait(server.id, {Event::request}).of();
    s.send(Command::dial, out, smallSocket(), backend.port, 0, "127.0.0.1");
    EQUAL(s.wait(out, {Event::connected}).m.a, 0);
    b.fd = accepted(backend.fd);
    s.send(Command::respond, incoming, 200);
    s.send(Command::relay, incoming, out.slot, out.generation, int(i));
    EQUAL(c.wait(stream, {Event::response}).m.a, 200);
    c.send(Command::relay, app, stream.slot, stream.generation, int(i));
    client.relays.emplace_back(app, i);
    server.relays.emplace_back(incoming, i);
    near.push_back(a);
    far.push_back(b);
  }
};

std::string content(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, 0);
  for (char &c : bytes) c = char(random());
  return bytes;
}

/** Apps write and read by a seeded schedule until both have everything, while `places` move. */
void play(std::mt19937 &random, std::vector<App *> apps, std::vector<Place *> places, size_t movesEach) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  const auto done = [&] { return std::all_of(apps.begin(), apps.end(), [](const App *a) { return a->ended && a->closed; }); };
  for (size_t idle = 0, step = 0; !done(); step++) {
    const auto progress = [&] {
      size_t sum = 0;
      for (const App *a : apps) sum += a->sent + a->got.size() + a->ended + a->closed;
      return sum;
    };
    const size_t before = progress();
    for (int i = 0; i < 4; i++) {
      App &app = *apps[below(apps.size())];
      if (below(2)) app.write(1 + below(60'000));
      else app.read(1 + below(40'000));
    }
    if (step % 2 == 0) {
      Place &place = *places[below(places.size())];
      const size_t which = below(6);
      if (place.moves < movesEach) move(place, which == 0 ? Then::thaw : which == 1 ? Then::discard : Then::commit);
    }
    idle = progress() == before ? idle + 1 : 0;
    if (idle > 50) usleep(200);
    if (idle > 20'000) failed(__FILE__, __LINE__, "it has stopped");
  }
}

} // namespace

TEST("units: a tunnel with its relays moves at both ends while bytes flow both ways and each way ends in its time") {
  for (uint32_t seed = 1; seed <= 6; seed++) {
    const SealLog log;
    std::mt19937 random(seed);
    const size_t count = seed == 6 ? 40 : seed;
    Chain chain(count);
    std::vector<App *> apps;
    for (size_t i = 0; i < count; i++) {
      chain.near[i].toSend = content(random() % (2'000'000 / count), random());
      chain.far[i].toSend = content(random() % (2'000'000 / count), random());
      apps.push_back(&chain.near[i]);
      apps.push_back(&chain.far[i]);
    }
    play(random, apps, {&chain.client, &chain.server}, 1000);
    for (size_t i = 0; i < count; i++) {
      CHECK(chain.near[i].got == chain.far[i].toSend);
      CHECK(chain.far[i].got == chain.near[i].toSend);
    }
    CHECK(!sealedTwice);
    CHECK(chain.client.moves > 5 && chain.server.moves > 5);
    for (const Place *place : {&chain.client, &chain.server})
      for (const std::string &reason : place->reasons) printf("# unmoved: %s\n", reason.c_str());
    printf("# seed %u: %zu and %zu moves, %zu records\n", seed, chain.client.moves, chain.server.moves, seals.size());
  }
}

TEST("units: a relay of two connections moves while bytes flow") {
  std::mt19937 random(7);
  Driver drivers[2];
  Listening listening(drivers[0]);
  ListeningSocket backend;
  App near, far;
  near.fd = dialed(listening.socket.port);
  const Id down = acceptedBy(drivers[0], listening.id), up = drivers[0].name();
  drivers[0].send(Command::dial, up, smallSocket(), backend.port, 0, "127.0.0.1");
  EQUAL(drivers[0].wait(up, {Event::connected}).m.a, 0);
  far.fd = accepted(backend.fd);
  Place place{&drivers[0], &drivers[1], down, false, {{down, 0}}};
  CHECK(!move(place, Then::commit));
  drivers[0].send(Command::relay, down, up.slot, up.generation, 3);
  near.toSend = content(1'500'000, 1);
  far.toSend = content(900'000, 2);
  play(random, {&near, &far}, {&place}, 100'000);
  CHECK(near.got == far.toSend && far.got == near.toSend);
  CHECK(place.moves > 20 && place.thaws > 5 && place.discards > 5);
  ::close(near.fd);
  ::close(far.fd);
  ::close(backend.fd);
}
