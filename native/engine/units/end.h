// One end of a connection in memory: a tunnel, what its handler saw, and how bytes get to the other end.
#pragma once
#include "../tunnel/row.h"
#include "../tunnel/tunnel.h"
#include "check.h"
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace aq::units {

inline std::string asText(Bytes b) { return {reinterpret_cast<const char *>(b.data()), b.size()}; }
inline Bytes asBytes(std::string_view s) { return {reinterpret_cast<const uint8_t *>(s.data()), s.size()}; }

/** Bytes that tell where they belong. */
inline std::string pattern(size_t size, uint32_t seed = 1) {
  std::string s(size, 0);
  uint32_t x = seed * 2654435761u + 1;
  for (char &c : s) {
    x = x * 1664525u + 1013904223u;
    c = char(x >> 24);
  }
  return s;
}

class End final : public TunnelHandler {
public:
  End(const TunnelLimits &limits, std::shared_ptr<TlsContext> tls) : rows(own) { tunnel.emplace(std::move(tls), limits, rows, *this); }
  /** With a pool of its own where none is shared. */
  End(Role role, const TunnelLimits &limits, std::unique_ptr<Records> records, RowPool *shared = nullptr)
      : rows(shared ? *shared : own) {
    tunnel.emplace(role, std::move(records), limits, rows, *this);
  }

  // What a test chooses.
  bool accept = true;
  /** Bytes of onData() are consumed at once; else they stay. */
  bool consume = true;
  /** Server: CONNECT is answered by 200. */
  bool answer = true;
  /** The stream is released when it has ended. */
  bool release = true;

  // What was seen.
  std::vector<std::string> log;
  std::map<uint32_t, std::string> data;
  std::map<uint32_t, Stream *> streams;
  std::set<uint32_t> writable;
  std::vector<std::vector<uint8_t>> chain;
  std::optional<TunnelFailure> failure;
  bool closed = false;
  uint64_t now = 1;

  RowPool own;
  RowPool &rows;
  std::optional<Tunnel> tunnel;

  bool saw(const std::string &line) const { return std::find(log.begin(), log.end(), line) != log.end(); }

  /** Everything that is to be written now. */
  std::string take() {
    std::string all;
    for (;;) {
      tunnel->flush();
      const Bytes out = tunnel->output();
      if (out.empty()) return all;
      {
        const Calm calm;
        all += asText(out);
      }
      tunnel->wrote(out.size());
    }
  }

  /** As a loop reads: behind what was carried over, `chunk` bytes at a time; 0: all at once. */
  void give(std::string_view bytes, size_t chunk = 0) {
    do {
      const std::string_view part = chunk ? bytes.substr(0, chunk) : bytes;
      std::vector<uint8_t> buffer;
      {
        const Calm calm;
        buffer.resize(tunnel->carried() + part.size());
      }
      const size_t carried = tunnel->carried();
      tunnel->carry(buffer.data());
      std::copy(part.begin(), part.end(), buffer.begin() + long(carried));
      tunnel->feed(buffer.data(), buffer.size(), now);
      bytes.remove_prefix(part.size());
    } while (!bytes.empty());
  }

  Stream *open(std::string_view authority = "10.0.0.1:80") {
    const Header headers[] = {{":method", "CONNECT"}, {":authority", authority}, {"baggage", "k8s.pod.name=a"}};
    Stream *s = tunnel->open(headers);
    const Calm calm;
    if (s) streams[s->id] = s;
    return s;
  }

  void onHandshaken(Tunnel &t, const std::vector<std::vector<uint8_t>> &peer, std::string_view alpn) override {
    {
      const Calm calm;
      chain = peer;
      add("handshaken " + std::string(alpn));
    }
    if (accept) t.accepted();
  }
  void onSettings(Tunnel &, uint32_t n) override { add("settings " + std::to_string(n)); }
  void onPong(Tunnel &) override { add("pong"); }
  void onGoaway(Tunnel &, uint32_t code) override { add("goaway " + std::to_string(code)); }
  void onRequest(Tunnel &t, Stream &s, std::span<const Header> headers) override {
    std::string_view method;
    {
      const Calm calm;
      streams[s.id] = &s;
      std::string line = "request " + std::to_string(s.id);
      for (const Header &h : headers) {
        line.append(" ").append(h.name).append("=").append(h.value);
        if (h.name == ":method") method = h.value;
      }
      add(line);
    }
    const Header reply[] = {{"baggage", "k8s.pod.name=b"}};
    if (method != "CONNECT") t.respond(s, 400, {}, true);
    else if (answer) t.respond(s, 200, reply, false);
  }
  void onResponse(Tunnel &, Stream &s, int status, std::span<const Header>) override {
    add("response " + std::to_string(s.id) + " " + std::to_string(status));
  }
  void onData(Tunnel &t, Stream &s, Bytes bytes) override {
    {
      const Calm calm;
      data[s.id].append(asText(bytes));
    }
    if (consume) t.consumed(s, bytes.size());
  }
  void onEnd(Tunnel &t, Stream &s) override {
    add("end " + std::to_string(s.id));
    if (release && s.closed) drop(t, s);
  }
  void onReset(Tunnel &t, Stream &s, uint32_t code, bool unprocessed) override {
    add("reset " + std::to_string(s.id) + " " + std::to_string(code) + (unprocessed ? " unprocessed" : ""));
    if (release) drop(t, s);
  }
  void onWritable(Tunnel &, Stream &s) override {
    const Calm calm;
    writable.insert(s.id);
  }
  void onResetFlood(Tunnel &) override { add("reset flood"); }
  void onFailed(Tunnel &, const TunnelFailure &f) override {
    const Calm calm;
    CHECK(!failure && !closed);
    failure = f;
    add("failed " + f.reason);
  }
  void onClosed(Tunnel &) override {
    CHECK(!failure && !closed);
    closed = true;
    add("closed");
  }
  void drop(Tunnel &t, Stream &s) {
    streams.erase(s.id);
    t.release(s);
  }

private:
  void add(std::string line) {
    const Calm calm;
    log.push_back(std::move(line));
  }
};

/** Two ends that are joined. */
struct Pair {
  End client, server;
  /** By a handshake, which the first pump() does. */
  explicit Pair(const TunnelLimits &limits = {}, bool tls12 = false);
  Pair(const TunnelLimits &ofClient, const TunnelLimits &ofServer, std::shared_ptr<TlsContext> tlsOfClient,
       std::shared_ptr<TlsContext> tlsOfServer);
  /** With keys that were agreed on elsewhere: quick. */
  enum Agreed { agreed };
  Pair(Agreed, const TunnelLimits &ofClient, const TunnelLimits &ofServer);

  /** Until nothing is under way; `chunk` bytes at a time. */
  void pump(size_t chunk = 0) {
    while (turn(chunk)) {
    }
  }
  /** Once each way; false when nothing was under way. */
  bool turn(size_t chunk = 0) {
    const std::string there = client.take();
    if (!there.empty()) server.give(there, chunk);
    const std::string back = server.take();
    if (!back.empty()) client.give(back, chunk);
    return !there.empty() || !back.empty();
  }
};

/** The records of one end of such a pair. */
std::unique_ptr<Records> agreedRecords(Role role, uint64_t recordsPerKey);

} // namespace aq::units
