// Records that seal nothing: HTTP/2 alone is tested through them.
#pragma once
#include "../tls/records.h"
#include <cstring>
#include <string>

namespace aq::units {

class PlainRecords final : public Records {
public:
  size_t stride() const override { return kRecordHeader + kMaxPlaintext; }
  size_t maxRecord() const override { return kMaxPlaintext; }
  Opened open(uint8_t *record, size_t size) override {
    if (record[0] == 21) return {.kind = Opened::Kind::closeNotify};
    return {.kind = Opened::Kind::data, .data = Bytes(record + kRecordHeader, size - kRecordHeader)};
  }
  size_t seal(uint8_t *slot, size_t size, uint8_t *to) override {
    memmove(to + kRecordHeader, slot + kRecordHeader, size);
    header(to, 23, size);
    return kRecordHeader + size;
  }
  bool due() const override { return false; }
  size_t maintain(uint8_t *) override { return 0; }
  size_t alert(uint8_t code, uint8_t *to) override {
    header(to, 21, 1);
    to[kRecordHeader] = code;
    return kRecordHeader + 1;
  }

  /** What a peer would send. */
  static std::string wrap(std::string_view plain) {
    std::string result;
    while (!plain.empty()) {
      const std::string_view part = plain.substr(0, kMaxPlaintext);
      uint8_t h[kRecordHeader];
      header(h, 23, part.size());
      result.append(reinterpret_cast<char *>(h), sizeof h).append(part);
      plain.remove_prefix(part.size());
    }
    return result;
  }
  /** The plain text of records that were sealed so; alerts are left out. */
  static std::string unwrap(std::string_view records) {
    std::string result;
    while (records.size() >= kRecordHeader) {
      const auto *p = reinterpret_cast<const uint8_t *>(records.data());
      const size_t size = read16(p + 3);
      if (p[0] == 23) result.append(records.substr(kRecordHeader, size));
      records.remove_prefix(kRecordHeader + size);
    }
    return result;
  }

private:
  static void header(uint8_t *to, uint8_t type, size_t size) {
    to[0] = type;
    to[1] = to[2] = 3;
    write16(to + 3, uint32_t(size));
  }
};

} // namespace aq::units
