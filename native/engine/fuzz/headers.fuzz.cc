// Header lists that no encoder would make: what passes has only names and values that are allowed.
#include "../h2/headers.h"
#include "input.h"

using namespace aq;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static constexpr std::string_view names[] = {":method", ":authority", ":scheme", ":path", ":status", "content-length", "te", "connection"};
  fuzz::Input in(data, size);
  std::vector<Header> list;
  while (!in.empty()) {
    const uint8_t how = in.byte();
    const std::string_view name = how & 8 ? in.take(how >> 4) : names[how & 7];
    list.push_back({name, in.take(in.byte() & 31)});
  }
  const RequestFacts request = examineRequest(list);
  const ResponseFacts response = examineResponse(list);
  if (!request.wellFormed && !response.wellFormed) return 0;
  fuzz::holds(!(request.wellFormed && response.wellFormed));
  for (const Header &h : list) {
    fuzz::holds(!h.name.empty() && h.name != "connection");
    for (char c : h.name) fuzz::holds(uint8_t(c) > 0x20 && uint8_t(c) < 0x7f && !(c >= 'A' && c <= 'Z'));
    for (char c : h.value) fuzz::holds(c != 0 && c != '\r' && c != '\n');
  }
  if (request.wellFormed && request.connect) fuzz::holds(request.contentLength < 0);
  if (response.wellFormed) fuzz::holds(response.status >= 100 && response.status <= 999);
  return 0;
}
