#include "certificates.h"
#include "check.h"
#include "end.h"
#include <openssl/ssl.h>
#include <stdexcept>

using namespace aq;
using namespace aq::units;

TEST("handshake: both ends get the chain of the other, leaf first, and agree on HTTP/2") {
  for (size_t chunk : {size_t(0), size_t(1), size_t(2), size_t(3), size_t(1000)}) {
    Pair pair;
    pair.pump(chunk);
    for (End *e : {&pair.client, &pair.server}) {
      CHECK(e->saw("handshaken h2"));
      EQUAL(e->chain.size(), 1u);
      EQUAL(std::string(e->tunnel->protocol()), "TLSv1.3");
      EQUAL(std::string(e->tunnel->suite()), "TLS_AES_256_GCM_SHA384");
      CHECK(!e->failure);
    }
    CHECK(pair.client.saw("settings 200"));
    CHECK(pair.server.saw("settings 4294967295"));
  }
}

TEST("handshake: nothing is read before accepted(), and nothing of it is lost") {
  Pair pair;
  pair.server.accept = false;
  pair.pump();
  CHECK(pair.server.saw("handshaken h2"));
  CHECK(!pair.server.tunnel->wantsRead());
  CHECK(pair.server.tunnel->carried() > 0);
  CHECK(!pair.server.saw("settings 4294967295"));
  pair.server.tunnel->accepted();
  pair.server.give("");
  CHECK(pair.server.saw("settings 4294967295"));
  pair.pump();
  CHECK(pair.client.open() != nullptr);
}

TEST("handshake: fail() refuses the peer by an alert that it can read") {
  Pair pair;
  pair.server.accept = false;
  pair.pump();
  pair.server.tunnel->fail(BAD_CERTIFICATE, "a foreign trust domain");
  EQUAL(pair.server.failure->reason, "a foreign trust domain");
  CHECK(pair.server.failure->kind == TunnelFailure::Kind::tls);
  pair.pump();
  CHECK(pair.client.failure.has_value());
  CHECK(pair.client.failure->kind == TunnelFailure::Kind::tls);
  EQUAL(pair.client.failure->alertOrCode, int(BAD_CERTIFICATE));
}

TEST("handshake: certificates of another root, expired ones and none are refused") {
  const Authority other("other");
  const auto client = [&](const Authority &issuer, int days, const std::string &roots) {
    const Credentials c = issuer.issue("spiffe://cluster.local/ns/apps/sa/client", days);
    return TlsContext::make({Role::client, c.chainPem, c.keyPem, roots, false, false});
  };
  const std::string roots = authority().rootPem();
  for (const auto &tls : {client(other, 1, roots), client(authority(), -1, roots), client(authority(), 1, other.rootPem())}) {
    End a({}, tls), b({}, context(Role::server));
    a.tunnel->start();
    for (int i = 0; i < 4; i++) {
      b.give(a.take());
      a.give(b.take());
    }
    CHECK(b.failure.has_value() && b.failure->kind == TunnelFailure::Kind::tls);
    CHECK(a.failure.has_value() && a.failure->kind == TunnelFailure::Kind::tls);
    CHECK(!b.saw("handshaken h2"));
  }
}

TEST("handshake: two roots of one name are trusted side by side") {
  const Authority one("rotating"), two("rotating");
  const auto make = [&](const Authority &issuer, Role role) {
    const Credentials c = issuer.issue("spiffe://cluster.local/ns/apps/sa/x");
    return TlsContext::make({role, c.chainPem, c.keyPem, one.rootPem() + two.rootPem(), false, false});
  };
  End a({}, make(one, Role::client)), b({}, make(two, Role::server));
  a.tunnel->start();
  for (int i = 0; i < 4; i++) {
    b.give(a.take());
    a.give(b.take());
  }
  CHECK(a.saw("handshaken h2") && b.saw("handshaken h2"));
}

TEST("handshake: bytes that are no TLS end it at either end, however they are cut") {
  for (const std::string &garbage : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100, 'x'), std::string(20000, 0),
                                     std::string("\x16\x03\x01\xff\xff", 5) + std::string(70000, 1)}) {
    for (size_t chunk : {0, 1, 7}) {
      Pair pair;
      (void)pair.client.take();
      for (End *e : {&pair.client, &pair.server}) {
        e->give(garbage, chunk);
        CHECK(e->failure.has_value());
        CHECK(e->failure->kind == TunnelFailure::Kind::tls);
        CHECK(!e->tunnel->wantsRead());
      }
    }
  }
}

TEST("handshake: an end of the input in the middle is a truncation") {
  Pair pair;
  pair.server.give(pair.client.take().substr(0, 50));
  pair.server.tunnel->endOfInput();
  CHECK(pair.server.failure->kind == TunnelFailure::Kind::truncated);
}

TEST("handshake: TLS 1.2 only where it is allowed") {
  for (bool allowed : {true, false}) {
    End server({}, context(Role::server, allowed));
    const auto old = context(Role::client, true);
    SSL_CTX_set_max_proto_version(old->get(), TLS1_2_VERSION);
    End client({}, old);
    client.tunnel->start();
    for (int i = 0; i < 4; i++) {
      server.give(client.take());
      client.give(server.take());
    }
    CHECK(client.saw("settings 200") == allowed);
    CHECK(server.failure.has_value() != allowed);
    if (allowed) EQUAL(std::string(server.tunnel->protocol()), "TLSv1.2");
  }
}

TEST("handshake: a context names the part of its settings that is wrong") {
  const Credentials c = authority().issue("spiffe://cluster.local/ns/apps/sa/x");
  const Credentials d = authority().issue("spiffe://cluster.local/ns/apps/sa/y");
  const std::string roots = authority().rootPem();
  const auto reason = [](const TlsSettings &s) -> std::string {
    try {
      TlsContext::make(s);
    } catch (const std::invalid_argument &e) {
      return std::string(e.what()).substr(0, std::string_view(e.what()).find(':'));
    }
    return "none";
  };
  EQUAL(reason({Role::server, c.chainPem, c.keyPem, roots, false, false}), "none");
  EQUAL(reason({Role::server, "", c.keyPem, roots, false, false}), "chain");
  EQUAL(reason({Role::server, c.chainPem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", c.keyPem, roots, false, false}), "chain");
  EQUAL(reason({Role::server, c.chainPem, d.keyPem, roots, false, false}), "key");
  EQUAL(reason({Role::server, c.chainPem, "", roots, false, false}), "key");
  EQUAL(reason({Role::server, c.chainPem, c.keyPem, "rubbish", false, false}), "roots");
}
