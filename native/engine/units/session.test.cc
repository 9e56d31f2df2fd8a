// HTTP/2 against peers that write by hand: what is wrong is answered as RFC 9113 says, what is too much ends.
#include "check.h"
#include "peer.h"
#include <functional>

using namespace aq;
using namespace aq::units;

namespace {

std::string data(uint32_t id, std::string_view bytes, uint8_t flags = 0) { return frame(FrameType::data, flags, id, bytes); }
std::string ping(uint8_t flags = 0) { return frame(FrameType::ping, flags, 0, std::string(8, 'p')); }
const std::string getBlock = literals({{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}});

struct Mistake {
  const char *name;
  std::string bytes;
  uint32_t code;
};

/** Each ends the connection of a fresh server with stream 1 open, in whatever pieces it comes. */
void endsConnection(const std::vector<Mistake> &mistakes) {
  for (const Mistake &m : mistakes) {
    for (size_t chunk : {0, 1}) {
      Peer peer(Role::server);
      peer.beginStream();
      peer.send(m.bytes, chunk);
      if (peer.goaway() != int(m.code)) failed(__FILE__, __LINE__, std::string(m.name) + ": no such GOAWAY");
      if (!peer.failed() || !peer.end.saw("reset 1 10")) failed(__FILE__, __LINE__, std::string(m.name) + ": not ended");
    }
  }
}

/** Each resets one stream alone. */
void resets(const std::vector<Mistake> &mistakes, uint32_t id) {
  for (const Mistake &m : mistakes) {
    Peer peer(Role::server);
    peer.beginStream();
    peer.send(m.bytes);
    const int code = peer.resetOf(id);
    if (code != int(m.code)) failed(__FILE__, __LINE__, std::string(m.name) + ": code " + std::to_string(code));
    CHECK(!peer.failed());
    peer.send(connect(101));
    CHECK(peer.end.saw("request 101 :method=CONNECT :authority=10.0.0.1:80"));
  }
}

} // namespace

TEST("session: the preface and SETTINGS come first") {
  for (const std::string &bad : {std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string(kPreface) + ping(),
                                 std::string(kPreface) + settingsAck(), std::string(kPreface) + connect(1)}) {
    Peer peer(Role::server);
    peer.send(bad);
    EQUAL(peer.goaway(), int(PROTOCOL_ERROR));
    CHECK(peer.failed());
  }
  Peer client(Role::client);
  client.send(ping());
  EQUAL(client.goaway(), int(PROTOCOL_ERROR));
}

TEST("session: announces what ambient-wire 1.6 says") {
  for (Role role : {Role::server, Role::client}) {
    Peer peer(role);
    const auto frames = peer.frames();
    std::map<int, uint32_t> got;
    for (Bytes p = asBytes(frames.at(0).payload); !p.empty(); p = p.subspan(6)) got[int(read16(p.data()))] = read32(p.data() + 2);
    EQUAL(got[1], 0u);
    EQUAL(got[4], 4u << 20);
    EQUAL(got[5], 1u << 20);
    EQUAL(got[6], 64u << 10);
    if (role == Role::server) EQUAL(got[3], 200u);
    else EQUAL(got.at(2), 0u);
    EQUAL(read32(asBytes(frames.at(1).payload).data()), (16u << 20) - 65535);
  }
}

