// HTTP/2: a peer that writes anything, against a handler that does anything; output stays well-formed and bounded.
#include "../units/end.h"
#include "../units/frames.h"
#include "../units/plain-records.h"
#include "input.h"

using namespace aq;
using namespace aq::units;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input in(data, size);
  const uint8_t how = in.byte();
  const Role role = how & 1 ? Role::client : Role::server;
  TunnelLimits limits;
  limits.streamWindow = limits.connectionWindow = 70'000;
  limits.maxStreams = 4;
  End end(role, limits, std::make_unique<PlainRecords>());
  end.consume = how & 2;
  end.answer = how & 4;
  std::string out;
  const auto give = [&](std::string_view plain, size_t chunk = 0) {
    end.give(PlainRecords::wrap(plain), chunk);
    end.now += 3;
    fuzz::holds(end.tunnel->queued() < 3u << 20);
    fuzz::holds(end.tunnel->unconsumed() <= 5u * 70'000);
    fuzz::holds(role == Role::client || end.tunnel->streams() <= limits.maxStreams);
    if (how & 8) out += end.take();
  };
  if (how & 16) give((role == Role::server ? std::string(kPreface) : std::string()) + settings() + settingsAck());
  while (!in.empty() && !end.failure && !end.closed) {
    const uint8_t op = in.byte();
    Stream *s = nullptr;
    if (!end.streams.empty()) {
      auto it = end.streams.begin();
      std::advance(it, op % end.streams.size());
      s = it->second;
    }
    switch (op >> 4) {
      case 0: end.open(); break;
      case 1:
        if (s) end.tunnel->write(*s, asBytes(std::string(in.word(), 'w')));
        break;
      case 2:
        if (s) end.tunnel->end(*s);
        break;
      case 3:
        if (s) end.drop(*end.tunnel, *s);
        break;
      case 4:
        if (s) end.tunnel->consumed(*s, in.word());
        break;
      case 5:
        if (s) end.tunnel->respond(*s, 200, {}, op & 1);
        break;
      case 6: end.tunnel->goaway(NO_ERROR, op & 1); break;
      case 7: end.tunnel->ping(); break;
      case 8: give(in.take(in.word()), 1 + in.byte()); break;
      default: {
        // A frame with a header that fits it.
        const auto type = FrameType(in.byte() % 11);
        const uint8_t flags = in.byte(), id = in.byte();
        give(frame(type, flags, id, in.take(in.byte())));
      }
    }
  }
  out += end.take();
  std::string plain = PlainRecords::unwrap(out);
  if (role == Role::client) {
    fuzz::holds(plain.starts_with(kPreface));
    plain.erase(0, kPrefaceSize);
  }
  std::string_view rest = plain;
  while (!rest.empty()) {
    fuzz::holds(rest.size() >= kFrameHeaderSize);
    const FrameHeader h = FrameHeader::read(reinterpret_cast<const uint8_t *>(rest.data()));
    fuzz::holds(h.length <= 16384 && uint8_t(h.type) <= 9 && rest.size() >= kFrameHeaderSize + h.length);
    rest.remove_prefix(kFrameHeaderSize + h.length);
  }
  return 0;
}
