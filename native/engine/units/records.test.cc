#include "../tls/own-records.h"
#include "check.h"
#include "end.h"
#include <cstring>

using namespace aq;
using namespace aq::units;

namespace {

Secret secret(uint8_t seed, Suite suite = Suite::aes256) {
  Secret s;
  s.size = suite == Suite::aes256 ? 48 : 32;
  for (size_t i = 0; i < s.size; i++) s.bytes[i] = uint8_t(seed + i);
  return s;
}

/** A peer that seals by hand, and the end under test. */
struct Rig {
  explicit Rig(Role role = Role::server, uint64_t recordsPerKey = 1u << 24, Suite suite = Suite::aes256)
      : peer(suite, secret(1, suite), true), back(suite, secret(99, suite), false),
        records(role, suite, secret(99, suite), secret(1, suite), recordsPerKey) {}
  RecordKey peer, back;
  OwnRecords records;

  std::string sealed(std::string_view inner, uint8_t type) {
    std::string r(kRecordHeader + inner.size() + 17, 0);
    memcpy(r.data() + kRecordHeader, inner.data(), inner.size());
    peer.seal(reinterpret_cast<uint8_t *>(r.data()), inner.size(), type);
    return r;
  }
  Opened open(std::string r) {
    last = std::move(r);
    return records.open(reinterpret_cast<uint8_t *>(last.data()), last.size());
  }
  std::string last;
};

constexpr uint8_t kDataType = 23, kHandshakeType = 22, kAlertType = 21;
const std::string keyUpdate(bool ask) { return std::string("\x18\x00\x00\x01", 4) + char(ask); }

void refused(Rig &rig, std::string record, uint8_t alert) {
  const Opened o = rig.open(std::move(record));
  CHECK(o.kind == Opened::Kind::failed);
  EQUAL(int(o.alert), int(alert));
  CHECK(!o.received);
}

} // namespace

TEST("records: what one end seals the other opens, with both suites and every size") {
  for (Suite suite : {Suite::aes256, Suite::aes128}) {
    Rig rig(Role::server, 1u << 24, suite);
    for (size_t size : {1, 2, 15, 16, 17, 1000, 16383, 16384}) {
      const std::string text = pattern(size);
      const Opened o = rig.open(rig.sealed(text, kDataType));
      CHECK(o.kind == Opened::Kind::data);
      CHECK(asText(o.data) == text);
      std::vector<uint8_t> slot(size + Records::kOverhead);
      memcpy(slot.data() + kRecordHeader, text.data(), size);
      const size_t n = rig.records.seal(slot.data(), size, slot.data());
      EQUAL(n, size + 22);
      EQUAL(rig.back.open(slot.data(), n), ptrdiff_t(size + 1));
      CHECK(memcmp(slot.data() + kRecordHeader, text.data(), size) == 0);
    }
  }
}

TEST("records: padding is taken off, a record of zeros only and an oversized one are refused") {
  {
    Rig rig;
    // The type byte, then zeros: the last byte that is sealed as type is part of the padding.
    const Opened o = rig.open(rig.sealed(std::string("abc") + char(kDataType) + std::string(50, 0), 0));
    CHECK(o.kind == Opened::Kind::data);
    EQUAL(asText(o.data), "abc");
  }
  Rig zeros, large, padded;
  refused(zeros, zeros.sealed(std::string(20, 0), 0), UNEXPECTED_MESSAGE);
  refused(large, large.sealed(std::string(16385, 'x'), kDataType), RECORD_OVERFLOW);
  refused(padded, padded.sealed(std::string(16384, 'x') + char(kDataType) + std::string(10, 0), 0), RECORD_OVERFLOW);
  Rig length;
  refused(length, std::string("\x17\x03\x03\x41\x01", 5) + std::string(16641, 'x'), RECORD_OVERFLOW);
}

TEST("records: a bit that is flipped anywhere is a bad MAC, but for the type") {
  const std::string good = Rig().sealed("hello", kDataType);
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    std::string bad = good;
    bad[bit / 8] = char(bad[bit / 8] ^ (1 << bit % 8));
    Rig rig;
    // The length decides where the record ends; this one is as long as it says.
    if (bit / 8 == 3 || bit / 8 == 4) continue;
    refused(rig, bad, bit < 8 ? UNEXPECTED_MESSAGE : BAD_RECORD_MAC);
  }
  for (size_t size = 5; size < good.size(); size++) {
    Rig rig;
    refused(rig, good.substr(0, size), BAD_RECORD_MAC);
  }
}

TEST("records: one that is repeated, left out or of another direction is refused") {
  Rig twice;
  const std::string first = twice.sealed("a", kDataType), second = twice.sealed("b", kDataType);
  CHECK(twice.open(first).kind == Opened::Kind::data);
  refused(twice, first, BAD_RECORD_MAC);
  Rig skipped;
  refused(skipped, second, BAD_RECORD_MAC);
}