TEST("session: mistakes of the connection end it with the right code") {
  const std::string block = connectBlock();
  endsConnection({
      {"frame beyond the limit", std::string("\x10\x00\x01\x00\x00\x00\x00\x00\x01", 9), FRAME_SIZE_ERROR},
      {"DATA on stream 0", data(0, "x"), PROTOCOL_ERROR},
      {"DATA on an idle stream", data(3, "x"), PROTOCOL_ERROR},
      {"DATA on an even stream", data(2, "x"), PROTOCOL_ERROR},
      {"padding beyond the frame", data(1, "\x05xxxx", kPadded), PROTOCOL_ERROR},
      {"padding without length", data(1, "", kPadded), FRAME_SIZE_ERROR},
      {"HEADERS on stream 0", firstHeaders(0, 0, block), PROTOCOL_ERROR},
      {"HEADERS on an even stream", firstHeaders(2, 0, block), PROTOCOL_ERROR},
      {"HEADERS with too much padding", frame(FrameType::headers, kEndHeaders | kPadded, 3, "\x7fx"), PROTOCOL_ERROR},
      {"HEADERS with a cut priority", frame(FrameType::headers, kEndHeaders | kPriority, 3, "abc"), FRAME_SIZE_ERROR},
      {"malformed block", frame(FrameType::headers, kEndHeaders, 3, tableSize0 + "\xff\xff\xff"), COMPRESSION_ERROR},
      {"frame within a block", frame(FrameType::headers, 0, 3, tableSize0) + ping(), PROTOCOL_ERROR},
      {"CONTINUATION of another stream", frame(FrameType::headers, 0, 3, tableSize0) + frame(FrameType::continuation, 4, 5, block), PROTOCOL_ERROR},
      {"CONTINUATION of nothing", frame(FrameType::continuation, kEndHeaders, 1, block), PROTOCOL_ERROR},
      {"unknown frame within a block", frame(FrameType::headers, 0, 3, tableSize0) + frame(FrameType(99), 0, 3, "x"), PROTOCOL_ERROR},
      {"PRIORITY on stream 0", frame(FrameType::priority, 0, 0, std::string(5, 0)), PROTOCOL_ERROR},
      {"PRIORITY of a wrong size on an idle stream", frame(FrameType::priority, 0, 9, "x"), FRAME_SIZE_ERROR},
      {"RST_STREAM on stream 0", rst(0, 8), PROTOCOL_ERROR},
      {"RST_STREAM on an idle stream", rst(3, 8), PROTOCOL_ERROR},
      {"RST_STREAM of a wrong size", frame(FrameType::rstStream, 0, 1, "abc"), FRAME_SIZE_ERROR},
      {"SETTINGS on a stream", frame(FrameType::settings, 0, 1), PROTOCOL_ERROR},
      {"SETTINGS of a wrong size", frame(FrameType::settings, 0, 0, "abc"), FRAME_SIZE_ERROR},
      {"acknowledgement with a payload", frame(FrameType::settings, kAck, 0, std::string(6, 0)), FRAME_SIZE_ERROR},
      {"acknowledgement of nothing", settingsAck(), PROTOCOL_ERROR},
      {"ENABLE_PUSH of 2", settings({{2, 2}}), PROTOCOL_ERROR},
      {"INITIAL_WINDOW_SIZE of 2^31", settings({{4, 0x80000000u}}), FLOW_CONTROL_ERROR},
      {"MAX_FRAME_SIZE of 16,383", settings({{5, 16383}}), PROTOCOL_ERROR},
      {"MAX_FRAME_SIZE of 2^24", settings({{5, 1u << 24}}), PROTOCOL_ERROR},
      {"65 settings", settings(std::vector<std::pair<uint16_t, uint32_t>>(65, {9, 9})), ENHANCE_YOUR_CALM},
      {"window of a stream that grows too large by SETTINGS", windowUpdate(1, 0x7fffffff - 65535) + settings({{4, 65536}}), FLOW_CONTROL_ERROR},
      {"PUSH_PROMISE", frame(FrameType::pushPromise, kEndHeaders, 1, number(2)), PROTOCOL_ERROR},
      {"PING on a stream", frame(FrameType::ping, 0, 1, std::string(8, 0)), PROTOCOL_ERROR},
      {"PING of a wrong size", frame(FrameType::ping, 0, 0, "abc"), FRAME_SIZE_ERROR},
      {"GOAWAY on a stream", frame(FrameType::goaway, 0, 1, std::string(8, 0)), PROTOCOL_ERROR},
      {"GOAWAY of a wrong size", frame(FrameType::goaway, 0, 0, "abc"), FRAME_SIZE_ERROR},
      {"WINDOW_UPDATE of 0", windowUpdate(0, 0), PROTOCOL_ERROR},
      {"WINDOW_UPDATE of a wrong size", frame(FrameType::windowUpdate, 0, 0, "abc"), FRAME_SIZE_ERROR},
      {"WINDOW_UPDATE on an idle stream", windowUpdate(3, 1), PROTOCOL_ERROR},
      {"window of the connection that grows too large", windowUpdate(0, 0x7fffffff), FLOW_CONTROL_ERROR},
      {"an id that has passed", firstConnect(9) + connect(7), PROTOCOL_ERROR},
      {"HEADERS on a stream that has ended", firstHeaders(3, kEndStream, getBlock) + connect(3), STREAM_CLOSED},
  });
}

