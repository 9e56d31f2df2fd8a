// Records: a peer that has the keys and seals anything, and a network that changes anything.
#include "../tls/own-records.h"
#include "input.h"
#include <cstring>
#include <string>

using namespace aq;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input in(data, size);
  const Role role = in.byte() & 1 ? Role::client : Role::server;
  Secret up, down;
  up.size = down.size = 32;
  memset(down.bytes, 1, 32);
  RecordKey peer(Suite::aes128, up, true);
  OwnRecords records(role, Suite::aes128, down, up, 8);
  uint8_t out[128];
  while (!in.empty()) {
    const uint8_t how = in.byte();
    // Up to a record that is too long.
    const size_t length = how & 1 ? in.byte() : in.word() % 17000;
    std::string record(kRecordHeader + length + 17, 0);
    const std::string_view inner = in.take(std::min<size_t>(length, 64));
    memcpy(record.data() + kRecordHeader, inner.data(), inner.size());
    auto *r = reinterpret_cast<uint8_t *>(record.data());
    const uint8_t type = how & 2 ? 22 : in.byte();
    const size_t sealed = peer.seal(r, length, type);
    fuzz::holds(sealed == record.size());
    bool touched = false;
    if (how & 4) {
      const size_t at = in.word() % sealed;
      const uint8_t bits = in.byte();
      r[at] = uint8_t(r[at] ^ bits);
      touched = bits != 0;
    }
    const Opened o = records.open(r, sealed);
    if (o.kind == Opened::Kind::data) {
      fuzz::holds(!touched && !o.data.empty() && o.data.size() <= kMaxPlaintext);
      fuzz::holds(o.data.data() == r + kRecordHeader && o.data.size() <= length);
    }
    if (o.kind == Opened::Kind::failed || o.kind == Opened::Kind::closeNotify) break;
    fuzz::holds(!touched);
    if (how & 8) peer.update();
    if (records.due()) fuzz::holds(records.maintain(out) == 5 + 5 + 17);
  }
  records.alert(CLOSE_NOTIFY, out);
  return 0;
}
