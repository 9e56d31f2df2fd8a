// Header blocks: decoded within bounds, judged, and the same again after a round through the encoder.
#include "../h2/headers.h"
#include "../h2/hpack.h"
#include "input.h"

using namespace aq;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input in(data, size);
  HeaderDecoder decoder;
  if (in.byte() & 1) decoder.tableAcknowledged();
  while (!in.empty()) {
    const std::string_view block = in.take(in.word());
    HeaderList list(4096);
    size_t bytes = 0;
    const bool ok = decoder.decode({reinterpret_cast<const uint8_t *>(block.data()), block.size()}, [&](Header h) {
      bytes += h.name.size() + h.value.size();
      return list.add(h);
    });
    // One field more than what is judged too much, which nghttp2 bounds.
    fuzz::holds(bytes <= 4 * 4096 + 2 * 65536);
    if (!ok) break;
    const auto view = list.view();
    (void)examineRequest(view);
    (void)examineResponse(view);
    (void)wellFormedTrailers(view);
    std::vector<uint8_t> encoded;
    HeaderEncoder encoder;
    encoder.encode(view, encoded);
    HeaderDecoder again;
    again.tableAcknowledged();
    HeaderList copy(4096);
    fuzz::holds(again.decode(encoded, [&](Header h) { return copy.add(h); }));
    const auto seen = copy.view();
    fuzz::holds(seen.size() == view.size());
    for (size_t i = 0; i < seen.size(); i++) fuzz::holds(seen[i].name == view[i].name && seen[i].value == view[i].value);
  }
  return 0;
}