TEST("session: mistakes on a stream end it alone") {
  const auto headers = [](const std::string &block, uint8_t flags = 0) { return firstHeaders(3, flags, block); };
  resets(
      {
          {"CONNECT without authority", headers(literals({{":method", "CONNECT"}})), PROTOCOL_ERROR},
          {"CONNECT with a path", headers(literals({{":method", "CONNECT"}, {":authority", "a"}, {":path", "/"}})), PROTOCOL_ERROR},
          {"a name in upper case", headers(connectBlock() + literals({{"A", "b"}})), PROTOCOL_ERROR},
          {"a field of connections", headers(connectBlock() + literals({{"connection", "close"}})), PROTOCOL_ERROR},
          {"an unknown pseudo header", headers(connectBlock() + literals({{":x", "y"}})), PROTOCOL_ERROR},
          {"less than content-length", headers(getBlock + literals({{"content-length", "1"}}), kEndStream), PROTOCOL_ERROR},
          {"a stream that depends on itself", frame(FrameType::headers, kEndHeaders | kPriority, 3, number(3) + "\x10" + tableSize0 + connectBlock()), PROTOCOL_ERROR},
          {"65 fields", headers([] {
             std::string block = connectBlock();
             for (int i = 0; i < 64; i++) block += literals({{"n", "v"}});
             return block;
           }()),
           ENHANCE_YOUR_CALM},
          {"a list beyond 64 KiB", headers(connectBlock() + literals({{"baggage", std::string(65400, 'x')}})), ENHANCE_YOUR_CALM},
      },
      3);
  resets(
      {
          {"trailers in a tunnel", firstHeaders(1, kEndStream, literals({{"a", "b"}})), PROTOCOL_ERROR},
          {"WINDOW_UPDATE of 0", tableSize0.substr(1) + windowUpdate(1, 0) + firstConnect(3), PROTOCOL_ERROR},
          {"a window that grows too large", windowUpdate(1, 0x7fffffff) + firstConnect(3), FLOW_CONTROL_ERROR},
          {"DATA after its end", data(1, "", kEndStream) + data(1, "x") + firstConnect(3), STREAM_CLOSED},
          {"PRIORITY on itself", frame(FrameType::priority, 0, 1, number(1) + "x") + firstConnect(3), PROTOCOL_ERROR},
          {"PRIORITY of a wrong size", frame(FrameType::priority, 0, 1, "x") + firstConnect(3), FRAME_SIZE_ERROR},
          {"DATA on a stream that the peer has reset", rst(1, 8) + data(1, "x") + firstConnect(3), STREAM_CLOSED},
      },
      1);
}

TEST("session: bodies that are longer or shorter than promised") {
  Peer peer(Role::server);
  peer.end.answer = false;
  peer.begin();
  const std::string post = literals({{":method", "POST"}, {":scheme", "https"}, {":path", "/"}, {"content-length", "3"}});
  // 400 is sent at once, and yet the body counts.
  peer.send(firstHeaders(1, 0, post) + data(1, "abcd"));
  EQUAL(peer.resetOf(1), int(PROTOCOL_ERROR));
  peer.send(frame(FrameType::headers, kEndHeaders, 3, post) + data(3, "ab", kEndStream));
  EQUAL(peer.resetOf(3), int(PROTOCOL_ERROR));
  peer.send(frame(FrameType::headers, kEndHeaders, 5, post) + data(5, "abc", kEndStream));
  EQUAL(peer.resetOf(5), -1);
  CHECK(peer.end.saw("end 5"));
}

