// Loops whose system calls fail, are short or are interrupted: what is late comes whole, what breaks ends on both sides, nothing is left.
#include "faults.h"
#include "play.h"
#include <dirent.h>

using namespace aq;
using namespace aq::units;

namespace {

size_t openDescriptors() {
  size_t count = 0;
  DIR *folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) count++;
  ::closedir(folder);
  return count;
}

/** Fills and lists the apps of all relays. */
std::vector<App *> appsOf(Chain &chain, std::mt19937 &random, size_t bytes, bool mayBreak) {
  std::vector<App *> apps;
  for (auto *side : {&chain.near, &chain.far})
    for (App &app : *side) {
      app.toSend = content(random() % bytes, random());
      app.mayBreak = mayBreak;
      apps.push_back(&app);
    }
  return apps;
}

} // namespace

TEST("faults: with calls that are late, short or interrupted every byte comes, also while tunnels move") {
  for (uint32_t seed = 1; seed <= 6; seed++) {
    std::mt19937 random(seed);
    const size_t count = 1 + seed * 2;
    Chain chain(count);
    const auto apps = appsOf(chain, random, 600'000 / count, false);
    const Faults faults(seed, {.delayed = seed * 150});
    play(random, apps, {&chain.client, &chain.server}, 20);
    for (size_t i = 0; i < count; i++) CHECK(chain.near[i].got == chain.far[i].toSend && chain.far[i].got == chain.near[i].toSend);
    CHECK(faults.count() > 100);
    printf("# seed %u: %llu calls, %zu and %zu moves\n", seed, static_cast<unsigned long long>(faults.count()), chain.client.moves,
           chain.server.moves);
  }
}

TEST("faults: a connection that breaks ends its relay on both sides, and the others go on") {
  size_t broken = 0, whole = 0;
  const size_t before = openDescriptors();
  for (uint32_t seed = 1; seed <= 60; seed++) {
    std::mt19937 random(seed);
    const size_t count = 1 + seed % 6;
    Chain chain(count);
    const auto apps = appsOf(chain, random, 120'000, true);
    const Faults faults(seed, {.delayed = seed % 3 * 100, .broken = 1 + seed % 7});
    play(random, apps, {}, 0);
    for (size_t i = 0; i < count; i++) {
      const App &near = chain.near[i], &far = chain.far[i];
      CHECK(far.toSend.starts_with(near.got) && near.toSend.starts_with(far.got));
      (near.got == far.toSend && far.got == near.toSend ? whole : broken)++;
      // Each of both sides has told once that it is over.
      (void)chain.clients[0].wait(chain.client.relays[i].first, {Event::relayed});
      (void)chain.servers[0].wait(chain.server.relays[i].first, {Event::relayed});
    }
  }
  EQUAL(openDescriptors(), before);
  CHECK(broken > 20 && whole > 20);
  printf("# %zu relays broke, %zu came whole\n", broken, whole);
}

TEST("faults: a connection that breaks at its last bytes ends its relay, also where the end of the stream came with them") {
  Chain chain(40);
  const Faults faults(1, {.broken = 1000, .port = chain.backend.port});
  for (App &app : chain.near) {
    app.toSend = content(1000, 1);
    // With its end.
    app.write(1000);
  }
  for (const auto &[id, i] : chain.server.relays) {
    EQUAL(chain.servers[0].wait(id, {Event::relayed}).m.a, int(RelayEnd::failed));
    EQUAL(chain.clients[0].wait(chain.client.relays[i].first, {Event::relayed}).m.a, int(RelayEnd::streamReset));
  }
}

TEST("faults: a listener that another process has, too, is not heard of once it is closed") {
  Driver driver;
  ListeningSocket socket;
  const int other = ::fcntl(socket.fd, F_DUPFD_CLOEXEC, 0);
  const Id id = driver.name();
  driver.send(Command::listen, id, socket.fd);
  driver.send(Command::close, id);
  (void)driver.wait(id, {Event::closed});
  const int waiting = dialed(socket.port);
  // Its answer comes a turn later than the connections that wait at the other.
  const Id up = driver.name();
  driver.send(Command::dial, up, smallSocket(), socket.port, 0, "127.0.0.1");
  EQUAL(driver.wait(up, {Event::connected}).m.a, 0);
  for (const Told &told : driver.told) CHECK(Event(told.m.type) != Event::accepted);
  ::close(waiting);
  ::close(other);
}

TEST("faults: a dialled socket that another process has, too, is not heard of once it is closed") {
  Driver driver;
  ListeningSocket backend;
  const auto dial = [&](int fd) {
    const Id up = driver.name();
    driver.send(Command::dial, up, fd, backend.port, 0, "127.0.0.1");
    EQUAL(driver.wait(up, {Event::connected}).m.a, 0);
    return up;
  };
  const int fd = smallSocket(), other = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  const Id up = dial(fd);
  const int app = accepted(backend.fd);
  driver.send(Command::reset, up, 0);
  // What is told of a later command comes behind the reset, and then in a turn behind what was sent.
  (void)dial(smallSocket());
  CHECK(::send(app, "late", 4, MSG_NOSIGNAL) == 4);
  (void)dial(smallSocket());
  for (int fd : {app, other, backend.fd}) ::close(fd);
}

TEST("faults: what cannot be accepted, dialled or watched is told or closed, and the next one is served") {
  const size_t before = openDescriptors();
  size_t served = 0, closed = 0, refused = 0;
  {
    Driver driver;
    ListeningSocket backend;
    Listening listening(driver);
    const Faults faults(11, {.unreachable = 200, .unaccepted = 200, .unwatched = 200});
    for (size_t i = 0; i < 400; i++) {
      App near;
      near.mayBreak = true;
      near.fd = dialed(listening.socket.port);
      near.toSend = content(1 + i * 50, uint32_t(i));
      // Accepted, or closed by who could not: of one that could not be watched both are told, in either order.
      const std::string from = std::to_string(localPort(near.fd));
      const Told *came = nullptr;
      for (int tries = 0; came == nullptr && !near.ended; tries++) {
        if (tries > 100'000) failed(__FILE__, __LINE__, "a connection is neither accepted nor closed");
        driver.take();
        for (const Told &told : driver.told)
          if (Event(told.m.type) == Event::accepted && told.bytes.ends_with(from)) came = &told;
        if (came == nullptr) {
          near.read(100);
          usleep(100);
        }
      }
      if (came == nullptr) {
        closed++;
        ::close(near.fd);
        continue;
      }
      const Id down = came->of(), up = driver.name();
      driver.told.clear();
      driver.send(Command::dial, up, smallSocket(), backend.port, 0, "127.0.0.1");
      if (driver.wait(up, {Event::connected}).m.a != 0) {
        refused++;
        driver.send(Command::reset, down, 0);
        while (!near.ended) near.read(100);
        ::close(near.fd);
        continue;
      }
      driver.send(Command::relay, down, up.slot, up.generation, int(i % 8));
      // A dial that could not be watched may never have reached it.
      App far;
      far.mayBreak = true;
      for (int tries = 0; far.fd < 0 && !near.ended; tries++) {
        if (tries > 100'000) failed(__FILE__, __LINE__, "a dialled connection neither comes nor ends");
        far.fd = ::accept4(backend.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        near.write(1000);
        near.read(100);
        usleep(50);
      }
      std::mt19937 random{uint32_t(i)};
      if (far.fd >= 0) play(random, {&near, &far}, {}, 0);
      CHECK(near.toSend.starts_with(far.got));
      if (far.got == near.toSend) served++;
      else closed++;
      (void)driver.wait(down, {Event::relayed});
      ::close(near.fd);
      if (far.fd >= 0) ::close(far.fd);
      // What came of a dial that was given up.
      for (int late; (late = ::accept4(backend.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) ::close(late);
    }
    ::close(backend.fd);
    CHECK(faults.count() > 100);
  }
  EQUAL(openDescriptors(), before);
  CHECK(served > 50 && closed > 20 && refused > 20);
  printf("# %zu served, %zu closed, %zu dials told as failed\n", served, closed, refused);
}
