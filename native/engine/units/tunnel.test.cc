// Two tunnels joined in memory: what goes in comes out, and what goes wrong ends as it should.
#include "certificates.h"
#include "check.h"
#include "end.h"
#include <openssl/ssl.h>
#include <random>

using namespace aq;
using namespace aq::units;

namespace {

/** Writes as a relay does: as much as there is room for, again when there is more. */
struct Sender {
  End &end;
  Stream *stream;
  std::string left;
  bool finished = false;
  void go() {
    if (finished || end.failure || end.closed) return;
    left.erase(0, end.tunnel->write(*stream, asBytes(left)));
    if (!left.empty()) return;
    finished = true;
    end.tunnel->end(*stream);
  }
};

/** Both ways on `streams` streams; returns what both ends saw. */
std::string transfer(Pair &pair, size_t chunk, size_t streams, size_t size) {
  pair.pump(chunk);
  std::vector<Sender> senders;
  std::map<uint32_t, std::string> up, down;
  for (uint32_t i = 0; i < streams; i++) {
    Stream *s = pair.client.open("10.0.0.1:" + std::to_string(i + 1));
    CHECK(s != nullptr);
    pair.pump(chunk);
    up[s->id] = pattern(size + i, 2 * i);
    down[s->id] = pattern(size + 2 * i, 2 * i + 1);
    senders.push_back({pair.client, s, up[s->id]});
    senders.push_back({pair.server, pair.server.streams.at(s->id), down[s->id]});
  }
  for (bool moved = true; moved;) {
    for (Sender &s : senders) s.go();
    moved = pair.turn(chunk);
  }
  std::string seen;
  for (End *e : {&pair.client, &pair.server}) {
    CHECK(!e->failure);
    CHECK(e->data == (e == &pair.server ? up : down));
    EQUAL(e->tunnel->streams(), 0u);
    EQUAL(e->tunnel->unconsumed(), 0u);
    EQUAL(e->tunnel->queued(), 0u);
    EQUAL(e->rows.lent(), 0u);
    for (const std::string &line : e->log) seen += line + "\n";
  }
  return seen;
}

std::shared_ptr<TlsContext> oldContext(Role role) {
  const auto tls = context(role, true);
  SSL_CTX_set_max_proto_version(tls->get(), TLS1_2_VERSION);
  return tls;
}

} // namespace

