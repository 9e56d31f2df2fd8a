#include "hpack.h"
#include <new>
#include <sys/types.h>

// From nghttp2's public header (lib/includes/nghttp2/nghttp2.h), which Node does not ship though it exports the functions.
// These forms exist in every version since 1.4.
extern "C" {
struct nghttp2_nv {
  uint8_t *name, *value;
  size_t namelen, valuelen;
  uint8_t flags;
};
int nghttp2_hd_deflate_new(nghttp2_hd_deflater **, size_t maxTableSize);
void nghttp2_hd_deflate_del(nghttp2_hd_deflater *);
ssize_t nghttp2_hd_deflate_hd(nghttp2_hd_deflater *, uint8_t *, size_t, const nghttp2_nv *, size_t);
size_t nghttp2_hd_deflate_bound(nghttp2_hd_deflater *, const nghttp2_nv *, size_t);
int nghttp2_hd_inflate_new(nghttp2_hd_inflater **);
void nghttp2_hd_inflate_del(nghttp2_hd_inflater *);
int nghttp2_hd_inflate_change_table_size(nghttp2_hd_inflater *, size_t);
ssize_t nghttp2_hd_inflate_hd2(nghttp2_hd_inflater *, nghttp2_nv *, int *flags, const uint8_t *, size_t, int final);
int nghttp2_hd_inflate_end_headers(nghttp2_hd_inflater *);
}

namespace aq {
namespace {

enum { kFinal = 1, kEmit = 2 };

uint8_t *bytes(std::string_view s) { return const_cast<uint8_t *>(reinterpret_cast<const uint8_t *>(s.data())); }
std::string_view text(const uint8_t *p, size_t size) { return {reinterpret_cast<const char *>(p), size}; }

} // namespace

void HeaderEncoder::Free::operator()(nghttp2_hd_deflater *d) const { nghttp2_hd_deflate_del(d); }
void HeaderDecoder::Free::operator()(nghttp2_hd_inflater *i) const { nghttp2_hd_inflate_del(i); }

HeaderEncoder::HeaderEncoder() {
  nghttp2_hd_deflater *d = nullptr;
  if (nghttp2_hd_deflate_new(&d, 0) != 0) throw std::bad_alloc();
  deflater_.reset(d);
}

void HeaderEncoder::encode(std::span<const Header> headers, std::vector<uint8_t> &to) {
  std::vector<nghttp2_nv> list;
  list.reserve(headers.size());
  for (const Header &h : headers) list.push_back({bytes(h.name), bytes(h.value), h.name.size(), h.value.size(), 0});
  const size_t before = to.size();
  to.resize(before + nghttp2_hd_deflate_bound(deflater_.get(), list.data(), list.size()));
  const ssize_t n = nghttp2_hd_deflate_hd(deflater_.get(), to.data() + before, to.size() - before, list.data(), list.size());
  if (n < 0) throw std::bad_alloc();
  to.resize(before + size_t(n));
}

HeaderDecoder::HeaderDecoder() {
  nghttp2_hd_inflater *i = nullptr;
  if (nghttp2_hd_inflate_new(&i) != 0) throw std::bad_alloc();
  inflater_.reset(i);
}

void HeaderDecoder::tableAcknowledged() {
  if (nghttp2_hd_inflate_change_table_size(inflater_.get(), 0) != 0) throw std::bad_alloc();
}

void HeaderDecoder::resume() {
  tableAcknowledged();
  // It would refuse a block that does not begin with the change of size, which the peer may have sent long ago.
  static constexpr uint8_t size0[] = {0x20};
  if (!decode(size0, [](Header) { return false; })) throw std::bad_alloc();
}

bool HeaderDecoder::decode(Bytes block, const std::function<bool(Header)> &each) {
  for (;;) {
    nghttp2_nv nv{};
    int flags = 0;
    const ssize_t n = nghttp2_hd_inflate_hd2(inflater_.get(), &nv, &flags, block.data(), block.size(), 1);
    if (n < 0) return false;
    block = block.subspan(size_t(n));
    if ((flags & kEmit) && !each({text(nv.name, nv.namelen), text(nv.value, nv.valuelen)})) return false;
    if (flags & kFinal) break;
    if (!(flags & kEmit) && block.empty()) break;
  }
  return nghttp2_hd_inflate_end_headers(inflater_.get()) == 0;
}

} // namespace aq
