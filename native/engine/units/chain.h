// Units between loops: what moves them, and relays by a tunnel whose ends are in loops of their own.
#pragma once
#include "loops.h"
#include <algorithm>
#include <set>

namespace aq::units {

/** An app's socket: what it is to send, and what has come. */
struct App {
  int fd = -1;
  std::string toSend = {};
  size_t sent = 0;
  bool closed = false;
  std::string got = {};
  bool ended = false;
  /** Whether it may lose its connection, and has: it has then ended and is closed. */
  bool mayBreak = false, broken = false;

  void write(size_t most) {
    const size_t n = std::min(most, toSend.size() - sent);
    if (n > 0 && !closed) {
      const ssize_t done = ::send(fd, toSend.data() + sent, n, MSG_NOSIGNAL);
      if (done > 0) sent += size_t(done);
      else if (errno != EAGAIN) broke();
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
      if (errno != EAGAIN) broke();
      return;
    }
    if (n == 0) ended = true;
    got.append(buffer, 0, size_t(n));
  }
  void broke() {
    if (!mayBreak) failed(__FILE__, __LINE__, "an app's connection broke: errno " + std::to_string(errno));
    broken = ended = closed = true;
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

inline void closeAll(const std::vector<int32_t> &fds) {
  for (int fd : fds) ::close(fd);
}

inline bool move(Place &place, Then then) {
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

inline Id acceptedBy(Driver &driver, Id listener) { return driver.wait(listener, {Event::accepted}).of(); }

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

  /** A stream at the client and at the server. */
  std::pair<Id, Id> request() {
    Driver &c = clients[0], &s = servers[0];
    const Id stream = c.name();
    std::vector<uint8_t> headers;
    for (std::string_view piece : {":method", "CONNECT", ":authority", "10.0.0.1:80"}) putPiece(headers, piece);
    c.send(Command::open, stream, client.id.slot, client.id.generation, 0, {reinterpret_cast<char *>(headers.data()), headers.size()});
    return {stream, s.wait(server.id, {Event::request}).of()};
  }

  void join(size_t i) {
    Driver &c = clients[0], &s = servers[0];
    App a, b;
    a.fd = dialed(toClient.socket.port);
    const Id app = acceptedBy(c, toClient.id), out = s.name();
    const auto [stream, incoming] = request();
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

} // namespace aq::units