TEST("tunnel: bytes come out as they went in, in pieces of every size") {
  for (size_t chunk : {1, 2, 3, 5, 17, 4096, 16406, 65536}) {
    Pair pair(Pair::agreed, {}, {});
    transfer(pair, chunk, 2, chunk < 10 ? 3000 : 40'000);
  }
}

TEST("tunnel: both record layers, and TLS 1.2, do the same with the same script") {
  TunnelLimits openssl;
  openssl.ownRecords = false;
  Pair own, library(openssl), mixed({}, openssl, context(Role::client), context(Role::server)),
      old({}, {}, oldContext(Role::client), oldContext(Role::server));
  const std::string want = transfer(own, 0, 5, 300'000);
  CHECK(transfer(library, 0, 5, 300'000) == want);
  CHECK(transfer(mixed, 1000, 5, 300'000) == want);
  CHECK(transfer(old, 0, 5, 300'000) == want);
  EQUAL(std::string(old.client.tunnel->protocol()), "TLSv1.2");
}

TEST("tunnel: frames around the border of a record") {
  for (size_t size : {16374, 16375, 16376, 16384, 16385, 32750, 32768}) {
    Pair pair(Pair::agreed, {}, {});
    transfer(pair, 0, 1, size);
  }
}

TEST("tunnel: keys change in the middle of a transfer, by either end and by OpenSSL") {
  for (uint64_t each : {1, 3, 7}) {
    TunnelLimits own, openssl;
    own.recordsPerKey = openssl.recordsPerKey = each;
    openssl.ownRecords = false;
    Pair both(Pair::agreed, own, own);
    transfer(both, 0, 2, 500'000);
    Pair mixed(own, openssl, context(Role::client), context(Role::server));
    transfer(mixed, 0, 2, 500'000);
    Pair asking(own, {}, context(Role::client), context(Role::server));
    transfer(asking, 777, 2, 200'000);
  }
}

TEST("tunnel: a bit that is flipped anywhere ends the connection by a bad MAC, and no wrong byte comes out") {
  const auto fresh = [] {
    auto pair = std::make_unique<Pair>(Pair::agreed, TunnelLimits{}, TunnelLimits{});
    pair->pump();
    Stream *s = pair->client.open();
    pair->pump();
    CHECK(pair->client.tunnel->write(*s, asBytes("hello")) == 5);
    return pair;
  };
  const size_t size = fresh()->client.take().size();
  for (size_t at = 0; at < size; at++) {
    auto pair = fresh();
    std::string records = pair->client.take();
    records[at] = char(records[at] ^ (1 << at % 8));
    pair->server.give(records);
    // A longer record is waited for.
    if (!pair->server.failure) {
      CHECK(at == 3 || at == 4);
      pair->server.give(std::string(20000, 'x'));
    }
    CHECK(pair->server.failure->kind == TunnelFailure::Kind::tls);
    CHECK(pair->server.saw("reset 1 10"));
    CHECK(pair->server.data[1].empty());
    pair->pump();
    CHECK(pair->client.failure->kind == TunnelFailure::Kind::tls);
    EQUAL(pair->client.failure->alertOrCode, pair->server.failure->alertOrCode);
  }
}

TEST("tunnel: an end of the input anywhere in a transfer is a truncation, one between is none") {
  Pair whole(Pair::agreed, {}, {});
  whole.pump();
  Stream *s = whole.client.open();
  whole.client.tunnel->write(*s, asBytes(pattern(100)));
  whole.client.tunnel->end(*s);
  const std::string records = whole.client.take();
  for (size_t size = 1; size < records.size(); size++) {
    Pair pair(Pair::agreed, {}, {});
    pair.pump();
    pair.server.give(records.substr(0, size), 13);
    pair.server.tunnel->endOfInput();
    CHECK(pair.server.failure && pair.server.failure->kind == TunnelFailure::Kind::truncated);
  }
  Pair idle(Pair::agreed, {}, {});
  idle.pump();
  idle.server.tunnel->endOfInput();
  CHECK(idle.server.closed);
  Pair early(Pair::agreed, {}, {});
  early.server.tunnel->endOfInput();
  CHECK(early.server.failure && early.server.failure->kind == TunnelFailure::Kind::truncated);
}

TEST("tunnel: ends in order by GOAWAY and close_notify, at either end, with nothing lost") {
  for (bool byClient : {true, false}) {
    Pair pair;
    pair.pump();
    Stream *s = pair.client.open();
    pair.pump();
    (byClient ? pair.client : pair.server).tunnel->goaway(NO_ERROR, true);
    pair.pump();
    CHECK(!pair.client.closed && !pair.server.closed);
    CHECK(pair.client.open() == nullptr);
    CHECK(pair.client.tunnel->write(*s, asBytes("last words")) == 10);
    pair.client.tunnel->end(*s);
    pair.server.tunnel->end(*pair.server.streams.at(s->id));
    pair.pump();
    EQUAL(pair.server.data[1], "last words");
    CHECK(pair.client.closed && pair.server.closed);
    CHECK(!pair.client.tunnel->wantsRead());
  }
}

TEST("tunnel: an abrupt end cuts streams by CONNECT_ERROR, so that they do not look complete") {
  Pair pair;
  pair.pump();
  pair.client.open();
  pair.client.open();
  pair.pump();
  pair.server.tunnel->goaway(NO_ERROR, false);
  CHECK(pair.server.closed);
  pair.pump();
  for (End *e : {&pair.client, &pair.server}) {
    CHECK(e->saw("reset 1 10") && e->saw("reset 3 10"));
    CHECK(!e->saw("end 1"));
    CHECK(e->closed);
  }
}

TEST("tunnel: a peer that stops reading holds a row and a window, no more") {
  Pair pair(Pair::agreed, {}, {});
  pair.pump();
  std::vector<Stream *> streams;
  for (int i = 0; i < 20; i++) streams.push_back(pair.client.open());
  pair.pump();
  const size_t before = memoryInUse();
  resetPeak();
  size_t written = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (Stream *s : streams) {
      const std::string bytes(10'000, 'x');
      const size_t n = pair.client.tunnel->write(*s, asBytes(bytes));
      written += n;
      moved = moved || n > 0;
      pair.client.tunnel->flush();
    }
  }
  CHECK(written >= 512u * 1024 && written <= 600u * 1024);
  CHECK(memoryPeak() - before < 700u * 1024);
  EQUAL(pair.client.rows.peak(), 1u);
  // PING and resets pass.
  pair.client.tunnel->ping();
  pair.client.drop(*pair.client.tunnel, *streams[0]);
  pair.pump();
  CHECK(pair.client.saw("pong"));
  CHECK(pair.server.saw("reset 1 8"));
  EQUAL(pair.client.writable.size(), 19u);
}

TEST("tunnel: an idle stream costs less than half a KiB, an idle tunnel holds no row") {
  Pair pair(Pair::agreed, {}, {});
  pair.pump();
  const size_t before = memoryInUse();
  for (int i = 0; i < 200; i++) {
    const Header headers[] = {{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}};
    CHECK(pair.client.tunnel->open(headers) != nullptr);
    if (i % 50 == 49) (void)pair.client.take();
  }
  const size_t each = (memoryInUse() - before) / 200;
  if (each > 512) failed(__FILE__, __LINE__, std::to_string(each) + " bytes a stream");
  EQUAL(pair.client.rows.lent(), 0u);
}

TEST("tunnel: any schedule of writes, ends, resets and pieces keeps what was sent in order") {
  for (uint32_t seed = 1; seed <= 30; seed++) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return random() % n; };
    TunnelLimits limits;
    limits.streamWindow = 65535 + below(200'000);
    limits.connectionWindow = 65535 + below(300'000);
    limits.recordsPerKey = 5 + below(50);
    Pair pair(Pair::agreed, limits, limits);
    pair.client.release = pair.server.release = true;
    pair.pump();
    struct Flow {
      std::string sent, left;
      bool ended = false;
    };
    std::map<std::pair<bool, uint32_t>, Flow> flows;
    for (int step = 0; step < 300; step++) {
      const bool up = below(2);
      End &from = up ? pair.client : pair.server;
      const auto pick = [&]() -> Stream * {
        if (from.streams.empty()) return nullptr;
        auto it = from.streams.begin();
        std::advance(it, below(uint32_t(from.streams.size())));
        return it->second;
      };
      switch (below(8)) {
        case 0:
          if (pair.client.streams.size() < 10) pair.client.open();
          break;
        case 1:
        case 2:
        case 3:
          if (Stream *s = pick(); s && !s->localEnded) {
            Flow &f = flows[{up, s->id}];
            const std::string bytes = pattern(below(80'000), random());
            f.sent += bytes.substr(0, from.tunnel->write(*s, asBytes(bytes)));
          }
          break;
        case 4:
          if (Stream *s = pick(); s && !s->localEnded && below(3) == 0) {
            from.tunnel->end(*s);
            if (s->closed) from.drop(*from.tunnel, *s);
          }
          break;
        case 5:
          if (Stream *s = pick(); s && below(10) == 0) from.drop(*from.tunnel, *s);
          break;
        default: pair.turn(below(2) ? 0 : 1 + below(5000));
      }
    }
    pair.pump(1 + below(9999));
    CHECK(!pair.client.failure && !pair.server.failure);
    for (const auto &[key, flow] : flows) {
      const auto &[up, id] = key;
      const std::string &got = (up ? pair.server : pair.client).data[id];
      CHECK(flow.sent.starts_with(got));
      // Nothing is missing where neither end has cut it.
      End &a = pair.client, &b = pair.server;
      const bool whole = a.streams.contains(id) && b.streams.contains(id);
      if (whole) CHECK(got.size() == flow.sent.size());
    }
  }
}

TEST("tunnel: an allocation that fails ends one tunnel, and nothing else") {
  int64_t n = 0;
  int failures = 0;
  for (;; n++) {
    TunnelLimits limits;
    limits.recordsPerKey = 4;
    Pair pair(Pair::agreed, limits, limits);
    failAllocation(n);
    pair.pump();
    for (int i = 0; i < 20; i++) {
      if (Stream *s = pair.client.open(); s && pair.client.streams.contains(s->id)) {
        pair.client.tunnel->write(*s, asBytes(std::string_view("0123456789")));
        pair.client.tunnel->end(*s);
      }
    }
    pair.pump();
    pair.server.tunnel->goaway(NO_ERROR, true);
    pair.pump();
    const bool failed = allocationFailed();
    failAllocation(-1);
    if (!failed) {
      EQUAL(pair.server.data.size(), 20u);
      break;
    }
    failures += pair.client.failure.has_value() || pair.server.failure.has_value();
  }
  CHECK(n > 20 && failures > 10);
}
