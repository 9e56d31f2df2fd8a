// Own records against OpenSSL's, one way through memory, in CPU time: `build/measure`, or within Node for Node's OpenSSL
// (`make build/measure.node`, then process.dlopen of it).
#include "../tunnel/row.h"
#include "../tunnel/tunnel.h"
#include "../units/certificates.h"
#include <cstdio>
#include <cstring>
#include <ctime>
#include <openssl/crypto.h>

using namespace aq;

namespace {

/** An end that accepts everybody, counts and gives credit at once. */
struct Quiet final : TunnelHandler {
  RowPool rows;
  std::unique_ptr<Tunnel> tunnel;
  Stream *stream = nullptr;
  uint64_t received = 0;
  std::vector<uint8_t> buffer = std::vector<uint8_t>(1u << 20);

  Quiet(Role role, bool own) {
    TunnelLimits limits;
    limits.ownRecords = own;
    tunnel = std::make_unique<Tunnel>(units::context(role), limits, rows, *this);
  }
  void onHandshaken(Tunnel &t, const std::vector<std::vector<uint8_t>> &, std::string_view) override { t.accepted(); }
  void onSettings(Tunnel &, uint32_t) override {}
  void onPong(Tunnel &) override {}
  void onGoaway(Tunnel &, uint32_t) override {}
  void onRequest(Tunnel &t, Stream &s, std::span<const Header>) override { t.respond(s, 200, {}, false); }
  void onResponse(Tunnel &, Stream &s, int, std::span<const Header>) override { stream = &s; }
  void onData(Tunnel &t, Stream &s, Bytes b) override {
    received += b.size();
    t.consumed(s, b.size());
  }
  void onEnd(Tunnel &, Stream &) override {}
  void onReset(Tunnel &, Stream &, uint32_t, bool) override {}
  void onWritable(Tunnel &, Stream &) override {}
  void onResetFlood(Tunnel &) override {}
  void onFailed(Tunnel &, const TunnelFailure &f) override { printf("failed: %s\n", f.reason.c_str()); }
  void onClosed(Tunnel &) override {}
};

void move(Quiet &from, Quiet &to) {
  from.tunnel->flush();
  const Bytes out = from.tunnel->output();
  const size_t n = to.tunnel->carried();
  to.tunnel->carry(to.buffer.data());
  // The copy is what the socket would be.
  if (!out.empty()) memcpy(to.buffer.data() + n, out.data(), out.size());
  to.tunnel->feed(to.buffer.data(), n + out.size(), 1);
  from.tunnel->wrote(out.size());
}

double cpu() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) / 1e9;
}

/** CPU seconds for a GB through both ends. */
double perGb(bool own, size_t piece) {
  Quiet client(Role::client, own), server(Role::server, own);
  client.tunnel->start();
  for (int i = 0; i < 4; i++) {
    move(client, server);
    move(server, client);
  }
  const Header headers[] = {{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}};
  client.tunnel->open(headers);
  for (int i = 0; i < 2; i++) {
    move(client, server);
    move(server, client);
  }
  const uint64_t total = 400'000'000;
  const double start = cpu();
  while (server.received < total && client.stream) {
    iovec holes[64];
    size_t left = piece;
    const int n = client.tunnel->prepare(*client.stream, piece, holes, 64);
    for (int i = 0; i < n; i++) left -= std::min(left, holes[i].iov_len);
    client.tunnel->commit(*client.stream, piece - left);
    move(client, server);
    move(server, client);
  }
  return (cpu() - start) * 1e9 / double(total);
}

void run() {
  printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
  for (size_t piece : {size_t(512 * 1024), size_t(16'000), size_t(1000)}) {
    double best[2] = {1e9, 1e9};
    for (int round = 0; round < 5; round++) {
      for (bool own : {true, false}) best[own] = std::min(best[own], perGb(own, piece));
    }
    printf("%zu bytes a write: own %.3f s/GB (%.0f MB/s), OpenSSL's %.3f s/GB (%.0f MB/s), ratio %.2f\n", piece, best[1],
           1000 / best[1], best[0], 1000 / best[0], best[1] / best[0]);
  }
}

} // namespace

#ifdef IN_NODE
extern "C" __attribute__((visibility("default"))) void *napi_register_module_v1(void *, void *exports) {
  run();
  return exports;
}
#else
int main() { run(); }
#endif