TEST("records: KeyUpdate of the peer, answered where it asks") {
  for (bool ask : {false, true}) {
    Rig rig;
    CHECK(rig.open(rig.sealed("old", kDataType)).kind == Opened::Kind::data);
    CHECK(rig.open(rig.sealed(keyUpdate(ask), kHandshakeType)).kind == Opened::Kind::nothing);
    rig.peer.update();
    EQUAL(asText(rig.open(rig.sealed("new", kDataType)).data), "new");
    CHECK(rig.records.due() == ask);
    if (!ask) continue;
    uint8_t out[256];
    const size_t n = rig.records.maintain(out);
    EQUAL(rig.back.open(out, n), 6);
    EQUAL(std::string(reinterpret_cast<char *>(out) + 5, 6), keyUpdate(false) + char(kHandshakeType));
    rig.back.update();
    CHECK(!rig.records.due());
    const size_t m = rig.records.alert(CLOSE_NOTIFY, out);
    EQUAL(rig.back.open(out, m), 3);
  }
}

TEST("records: keys are changed before they have sealed too much, and the peer is asked to change its own") {
  Rig rig(Role::server, 3);
  uint8_t slot[100];
  for (int i = 0; i < 3; i++) {
    CHECK(!rig.records.due());
    slot[5] = 'x';
    const size_t n = rig.records.seal(slot, 1, slot);
    EQUAL(rig.back.open(slot, n), 2);
  }
  CHECK(rig.records.due());
  const size_t n = rig.records.maintain(slot);
  EQUAL(rig.back.open(slot, n), 6);
  EQUAL(int(slot[9]), 0);
  rig.back.update();
  for (int i = 0; i < 3; i++) {
    CHECK(!rig.records.due());
    CHECK(rig.open(rig.sealed("x", kDataType)).kind == Opened::Kind::data);
  }
  CHECK(rig.records.due());
  const size_t m = rig.records.maintain(slot);
  EQUAL(rig.back.open(slot, m), 6);
  EQUAL(int(slot[9]), 1);
  CHECK(!rig.records.due());
}

TEST("records: handshake messages after the handshake") {
  const std::string ticket = std::string("\x04\x00\x02\x00", 4) + std::string(512, 't');
  {
    Rig client(Role::client);
    CHECK(client.open(client.sealed(ticket, kHandshakeType)).kind == Opened::Kind::nothing);
    // In pieces, and several in one.
    CHECK(client.open(client.sealed(ticket.substr(0, 2), kHandshakeType)).kind == Opened::Kind::nothing);
    CHECK(client.open(client.sealed(ticket.substr(2, 100), kHandshakeType)).kind == Opened::Kind::nothing);
    CHECK(client.open(client.sealed(ticket.substr(102) + ticket, kHandshakeType)).kind == Opened::Kind::nothing);
    CHECK(client.open(client.sealed("x", kDataType)).kind == Opened::Kind::data);
    CHECK(client.open(client.sealed(ticket.substr(0, 7), kHandshakeType)).kind == Opened::Kind::nothing);
    refused(client, client.sealed("x", kDataType), UNEXPECTED_MESSAGE);
  }
  Rig server, empty, behind, value, size, hello, ccs, other;
  refused(server, server.sealed(ticket, kHandshakeType), UNEXPECTED_MESSAGE);
  refused(empty, empty.sealed("", kHandshakeType), UNEXPECTED_MESSAGE);
  refused(behind, behind.sealed(keyUpdate(false) + keyUpdate(false), kHandshakeType), UNEXPECTED_MESSAGE);
  refused(value, value.sealed(std::string("\x18\x00\x00\x01\x02", 5), kHandshakeType), 47);
  refused(size, size.sealed(std::string("\x18\x00\x00\x02\x00\x00", 6), kHandshakeType), DECODE_ERROR);
  refused(hello, hello.sealed(std::string("\x01\x00\x00\x00", 4), kHandshakeType), UNEXPECTED_MESSAGE);
  refused(ccs, ccs.sealed("\x01", 20), UNEXPECTED_MESSAGE);
  refused(other, other.sealed("x", 24), UNEXPECTED_MESSAGE);
  Rig plain;
  refused(plain, std::string("\x14\x03\x03\x00\x01\x01", 6), UNEXPECTED_MESSAGE);
}

TEST("records: alerts") {
  Rig close, fatal, malformed, canceled;
  CHECK(close.open(close.sealed(std::string("\x01\x00", 2), kAlertType)).kind == Opened::Kind::closeNotify);
  const Opened o = fatal.open(fatal.sealed("\x02\x2a", kAlertType));
  CHECK(o.kind == Opened::Kind::failed && o.received);
  EQUAL(int(o.alert), int(BAD_CERTIFICATE));
  refused(malformed, malformed.sealed("\x02", kAlertType), DECODE_ERROR);
  CHECK(canceled.open(canceled.sealed("\x01\x5a", kAlertType)).kind == Opened::Kind::nothing);
}

TEST("records: a flood of records without data is refused") {
  for (const auto &[inner, type] : {std::pair<std::string, uint8_t>("", kDataType), {keyUpdate(false), kHandshakeType}}) {
    Rig rig;
    int n = 0;
    while (rig.open(rig.sealed(inner, type)).kind == Opened::Kind::nothing) {
      if (type == kHandshakeType) rig.peer.update();
      CHECK(++n <= 32);
    }
    EQUAL(n, 32);
  }
}
