// Units that move between loops while bytes flow: nothing is lost, doubled or sealed twice, and nobody outside sees a close.
#include "../tls/own-records.h"
#include "play.h"
#include <csignal>
#include <cstring>
#include <set>
#include <sys/resource.h>

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

/** A limit of the process until its end. */
class Limit {
public:
  Limit(__rlimit_resource of, rlim_t now) : of_(of) {
    getrlimit(of_, &before_);
    rlimit limit = before_;
    limit.rlim_cur = now;
    setrlimit(of_, &limit);
  }
  ~Limit() { setrlimit(of_, &before_); }

private:
  __rlimit_resource of_;
  rlimit before_{};
};

/** Until its end every write to a file fails with EFBIG, that to sealed memory too. */
class NoFiles {
public:
  NoFiles() : signal_(std::signal(SIGXFSZ, SIG_IGN)), limit_(RLIMIT_FSIZE, 0) {}
  ~NoFiles() { std::signal(SIGXFSZ, signal_); }

private:
  void (*signal_)(int);
  Limit limit_;
};

/** The lowest number that a descriptor could get. */
int nextDescriptor() {
  const int fd = ::dup(0);
  ::close(fd);
  return fd;
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
    // One that takes no new stream moves like any other, and ends with the last byte of its last stream.
    if (seed % 2 == 0) chain.servers[0].send(Command::goaway, chain.server.id, NO_ERROR, 1);
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

TEST("units: a relay whose state cannot be written stays, says why, and goes on") {
  std::mt19937 random(9);
  Driver drivers[2];
  Listening listening(drivers[0]);
  ListeningSocket backend;
  App near, far;
  near.fd = dialed(listening.socket.port);
  const Id down = acceptedBy(drivers[0], listening.id), up = drivers[0].name();
  drivers[0].send(Command::dial, up, smallSocket(), backend.port, 0, "127.0.0.1");
  EQUAL(drivers[0].wait(up, {Event::connected}).m.a, 0);
  far.fd = accepted(backend.fd);
  drivers[0].send(Command::relay, down, up.slot, up.generation, 3);
  Place place{&drivers[0], &drivers[1], down, false, {{down, 0}}};
  {
    const NoFiles limit;
    CHECK(!move(place, Then::commit));
  }
  CHECK((place.reasons == std::set{std::string("its state cannot be written: ") + strerror(EFBIG)}));
  near.toSend = content(300'000, 1);
  far.toSend = content(200'000, 2);
  play(random, {&near, &far}, {&place}, 1000);
  CHECK(near.got == far.toSend && far.got == near.toSend);
  ::close(near.fd);
  ::close(far.fd);
  ::close(backend.fd);
}

TEST("units: a relay stays for want of descriptors for its state or for its duplicates, says that it is for this, and moves when they are there") {
  std::mt19937 random(11);
  Driver drivers[2];
  Listening listening(drivers[0]);
  ListeningSocket backend;
  App near, far;
  near.fd = dialed(listening.socket.port);
  const Id down = acceptedBy(drivers[0], listening.id), up = drivers[0].name();
  drivers[0].send(Command::dial, up, smallSocket(), backend.port, 0, "127.0.0.1");
  EQUAL(drivers[0].wait(up, {Event::connected}).m.a, 0);
  far.fd = accepted(backend.fd);
  drivers[0].send(Command::relay, down, up.slot, up.generation, 3);
  Place place{&drivers[0], &drivers[1], down, false, {{down, 0}}};
  // Of its three descriptors none, the state's, or that and a duplicate.
  for (const int free : {0, 1, 2}) {
    const Limit limit(RLIMIT_NOFILE, rlim_t(nextDescriptor() + free));
    const Id unit = drivers[0].name();
    drivers[0].send(Command::freeze, unit, down.slot, down.generation);
    const Told stays = drivers[0].wait(unit, {Event::frozen, Event::unmoved});
    CHECK(Event(stays.m.type) == Event::unmoved);
    EQUAL(stays.m.a, 1);
  }
  {
    const NoFiles limit;
    const Id unit = drivers[0].name();
    drivers[0].send(Command::freeze, unit, down.slot, down.generation);
    EQUAL(drivers[0].wait(unit, {Event::unmoved}).m.a, 0);
  }
  near.toSend = content(300'000, 1);
  far.toSend = content(200'000, 2);
  play(random, {&near, &far}, {&place}, 1000);
  CHECK(near.got == far.toSend && far.got == near.toSend);
  CHECK(place.moves > 0);
  ::close(near.fd);
  ::close(far.fd);
  ::close(backend.fd);
}

TEST("units: what came by a stream that is gone moves without its tunnel, and the tunnel without it") {
  for (const bool tunnelFirst : {false, true}) {
    Chain chain(1);
    Driver &c = chain.clients[0], &s = chain.servers[0];
    App app;
    app.fd = dialed(chain.toClient.socket.port);
    const Id down = acceptedBy(c, chain.toClient.id);
    const auto [stream, incoming] = chain.request();
    s.send(Command::respond, incoming, 200);
    EQUAL(c.wait(stream, {Event::response}).m.a, 200);
    c.send(Command::relay, down, stream.slot, stream.generation, 1);
    const std::string sent = content(60'000, 3);
    s.send(Command::write, incoming, 0, 0, 0, sent);
    // Nobody reads yet: it waits where it was when the stream is reset by CANCEL.
    s.send(Command::reset, incoming, 8);
    for (int i = 0; c.count(1, 1) < double(sent.size()); i++) {
      if (i > 10'000) failed(__FILE__, __LINE__, "the bytes did not come");
      usleep(1000);
    }
    // A frame behind the reset.
    c.send(Command::ping, chain.client.id);
    (void)c.wait(chain.client.id, {Event::pong});
    Place gone{&c, &chain.clients[1], down, false, {{down, 0}}};
    if (tunnelFirst) CHECK(move(chain.client, Then::commit));
    for (const Then then : {Then::thaw, Then::commit, Then::discard, Then::commit}) CHECK(move(gone, then));
    if (!tunnelFirst) CHECK(move(chain.client, Then::commit));
    app.toSend = "of no use to anybody";
    for (int i = 0; !app.ended; i++) {
      if (i > 100'000) failed(__FILE__, __LINE__, "it has stopped");
      app.read(1000);
      if (i == 20) CHECK(move(gone, Then::commit));
      usleep(50);
    }
    CHECK(app.got == sent);
    chain.near[0].toSend = content(100'000, 4);
    std::mt19937 random(8);
    play(random, {&chain.near[0], &chain.far[0]}, {&chain.client, &chain.server}, 1000);
    CHECK(chain.far[0].got == chain.near[0].toSend);
    ::close(app.fd);
  }
}
