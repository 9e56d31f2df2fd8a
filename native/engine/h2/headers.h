// Header lists as HTTP/2 allows them (RFC 9113 8.2, 8.3, 8.5): anything else is malformed.
#pragma once
#include "stream.h"
#include <span>
#include <string>
#include <vector>

namespace aq {

/** A list that is read from a block: copied, and bounded. */
class HeaderList {
public:
  explicit HeaderList(size_t maxBytes) : maxBytes_(maxBytes) {}
  void clear();
  /** False once it would be pointless to go on: four times the limit. */
  bool add(Header);
  bool tooLarge() const { return tooLarge_; }
  /** Valid until the list changes. */
  std::span<const Header> view();

private:
  static constexpr size_t kMaxFields = 64;
  struct Field {
    uint32_t name, value;
  };
  size_t maxBytes_, bytes_ = 0;
  bool tooLarge_ = false;
  std::string text_;
  std::vector<Field> fields_;
  std::vector<Header> view_;
};

struct RequestFacts {
  bool wellFormed = false;
  bool connect = false;
  /** -1: none. */
  int64_t contentLength = -1;
};
RequestFacts examineRequest(std::span<const Header>);

struct ResponseFacts {
  bool wellFormed = false;
  /** 100 to 999. */
  int status = 0;
  int64_t contentLength = -1;
};
ResponseFacts examineResponse(std::span<const Header>);

/** No pseudo header among them. */
bool wellFormedTrailers(std::span<const Header>);

} // namespace aq