TEST("session: unknown frames, settings and flags, padding and priorities are taken") {
  Peer peer(Role::server);
  peer.begin();
  peer.send(settings({{99, 1}, {8, 1}}) + frame(FrameType(77), 255, 12345, "abc"));
  peer.send(frame(FrameType::headers, kPadded | kPriority, 1, std::string("\x02", 1) + number(0) + "\x10" + tableSize0 + "xx") +
            frame(FrameType::continuation, kEndHeaders, 1, connectBlock()));
  CHECK(peer.end.saw("request 1 :method=CONNECT :authority=10.0.0.1:80"));
  peer.send(data(1, std::string("\x03hello", 6) + "xxx", kPadded) + data(1, std::string("\x00", 1), kPadded) +
            data(1, std::string("\x04", 1) + "pppp", kPadded | kEndStream), 3);
  EQUAL(peer.end.data[1], "hello");
  CHECK(peer.end.saw("end 1"));
  CHECK(!peer.failed());
}

TEST("session: the window of a stream and of the connection bind the peer") {
  TunnelLimits limits;
  limits.streamWindow = 100'000;
  limits.connectionWindow = 1'000'000;
  Peer peer(Role::server, limits);
  peer.end.consume = false;
  peer.beginStream();
  peer.send(data(1, std::string(100'000, 'x')));
  CHECK(peer.frames().empty());
  peer.send(data(1, "x"));
  EQUAL(peer.resetOf(1), int(FLOW_CONTROL_ERROR));
  CHECK(!peer.failed());
}

TEST("session: WINDOW_UPDATE comes back at a quarter of what was consumed, for the connection as it arrives") {
  TunnelLimits limits;
  limits.streamWindow = 100'000;
  limits.connectionWindow = 200'000;
  Peer peer(Role::server, limits);
  peer.end.consume = false;
  peer.beginStream();
  peer.send(data(1, std::string(60'000, 'x')));
  auto frames = peer.frames();
  EQUAL(frames.size(), 1u);
  EQUAL(frames[0].stream, 0u);
  EQUAL(read32(asBytes(frames[0].payload).data()), 60'000u);
  Stream &s = *peer.end.streams.at(1);
  peer.end.tunnel->consumed(s, 24'999);
  CHECK(peer.frames().empty());
  peer.end.tunnel->consumed(s, 1);
  frames = peer.frames();
  EQUAL(frames.size(), 1u);
  EQUAL(frames[0].stream, 1u);
  EQUAL(read32(asBytes(frames[0].payload).data()), 25'000u);
  EQUAL(peer.end.tunnel->unconsumed(), 35'000u);
  peer.end.drop(*peer.end.tunnel, s);
  EQUAL(peer.end.tunnel->unconsumed(), 0u);
}

TEST("session: readers that do not read make all windows small, and do not hold up those that do") {
  TunnelLimits limits;
  limits.streamWindow = 1u << 20;
  limits.connectionWindow = 4u << 20;
  Peer peer(Role::server, limits);
  peer.end.consume = false;
  peer.begin();
  uint32_t small = 0;
  std::string block = tableSize0;
  for (uint32_t id = 1; id <= 21; id += 2) {
    peer.send(frame(FrameType::headers, kEndHeaders, id, block + connectBlock()));
    block.clear();
    if (small) continue;
    peer.send(data(id, std::string(1u << 20, 'x')));
    for (const Frame &f : peer.frames()) {
      if (f.type == FrameType::settings && !(f.flags & kAck)) small = read32(asBytes(f.payload).data() + 2);
    }
  }
  EQUAL(small, 65536u);
  peer.send(settingsAck());
  // A stream that is read moves on, 64 KiB at a time.
  Stream &moving = *peer.end.streams.at(21);
  for (int i = 0; i < 20; i++) {
    peer.send(data(21, std::string(65536, 'y')));
    CHECK(!peer.failed());
    peer.end.tunnel->consumed(moving, 65536);
    bool credit = false;
    for (const Frame &f : peer.frames()) credit |= f.type == FrameType::windowUpdate && f.stream == 21;
    CHECK(credit);
  }
  // With enough consumed the window is large again.
  for (uint32_t id = 1; id <= 9; id += 2) peer.end.tunnel->consumed(*peer.end.streams.at(id), 1u << 20);
  bool large = false;
  for (const Frame &f : peer.frames()) {
    large |= f.type == FrameType::settings && read32(asBytes(f.payload).data() + 2) == 1u << 20;
  }
  CHECK(large);
}

/** The last window that an end has announced, 0 for none; the end gets its acknowledgement. */
static uint32_t announced(Peer &peer) {
  uint32_t window = 0;
  for (const Frame &f : peer.frames()) {
    if (f.type == FrameType::settings && !(f.flags & kAck)) window = read32(asBytes(f.payload).data() + 2);
  }
  if (window) peer.send(settingsAck());
  return window;
}

TEST("session: beyond what all tunnels may hold, those that hold much get small windows, and those that hold little keep theirs") {
  RowPool rows(8u << 20);
  std::vector<std::unique_ptr<Peer>> slow;
  const auto open = [&](bool reads) {
    auto peer = std::make_unique<Peer>(Role::server, TunnelLimits{}, &rows);
    peer->end.consume = reads;
    peer->beginStream();
    return peer;
  };
  const auto quick = open(true);
  for (int i = 0; i < 4; i++) slow.push_back(open(false));
  std::vector<uint32_t> windows(slow.size());
  // Each peer sends what its window allows, 256 KiB at a time; none comes near the 16 MiB of a connection.
  for (int round = 0; round < 16; round++) {
    for (size_t i = 0; i < slow.size(); i++) {
      if (windows[i]) continue;
      slow[i]->send(data(1, std::string(256 * 1024, 'x')));
      windows[i] = announced(*slow[i]);
    }
    quick->send(data(1, std::string(256 * 1024, 'y')));
    EQUAL(announced(*quick), 0u);
  }
  for (const uint32_t window : windows) EQUAL(window, 65536u);
  CHECK(rows.unread.bytes() <= 9u << 20);
  // Windows follow the number of streams: all of them together may hold no more than before.
  std::string opened;
  for (uint32_t id = 3; id <= 399; id += 2) opened += connect(id);
  for (auto &peer : slow) peer->send(opened);
  for (auto &peer : slow) peer->send(data(3, "x"));
  uint32_t smallest = 65536;
  for (auto &peer : slow) {
    if (const uint32_t window = announced(*peer)) smallest = std::min(smallest, window);
  }
  EQUAL(smallest, (8u << 20) / 801);
  // What a tunnel held is free when it goes, and the others have their windows back once they are read.
  slow.resize(1);
  CHECK(rows.unread.bytes() < 3u << 20);
  slow[0]->end.tunnel->consumed(*slow[0]->end.streams.at(1), 4u << 20);
  EQUAL(announced(*slow[0]), 4u << 20);
  slow.clear();
  EQUAL(rows.unread.bytes(), 0u);
}

TEST("session: a peer that ignores the small window is cut, with memory bounded") {
  TunnelLimits limits;
  limits.connectionWindow = 1u << 20;
  Peer peer(Role::server, limits);
  peer.end.consume = false;
  peer.begin();
  std::string block = tableSize0;
  for (uint32_t id = 1; id < 40 && !peer.failed(); id += 2) {
    peer.send(frame(FrameType::headers, kEndHeaders, id, block + connectBlock()));
    block.clear();
    for (int i = 0; i < 4 && !peer.failed(); i++) peer.send(data(id, std::string(900'000, 'x')));
  }
  CHECK(peer.failed());
  CHECK(peer.end.failure->kind == TunnelFailure::Kind::peerFlood);
}

TEST("session: streams beyond the limit are refused, and what follows on them is ignored") {
  Peer peer(Role::server);
  peer.begin();
  peer.send(firstConnect(1));
  for (uint32_t id = 3; id < 1 + 2 * 210; id += 2) peer.send(connect(id) + data(id, "x"));
  int refused = 0;
  for (const Frame &f : peer.frames()) refused += f.type == FrameType::rstStream && read32(asBytes(f.payload).data()) == REFUSED_STREAM;
  EQUAL(refused, 10);
  EQUAL(peer.end.streams.size(), 200u);
  CHECK(!peer.failed());
}

TEST("session: after GOAWAY new streams are refused and the open ones finish") {
  Peer peer(Role::server);
  peer.beginStream();
  peer.end.tunnel->goaway(NO_ERROR, true);
  peer.end.tunnel->goaway(NO_ERROR, true);
  EQUAL(peer.frames().size(), 1u);
  peer.send(connect(3) + data(3, "late"));
  EQUAL(peer.resetOf(3), int(REFUSED_STREAM));
  peer.send(data(1, "still"));
  EQUAL(peer.end.data[1], "still");
  CHECK(!peer.end.closed);
  peer.send(data(1, "", kEndStream));
  peer.end.tunnel->end(*peer.end.streams.at(1));
  CHECK(peer.end.closed);
}

TEST("session: a client's streams above the last id of GOAWAY were not processed") {
  Peer peer(Role::client);
  CHECK(peer.end.open() == nullptr);
  peer.send(settings({{3, 10}}));
  for (int i = 0; i < 4; i++) CHECK(peer.end.open() != nullptr);
  peer.send(frame(FrameType::goaway, 0, 0, number(3) + number(0)));
  CHECK(peer.end.saw("reset 5 7 unprocessed") && peer.end.saw("reset 7 7 unprocessed") && !peer.end.saw("reset 3 7 unprocessed"));
  CHECK(peer.end.open() == nullptr);
  peer.send(rst(1, 8) + rst(3, 7));
  CHECK(peer.end.saw("reset 1 8") && peer.end.saw("reset 3 7 unprocessed"));
  CHECK(peer.end.closed);
}

TEST("session: the peer's limit of streams holds, and its change is told") {
  Peer peer(Role::client);
  peer.send(settings({{3, 2}}));
  CHECK(peer.end.open() && peer.end.open());
  CHECK(peer.end.open() == nullptr);
  peer.send(settings({{3, 3}}));
  CHECK(peer.end.saw("settings 3"));
  CHECK(peer.end.open() != nullptr);
}

TEST("session: responses") {
  const auto respond = [](const std::string &block, uint8_t flags = 0) {
    auto peer = std::make_unique<Peer>(Role::client);
    peer->send(settings() + settingsAck());
    peer->end.open();
    peer->frames();
    peer->send(firstHeaders(1, flags, block));
    return peer;
  };
  CHECK(respond(literals({{":status", "200"}}))->end.saw("response 1 200"));
  const auto refused = respond(literals({{":status", "503"}}), kEndStream);
  CHECK(refused->end.saw("response 1 503") && refused->end.saw("end 1"));
  const auto informed = respond(literals({{":status", "103"}}));
  CHECK(!informed->end.saw("response 1 103"));
  informed->send(frame(FrameType::headers, kEndHeaders, 1, literals({{":status", "200"}})));
  CHECK(informed->end.saw("response 1 200"));
  EQUAL(respond(literals({{":status", "101"}}))->resetOf(1), int(PROTOCOL_ERROR));
  EQUAL(respond(literals({{"a", "b"}}))->resetOf(1), int(PROTOCOL_ERROR));
  EQUAL(respond(literals({{":status", "200"}, {"content-length", "5"}}))->resetOf(1), int(PROTOCOL_ERROR));
  const auto early = respond(literals({{":status", "103"}}));
  early->send(data(1, "x"));
  EQUAL(early->resetOf(1), int(PROTOCOL_ERROR));
  Peer pushed(Role::client);
  pushed.send(settings() + firstHeaders(2, 0, literals({{":status", "200"}})));
  EQUAL(pushed.goaway(), int(PROTOCOL_ERROR));
}

TEST("session: frames that were under way when we reset a stream are ignored") {
  Peer peer(Role::server);
  peer.beginStream();
  peer.end.tunnel->reset(*peer.end.streams.at(1), CANCEL);
  EQUAL(peer.resetOf(1), int(CANCEL));
  for (int i = 0; i < 500; i++) peer.send(data(1, std::string(1000, 'x')));
  peer.send(windowUpdate(1, 5) + rst(1, 8) + data(1, "", kEndStream));
  CHECK(!peer.failed());
  for (const Frame &f : peer.frames()) CHECK(f.type == FrameType::windowUpdate && f.stream == 0);
}

TEST("session: rapid reset ends in GOAWAY, resets of ours do not") {
  Peer peer(Role::server);
  peer.begin();
  uint32_t id = 1;
  std::string block = tableSize0;
  while (!peer.end.closed && id < 4000) {
    peer.send(frame(FrameType::headers, kEndHeaders, id, block + connectBlock()) + rst(id, 0));
    block.clear();
    peer.frames();
    id += 2;
  }
  CHECK(peer.end.saw("reset flood"));
  EQUAL(id / 2, 501u);
  Peer ours(Role::server);
  ours.begin();
  block = tableSize0;
  for (id = 1; id < 2000; id += 2) {
    ours.send(frame(FrameType::headers, kEndHeaders, id, block + connectBlock()));
    block.clear();
    ours.end.drop(*ours.end.tunnel, *ours.end.streams.at(id));
    ours.frames();
  }
  CHECK(!ours.end.saw("reset flood"));
  // What is reset after more than a second does not count.
  Peer slow(Role::server);
  slow.begin();
  block = tableSize0;
  for (id = 1; id < 2000; id += 2) {
    slow.send(frame(FrameType::headers, kEndHeaders, id, block + connectBlock()));
    block.clear();
    slow.end.now += 1000;
    slow.send(rst(id, 8));
    slow.frames();
  }
  CHECK(!slow.end.saw("reset flood"));
}

TEST("session: floods end, whether their answers are read or not, and memory stays bounded") {
  const std::string oversized = literals({{"x", std::string(8000, 'x')}});
  const std::vector<std::pair<const char *, std::function<std::string(uint32_t)>>> floods = {
      {"PING", [](uint32_t) { return ping(); }},
      {"PING acknowledgements", [](uint32_t) { return ping(kAck); }},
      {"SETTINGS", [](uint32_t) { return settings({{4, 65535}}); }},
      {"empty DATA", [](uint32_t) { return data(1, ""); }},
      {"PRIORITY", [](uint32_t) { return frame(FrameType::priority, 0, 1, number(0) + "x"); }},
      {"PRIORITY on itself", [](uint32_t) { return frame(FrameType::priority, 0, 1, number(1) + "x"); }},
      {"PRIORITY on idle streams", [](uint32_t i) { return frame(FrameType::priority, 0, 2 * i + 1001, number(0) + "x"); }},
      {"WINDOW_UPDATE", [](uint32_t) { return windowUpdate(0, 1); }},
      {"unknown frames", [](uint32_t) { return frame(FrameType(200), 0, 0, "x"); }},
      {"RST_STREAM", [](uint32_t) { return rst(1, 8); }},
      {"GOAWAY", [](uint32_t) { return frame(FrameType::goaway, 0, 0, number(1) + number(1)); }},
      {"DATA on a closed stream", [](uint32_t i) { return i == 0 ? rst(1, 8) : data(1, "x"); }},
      {"malformed requests", [](uint32_t i) { return frame(FrameType::headers, kEndHeaders, 2 * i + 3, tableSize0 + literals({{"a", "b"}})); }},
      {"empty header blocks", [](uint32_t i) { return frame(FrameType::headers, kEndHeaders, 2 * i + 3, tableSize0); }},
      {"answers of 400", [](uint32_t i) { return frame(FrameType::headers, kEndHeaders | kEndStream, 2 * i + 3, tableSize0 + getBlock); }},
      {"refused streams", [](uint32_t i) { return frame(FrameType::headers, kEndHeaders, 2 * i + 3, tableSize0 + connectBlock()); }},
      {"CONTINUATION", [](uint32_t i) {
         return i == 0 ? frame(FrameType::headers, 0, 3, tableSize0) : frame(FrameType::continuation, 0, 3, "");
       }},
      {"large CONTINUATION", [&](uint32_t i) {
         return i == 0 ? frame(FrameType::headers, 0, 3, tableSize0) : frame(FrameType::continuation, 0, 3, oversized + oversized);
       }},
  };
  for (const auto &[name, make] : floods) {
    for (bool reads : {true, false}) {
      if (reads && std::string_view(name) == "answers of 400") continue;
      Peer peer(Role::server);
      peer.beginStream();
      peer.end.log.clear();
      const size_t before = memoryInUse();
      resetPeak();
      size_t sent = 0;
      for (uint32_t i = 0; i < 40000 && !peer.failed() && !peer.end.closed; i++) {
        const std::string bytes = make(i);
        peer.send(bytes);
        sent += bytes.size();
        if (reads) peer.frames();
        peer.end.log.clear();
        peer.end.streams.clear();
      }
      if (!peer.failed() && !peer.end.closed) failed(__FILE__, __LINE__, std::string(name) + " goes on after " + std::to_string(sent));
      if (memoryPeak() - before > 4u << 20) failed(__FILE__, __LINE__, std::string(name) + " holds " + std::to_string(memoryPeak() - before));
    }
  }
}

TEST("session: an HPACK bomb before the table is off is cut short") {
  Peer peer(Role::server);
  peer.send(std::string(kPreface) + settings());
  // One entry of 4,000 bytes, then references to it.
  std::string block = "\x40";
  block += literals({{"x", std::string(4000, 'x')}}).substr(1);
  block += std::string(60000, char(0xbe));
  resetPeak();
  const size_t before = memoryInUse();
  for (size_t i = 0; i < block.size(); i += 16000) {
    const bool last = i + 16000 >= block.size();
    peer.send(frame(i == 0 ? FrameType::headers : FrameType::continuation, last ? kEndHeaders : 0, 1, block.substr(i, 16000)));
  }
  EQUAL(peer.goaway(), int(ENHANCE_YOUR_CALM));
  CHECK(memoryPeak() - before < 2u << 20);
}

TEST("session: PING is answered, and ours is noticed") {
  Peer peer(Role::server);
  peer.beginStream();
  peer.send(ping());
  const auto frames = peer.frames();
  EQUAL(frames.size(), 1u);
  CHECK(frames[0].type == FrameType::ping && frames[0].flags == kAck && frames[0].payload == std::string(8, 'p'));
  peer.end.tunnel->ping();
  peer.end.tunnel->ping();
  const auto asked = peer.frames();
  EQUAL(asked.size(), 1u);
  peer.send(ping(kAck));
  CHECK(!peer.end.saw("pong"));
  peer.send(frame(FrameType::ping, kAck, 0, asked[0].payload));
  CHECK(peer.end.saw("pong"));
}

TEST("session: windows of the peer at 0, 1, the maximum and below 0 are kept to") {
  Peer peer(Role::server);
  peer.begin();
  peer.send(settings({{4, 0}}) + firstConnect(1));
  peer.frames();
  End &e = peer.end;
  Stream &s = *e.streams.at(1);
  EQUAL(e.tunnel->room(s), 0u);
  EQUAL(e.tunnel->write(s, asBytes("abc")), 0u);
  peer.send(windowUpdate(1, 1));
  CHECK(e.writable.contains(1));
  EQUAL(e.tunnel->write(s, asBytes("abc")), 1u);
  peer.send(settings({{4, 10}}));
  EQUAL(e.tunnel->room(s), 10u);
  EQUAL(e.tunnel->write(s, asBytes("0123456789x")), 10u);
  // Now 5 below 0.
  peer.send(settings({{4, 5}}));
  EQUAL(e.tunnel->room(s), 0u);
  e.writable.clear();
  peer.send(windowUpdate(1, 5));
  EQUAL(e.tunnel->room(s), 0u);
  CHECK(!e.writable.contains(1));
  peer.send(windowUpdate(1, 2));
  CHECK(e.writable.contains(1));
  EQUAL(e.tunnel->room(s), 2u);
  peer.send(settings({{4, 0x7fffffff - 5}}));
  // The connection's window is what is left of 65,535.
  EQUAL(e.tunnel->room(s), 65535u - 11);
  e.tunnel->end(s);
  const auto frames = peer.frames();
  std::string got;
  for (const Frame &f : frames) {
    if (f.type == FrameType::data) got += f.payload;
  }
  EQUAL(got, "a0123456789");
  CHECK(frames.back().type == FrameType::data && frames.back().flags == kEndStream);
}

TEST("session: DATA before the 200 is not sent, and nothing after the end") {
  Peer peer(Role::server);
  peer.end.answer = false;
  peer.beginStream();
  Stream &s = *peer.end.streams.at(1);
  Tunnel &t = *peer.end.tunnel;
  EQUAL(t.write(s, asBytes("x")), 0u);
  t.end(s);
  CHECK(peer.frames().empty());
  t.respond(s, 200, {}, false);
  t.respond(s, 200, {}, false);
  EQUAL(t.write(s, asBytes("x")), 1u);
  t.end(s);
  t.end(s);
  EQUAL(t.write(s, asBytes("y")), 0u);
  const auto frames = peer.frames();
  EQUAL(frames.size(), 3u);
  EQUAL(frames[0].payload, std::string("\x20\x88"));
}
