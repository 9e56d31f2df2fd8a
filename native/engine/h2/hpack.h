// HPACK (RFC 7541) by the coder of nghttp2 that Node exports, without a dynamic table: no state outlives a block.
#pragma once
#include "../bytes.h"
#include "stream.h"
#include <functional>
#include <memory>
#include <vector>

struct nghttp2_hd_deflater;
struct nghttp2_hd_inflater;

namespace aq {

class HeaderEncoder {
public:
  /** std::bad_alloc. */
  HeaderEncoder();
  /** Appends one block. */
  void encode(std::span<const Header>, std::vector<uint8_t> &to);

private:
  struct Free {
    void operator()(nghttp2_hd_deflater *) const;
  };
  std::unique_ptr<nghttp2_hd_deflater, Free> deflater_;
};

class HeaderDecoder {
public:
  /** Until the peer has acknowledged a table size of 0 it may use 4,096 bytes. std::bad_alloc. */
  HeaderDecoder();
  /** It has. */
  void tableAcknowledged();
  /** Takes over from one whose peer had acknowledged it, and said so in a block or not. */
  void resume();
  /** False when the block is malformed; the connection cannot go on then. `each` returns false to stop, which counts as that. */
  bool decode(Bytes block, const std::function<bool(Header)> &each);

private:
  struct Free {
    void operator()(nghttp2_hd_inflater *) const;
  };
  std::unique_ptr<nghttp2_hd_inflater, Free> inflater_;
};

} // namespace aq
