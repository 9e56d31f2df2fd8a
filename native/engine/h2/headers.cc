#include "headers.h"
#include <algorithm>
#include <array>

namespace aq {
namespace {

/** What RFC 9113 6.5.2 adds for each field. */
constexpr size_t kFieldOverhead = 32;

bool isNameChar(char c) {
  static constexpr auto table = [] {
    std::array<bool, 256> t{};
    for (char d = 'a'; d <= 'z'; d++) t[uint8_t(d)] = true;
    for (char d = '0'; d <= '9'; d++) t[uint8_t(d)] = true;
    for (char d : std::string_view("!#$%&'*+-.^_`|~")) t[uint8_t(d)] = true;
    return t;
  }();
  return table[uint8_t(c)];
}

bool isSpace(char c) { return c == ' ' || c == '\t'; }

bool valueAllowed(std::string_view v) {
  if (v.empty()) return true;
  if (isSpace(v.front()) || isSpace(v.back())) return false;
  return std::none_of(v.begin(), v.end(), [](char c) { return (uint8_t(c) < 0x20 && c != '\t') || c == 0x7f; });
}

bool fieldAllowed(const Header &h) {
  if (h.name.empty() || !std::all_of(h.name.begin(), h.name.end(), isNameChar)) return false;
  if (h.name == "te") return h.value == "trailers";
  static constexpr std::string_view ofConnections[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};
  return std::find(std::begin(ofConnections), std::end(ofConnections), h.name) == std::end(ofConnections);
}

/** -1 when it is none. Several are allowed if they agree. */
bool readContentLength(std::string_view value, int64_t &to) {
  if (value.empty() || value.size() > 18) return false;
  int64_t n = 0;
  for (char c : value) {
    if (c < '0' || c > '9') return false;
    n = n * 10 + (c - '0');
  }
  if (to >= 0 && to != n) return false;
  to = n;
  return true;
}

/** Walks the list; `pseudo` gets each pseudo header and says whether it may be there. */
template <class Pseudo> bool walk(std::span<const Header> list, int64_t &contentLength, Pseudo pseudo) {
  bool regular = false;
  for (const Header &h : list) {
    if (!valueAllowed(h.value)) return false;
    if (h.name.starts_with(':')) {
      if (regular || !pseudo(h)) return false;
      continue;
    }
    regular = true;
    if (!fieldAllowed(h)) return false;
    if (h.name == "content-length" && !readContentLength(h.value, contentLength)) return false;
  }
  return true;
}

bool setOnce(std::string_view &to, std::string_view value) {
  if (to.data()) return false;
  to = value;
  return true;
}

} // namespace

void HeaderList::clear() {
  // One large list is no reason to keep its memory.
  if (text_.capacity() > 4096) std::string().swap(text_);
  text_.clear();
  fields_.clear();
  view_.clear();
  bytes_ = 0;
  tooLarge_ = false;
}

bool HeaderList::add(Header h) {
  bytes_ += h.name.size() + h.value.size() + kFieldOverhead;
  if (bytes_ > maxBytes_ || fields_.size() >= kMaxFields) {
    tooLarge_ = true;
    return bytes_ <= 4 * maxBytes_;
  }
  fields_.push_back({uint32_t(h.name.size()), uint32_t(h.value.size())});
  text_.append(h.name).append(h.value);
  return true;
}

std::span<const Header> HeaderList::view() {
  view_.clear();
  const char *p = text_.data();
  for (const Field &f : fields_) {
    view_.push_back({{p, f.name}, {p + f.name, f.value}});
    p += f.name + f.value;
  }
  return view_;
}

RequestFacts examineRequest(std::span<const Header> list) {
  RequestFacts facts;
  std::string_view method, scheme, authority, path;
  const bool walked = walk(list, facts.contentLength, [&](const Header &h) {
    if (h.name == ":method") return setOnce(method, h.value);
    if (h.name == ":scheme") return setOnce(scheme, h.value);
    if (h.name == ":authority") return setOnce(authority, h.value);
    if (h.name == ":path") return setOnce(path, h.value);
    return false;
  });
  facts.connect = method == "CONNECT";
  if (facts.connect) facts.wellFormed = walked && !authority.empty() && !scheme.data() && !path.data() && facts.contentLength < 0;
  else facts.wellFormed = walked && !method.empty() && !scheme.empty() && !path.empty();
  return facts;
}

ResponseFacts examineResponse(std::span<const Header> list) {
  ResponseFacts facts;
  std::string_view status;
  const bool walked = walk(list, facts.contentLength, [&](const Header &h) { return h.name == ":status" && setOnce(status, h.value); });
  if (!walked || status.size() != 3) return facts;
  for (char c : status) {
    if (c < '0' || c > '9') return facts;
    facts.status = facts.status * 10 + (c - '0');
  }
  // 101 is HTTP/1's alone (RFC 9113 8.6).
  facts.wellFormed = facts.status >= 100 && facts.status != 101;
  return facts;
}

bool wellFormedTrailers(std::span<const Header> list) {
  int64_t contentLength = -1;
  return walk(list, contentLength, [](const Header &) { return false; });
}

} // namespace aq
