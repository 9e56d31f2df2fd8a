#include "../h2/headers.h"
#include "../h2/hpack.h"
#include "check.h"
#include "end.h"
#include "frames.h"

using namespace aq;
using namespace aq::units;

namespace {

using List = std::vector<Header>;
bool request(List list) { return examineRequest(list).wellFormed; }
bool response(List list) { return examineResponse(list).wellFormed; }
const Header method{":method", "CONNECT"}, authority{":authority", "a:1"};

} // namespace

TEST("headers: CONNECT has a method and an authority, nothing else of the kind") {
  CHECK(request({method, authority}));
  CHECK(request({method, authority, {"baggage", ""}, {"te", "trailers"}}));
  const List wrong[] = {{method},
                        {authority},
                        {{":method", ""}, authority},
                        {method, {":authority", ""}},
                        {method, authority, authority},
                        {method, method, authority},
                        {method, authority, {":scheme", "https"}},
                        {method, authority, {":path", "/"}},
                        {method, authority, {":protocol", "websocket"}},
                        {method, authority, {":status", "200"}},
                        {method, {"a", "b"}, authority},
                        {method, authority, {"content-length", "0"}}};
  for (const List &list : wrong) CHECK(!request(list));
  const Header get{":method", "GET"}, scheme{":scheme", "https"}, path{":path", "/"};
  CHECK(request({get, scheme, path}));
  CHECK(!request({get, scheme}));
  CHECK(!request({get, path}));
  CHECK(!request({get, scheme, {":path", ""}}));
}

TEST("headers: names, values and fields of connections are checked") {
  for (const Header &h : List{{"", "x"}, {"Upper", "x"}, {"a b", "x"}, {"a:b", "x"}, {"a\x7f", "x"}, {"a", "x\r"}, {"a", "x\ny"},
                              {"a", std::string_view("x\0y", 3)}, {"a", " x"}, {"a", "x "}, {"a", "\tx"}, {"connection", "close"},
                              {"keep-alive", "1"}, {"proxy-connection", "x"}, {"transfer-encoding", "chunked"}, {"upgrade", "h2c"},
                              {"te", "gzip"}}) {
    CHECK(!request({method, authority, h}));
  }
  for (const Header &h : List{{"a", "x y\tz"}, {"a-b_c.d~1", "\xc3\xa4"}}) CHECK(request({method, authority, h}));
}

TEST("headers: a response has one status") {
  CHECK(response({{":status", "200"}}));
  for (const char *bad : {"", "20", "2000", "0x1", "099", "101", "-20", "2 0"}) CHECK(!response({{":status", bad}}));
  CHECK(!response({{":status", "200"}, {":status", "200"}}));
  CHECK(!response({{":method", "GET"}, {":status", "200"}}));
  CHECK(!response({}));
  EQUAL(examineResponse(List{{":status", "404"}, {"content-length", "12"}}).contentLength, 12);
  for (const char *bad : {"", "x", "1x", "-1", "9999999999999999999"}) CHECK(!response({{":status", "200"}, {"content-length", bad}}));
  CHECK(!response({{":status", "200"}, {"content-length", "1"}, {"content-length", "2"}}));
}

TEST("headers: lists are bounded by bytes and fields") {
  HeaderList list(1000);
  CHECK(list.add({"a", std::string(900, 'x')}));
  CHECK(!list.tooLarge());
  CHECK(list.add({"a", std::string(900, 'x')}));
  CHECK(list.tooLarge());
  CHECK(!list.add({"a", std::string(4000, 'x')}));
  list.clear();
  for (int i = 0; i < 20; i++) list.add({"n", "v"});
  EQUAL(list.view().size(), 20u);
  EQUAL(std::string(list.view()[19].value), "v");
}

TEST("hpack: what is encoded is decoded, without a dynamic table at either end") {
  HeaderEncoder encoder;
  HeaderDecoder decoder;
  decoder.tableAcknowledged();
  std::vector<uint8_t> first, second;
  const List list{{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}, {"baggage", "k8s.pod.name=a"}};
  encoder.encode(list, first);
  EQUAL(int(first[0]), 0x20);
  encoder.encode(list, second);
  for (const auto &block : {first, second, second}) {
    List seen;
    std::string kept;
    CHECK(decoder.decode(block, [&](Header h) {
      kept.append(h.name).append("=").append(h.value).append(";");
      return true;
    }));
    EQUAL(kept, ":method=CONNECT;:authority=10.0.0.1:80;baggage=k8s.pod.name=a;");
  }
  CHECK(second.size() == first.size() - 1);
}

TEST("hpack: a table larger than what was acknowledged, references into nothing and cut blocks are refused") {
  const auto decodes = [](HeaderDecoder &d, std::string block) {
    return d.decode(asBytes(block), [](Header) { return true; });
  };
  HeaderDecoder fresh, zero, reference, cut, noUpdate;
  CHECK(decodes(fresh, std::string("\x3f\xe1\x1f", 3) + literals({{"a", "b"}})));
  zero.tableAcknowledged();
  CHECK(!decodes(zero, std::string("\x3f\xe1\x1f", 3) + literals({{"a", "b"}})));
  CHECK(!decodes(reference, "\xff\x80\x01"));
  CHECK(!decodes(cut, literals({{"abc", "def"}}).substr(0, 5)));
  noUpdate.tableAcknowledged();
  CHECK(!decodes(noUpdate, literals({{"a", "b"}})));
}
