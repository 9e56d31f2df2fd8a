// Hand-over of a tunnel as plain data: at any moment, again and again, with nothing lost, doubled or sealed twice.
#include "certificates.h"
#include "check.h"
#include "frames.h"
#include "move.h"
#include "../tls/own-records.h"
#include <cstring>
#include <random>

using namespace aq;
using namespace aq::units;

namespace {

/** A client that seals any plain text by hand, for the server under test. */
struct Sealer {
  std::unique_ptr<Records> records = agreedRecords(Role::client, 1u << 24);
  std::string operator()(std::string_view plain) {
    std::string all;
    while (!plain.empty()) {
      const std::string_view part = plain.substr(0, kMaxPlaintext);
      std::vector<uint8_t> slot(part.size() + Records::kOverhead);
      memcpy(slot.data() + kRecordHeader, part.data(), part.size());
      const size_t n = records->seal(slot.data(), part.size(), slot.data());
      all.append(reinterpret_cast<char *>(slot.data()), n);
      plain.remove_prefix(part.size());
    }
    return all;
  }
};

std::unique_ptr<End> server() {
  auto end = std::make_unique<End>(Role::server, TunnelLimits{}, agreedRecords(Role::server, 1u << 24));
  end->consume = false;
  return end;
}

/** Everything that a frame can leave half done. */
std::string script() {
  std::string padded(1, char(7));
  padded += pattern(90) + std::string(7, 0);
  const std::string block = connectBlock();
  return connect(3) + frame(FrameType::data, 0, 1, pattern(100)) + frame(FrameType::data, kPadded, 3, padded) +
         frame(FrameType::headers, 0, 5, block.substr(0, 9)) + frame(FrameType::continuation, kEndHeaders, 5, block.substr(9)) +
         settings({{4, 90'000}}) + frame(FrameType::ping, 0, 0, "01234567") + windowUpdate(0, 1000) + windowUpdate(3, 1000) +
         frame(FrameType(77), 0, 0, "what is that") + frame(FrameType::priority, 0, 3, std::string(5, 0)) + rst(5, 8) +
         frame(FrameType::data, kEndStream, 1, "the end") + frame(FrameType::goaway, 0, 0, number(0) + number(0));
}

} // namespace

TEST("hand-over: at every byte of every frame and of every record") {
  const std::string start = std::string(kPreface) + settings() + settingsAck() + firstConnect(1);
  const std::string frames = script();
  const auto run = [&](size_t cut, bool withinRecord, bool moves) {
    auto end = server();
    Sealer seal;
    end->give(seal(start));
    std::string out = end->take();
    const std::string first = seal(frames.substr(0, cut));
    const std::string second = seal(frames.substr(cut));
    // Within the record: its half is carried over.
    const std::string half = second.substr(0, withinRecord ? 1 + cut % second.size() : 0);
    if (!first.empty()) end->give(first);
    if (!half.empty()) end->give(half);
    // What is open is sealed before a move.
    out += end->take();
    if (moves) CHECK(move(*end));
    if (!second.empty()) end->give(second.substr(half.size()));
    out += end->take();
    std::string seen = std::to_string(end->tunnel->unconsumed()) + "\n";
    for (const std::string &line : end->log) seen += line + "\n";
    for (const auto &[id, data] : end->data) seen += std::to_string(id) + ":" + data + "\n";
    return std::pair(seen, out.size());
  };
  for (size_t cut = 0; cut < frames.size(); cut++) {
    for (bool within : {false, true}) {
      const auto stayed = run(cut, within, false), moved = run(cut, within, true);
      EQUAL(moved.first, stayed.first);
      // An encoder that is new says once more that it keeps no table.
      CHECK(moved.second == stayed.second || moved.second == stayed.second + 1);
      CHECK(stayed.first.find("request 5") != std::string::npos && stayed.first.find("reset 5 8") != std::string::npos);
    }
  }
}

TEST("hand-over: in any schedule of writes, ends, resets, pieces and moves, across changes of keys") {
  size_t moves = 0;
  for (uint32_t seed = 1; seed <= 25; seed++) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return random() % n; };
    TunnelLimits limits;
    limits.streamWindow = 65535 + below(200'000);
    limits.connectionWindow = 65535 + below(300'000);
    limits.recordsPerKey = 5 + below(50);
    Pair pair(Pair::agreed, limits, limits);
    pair.pump();
    std::map<std::pair<bool, uint32_t>, std::string> sent;
    std::string way[2];
    for (int step = 0; step < 300; step++) {
      const bool up = below(2);
      End &from = up ? pair.client : pair.server, &to = up ? pair.server : pair.client;
      Stream *s = nullptr;
      if (!from.streams.empty()) {
        auto it = from.streams.begin();
        std::advance(it, below(uint32_t(from.streams.size())));
        s = it->second;
      }
      switch (below(9)) {
        case 0:
          if (pair.client.streams.size() < 10) pair.client.open();
          break;
        case 1:
        case 2:
          if (s && !s->localEnded) {
            const std::string bytes = pattern(below(60'000), random());
            sent[{up, s->id}] += bytes.substr(0, from.tunnel->write(*s, asBytes(bytes)));
          }
          break;
        case 3:
          if (s && !s->localEnded && below(4) == 0) {
            from.tunnel->end(*s);
            if (s->closed) from.drop(*from.tunnel, *s);
          }
          break;
        case 4:
          if (s && below(20) == 0) from.drop(*from.tunnel, *s);
          break;
        case 5:
        case 6: moves += move(from); break;
        default: {
          // A part of what the socket holds is written, and a part of that has come.
          from.tunnel->flush();
          const Bytes out = from.tunnel->output();
          const size_t n = below(uint32_t(out.size() + 1));
          way[up] += asText(out.first(n));
          from.tunnel->wrote(n);
          const size_t m = below(uint32_t(way[up].size() + 1));
          if (m > 0) to.give(way[up].substr(0, m), 1 + below(40'000));
          way[up].erase(0, m);
        }
      }
    }
    if (!way[0].empty()) pair.client.give(way[0]);
    if (!way[1].empty()) pair.server.give(way[1]);
    pair.pump();
    if (pair.client.failure || pair.server.failure) failed(__FILE__, __LINE__, "seed " + std::to_string(seed));
    for (const auto &[key, bytes] : sent) {
      const auto &[up, id] = key;
      const std::string &got = (up ? pair.server : pair.client).data[id];
      const bool whole = pair.client.streams.contains(id) && pair.server.streams.contains(id);
      if (!bytes.starts_with(got) || (whole && got.size() != bytes.size())) failed(__FILE__, __LINE__, "seed " + std::to_string(seed));
    }
  }
  CHECK(moves > 500);
}

TEST("hand-over: a tunnel by a real handshake moves at both ends and keeps what it was") {
  Pair pair;
  pair.pump();
  Stream *s = pair.client.open();
  const uint32_t id = s->id;
  pair.pump();
  const std::string suite(pair.client.tunnel->suite());
  for (int i = 0; i < 5; i++) {
    CHECK(move(pair.client) && move(pair.server));
    CHECK(pair.client.tunnel->role() == Role::client && pair.server.tunnel->role() == Role::server);
    EQUAL(std::string(pair.client.tunnel->suite()), suite);
    EQUAL(std::string(pair.server.tunnel->protocol()), "TLSv1.3");
    EQUAL(pair.client.tunnel->write(*pair.client.streams.at(id), asBytes("up")), 2u);
    EQUAL(pair.server.tunnel->write(*pair.server.streams.at(id), asBytes("down")), 4u);
    CHECK(pair.client.open() != nullptr);
    pair.pump();
  }
  EQUAL(pair.server.data[id], "upupupupup");
  EQUAL(pair.client.data[id], "downdowndowndowndown");
  EQUAL(pair.server.streams.size(), 6u);
  pair.client.tunnel->goaway(NO_ERROR, true);
  CHECK(move(pair.client));
  pair.client.tunnel->end(*pair.client.streams.at(id));
  CHECK(!pair.client.failure && !pair.server.failure);
}

TEST("hand-over: what is frozen neither seals, writes nor reads, and goes on from there when it is thawed") {
  Pair pair(Pair::agreed, {}, {});
  pair.pump();
  Stream *s = pair.client.open();
  pair.pump();
  EQUAL(pair.client.tunnel->write(*s, asBytes("before")), 6u);
  const SecretBytes state = pair.client.tunnel->freeze();
  CHECK(!state.empty());
  CHECK(pair.client.tunnel->freeze().empty());
  CHECK(!pair.client.tunnel->wantsRead());
  CHECK(pair.client.tunnel->output().empty());
  CHECK(pair.client.open() == nullptr);
  EQUAL(pair.client.tunnel->write(*s, asBytes("meanwhile")), 0u);
  pair.client.tunnel->end(*s);
  pair.client.tunnel->ping();
  pair.client.tunnel->goaway(NO_ERROR, false);
  pair.client.tunnel->fail(80, "no");
  pair.client.tunnel->endOfInput();
  CHECK(pair.client.take().empty());
  pair.client.tunnel->thaw();
  // Not a field has moved.
  CHECK(pair.client.tunnel->freeze() == state);
  pair.client.tunnel->thaw();
  EQUAL(pair.client.tunnel->write(*s, asBytes(" and after")), 10u);
  pair.pump();
  EQUAL(pair.server.data[1], "before and after");
  // Its end leaves no trace while it is frozen.
  CHECK(!pair.client.tunnel->freeze().empty());
  const size_t said = pair.client.log.size();
  pair.client.tunnel.reset();
  EQUAL(pair.client.log.size(), said);
}

TEST("hand-over: a key that is frozen seals nothing, and no number is lost or used twice by it") {
  const auto seals = [](Records &records, std::vector<uint8_t> &slot) {
    try {
      records.seal(slot.data(), 5, slot.data());
      return true;
    } catch (const std::runtime_error &) {
      return false;
    }
  };
  const auto client = agreedRecords(Role::client, 1u << 24), server = agreedRecords(Role::server, 1u << 24);
  auto &own = static_cast<OwnRecords &>(*client);
  for (uint64_t n = 0; n < 3; n++) {
    std::vector<uint8_t> slot(kRecordHeader + 5 + Records::kOverhead, 'x');
    own.freeze(true);
    CHECK(!seals(*client, slot));
    EQUAL(own.sendKey().sequence(), n);
    own.freeze(false);
    CHECK(seals(*client, slot));
    CHECK(server->open(slot.data(), kRecordHeader + 5 + 17).kind == Opened::Kind::data);
  }
}

TEST("hand-over: what a peer has not agreed on by then stays") {
  Pair starting;
  CHECK(!move(starting.client) && !move(starting.server));
  Pair unsettled(Pair::agreed, {}, {});
  CHECK(!move(unsettled.client) && !move(unsettled.server));
  TunnelLimits openssl;
  openssl.ownRecords = false;
  Pair library(openssl, openssl, context(Role::client), context(Role::server));
  library.pump();
  CHECK(!move(library.client) && !move(library.server));
  Pair over(Pair::agreed, {}, {});
  over.pump();
  over.client.tunnel->goaway(NO_ERROR, false);
  CHECK(!move(over.client));
}

TEST("hand-over: a state that is cut, longer, of another version or damaged is refused, or harms nobody") {
  Pair pair(Pair::agreed, {}, {});
  pair.pump();
  Stream *s = pair.client.open();
  pair.client.open();
  pair.pump();
  CHECK(pair.server.tunnel->write(*pair.server.streams.at(s->id), asBytes(pattern(1000))) == 1000);
  const SecretBytes state = pair.server.tunnel->freeze();
  CHECK(state.size() > 1000 && state.size() < 20'000);
  const auto refused = [&](const SecretBytes &bytes) {
    try {
      End end(Role::server, {}, agreedRecords(Role::server, 9));
      end.tunnel.emplace(Bytes(bytes), end.rows, static_cast<TunnelHandler &>(end));
      CHECK(end.log.empty());
      end.give(std::string(64, 23));
      (void)end.take();
      return false;
    } catch (const UnreadableState &) {
      return true;
    }
  };
  CHECK(!refused(state));
  for (size_t size = 0; size < state.size(); size++) CHECK(refused(SecretBytes(state.begin(), state.begin() + ptrdiff_t(size))));
  SecretBytes longer = state;
  longer.push_back(0);
  CHECK(refused(longer));
  SecretBytes other = state;
  other[8]++;
  CHECK(refused(other));
  size_t some = 0;
  for (size_t at = 0; at < state.size(); at++) {
    SecretBytes damaged = state;
    damaged[at] = uint8_t(damaged[at] ^ (1 << at % 8));
    some += refused(damaged);
  }
  CHECK(some > 100);
}
