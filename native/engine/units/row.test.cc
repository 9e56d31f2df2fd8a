#include "../tunnel/row.h"
#include "check.h"
#include "end.h"
#include "frames.h"
#include "plain-records.h"
#include <cstring>

using namespace aq;
using namespace aq::units;

namespace {

/** Fills holes as readv would. */
size_t fill(OutputRow &row, std::string_view bytes) {
  iovec holes[64];
  const int n = row.prepare(bytes.size(), holes, 64);
  size_t done = 0;
  for (int i = 0; i < n; i++) {
    const size_t part = std::min(holes[i].iov_len, bytes.size() - done);
    memcpy(holes[i].iov_base, bytes.data() + done, part);
    done += part;
  }
  return done;
}

std::string drain(OutputRow &row, size_t step = SIZE_MAX) {
  std::string all;
  for (;;) {
    row.flush();
    const Bytes out = row.output();
    if (out.empty()) return PlainRecords::unwrap(all);
    const size_t n = std::min(step, out.size());
    all += asText(out.first(n));
    row.wrote(n);
  }
}

std::string dataOf(const std::string &plain) {
  std::string all;
  for (const Frame &f : parseFrames(plain)) {
    if (f.type == FrameType::data) all += f.payload;
  }
  return all;
}

} // namespace

TEST("row: bytes come out as they were put in, at every fill and with short reads") {
  RowPool pool;
  PlainRecords records;
  for (size_t size : {1, 100, 16374, 16375, 16376, 32750, 32751, 100000, 500000}) {
    for (size_t shortBy : {0, 1, 20000}) {
      OutputRow row(pool);
      row.secure(records);
      std::string want;
      for (int round = 0; round < 3; round++) {
        const std::string bytes = pattern(size, uint32_t(round));
        size_t n = fill(row, bytes);
        n -= std::min(n, shortBy);
        row.commit(7, n);
        want += bytes.substr(0, n);
        row.put(asBytes(windowUpdate(0, 5)));
      }
      const std::string plain = drain(row, 4096);
      CHECK(dataOf(plain) == want);
      for (const Frame &f : parseFrames(plain)) CHECK(f.payload.size() <= 16375);
    }
  }
  EQUAL(pool.lent(), 0u);
  EQUAL(pool.peak(), 1u);
}

TEST("row: DATA stops where room() says, control frames go on, and the order stays") {
  RowPool pool;
  PlainRecords records;
  OutputRow row(pool);
  row.secure(records);
  std::string want;
  for (uint32_t i = 0; row.dataRoom() > 0; i++) {
    const std::string bytes = pattern(20000, i);
    const size_t n = fill(row, bytes);
    row.commit(1, n);
    want += bytes.substr(0, n);
  }
  CHECK(want.size() >= 512u * 1024);
  const std::string control = frame(FrameType::ping, kAck, 0, pattern(8));
  for (int i = 0; i < 10000; i++) row.put(asBytes(control));
  CHECK(row.overflow() > 0);
  EQUAL(row.dataRoom(), 0u);
  row.finish(CLOSE_NOTIFY);
  const std::string plain = drain(row);
  CHECK(dataOf(plain) == want);
  EQUAL(parseFrames(plain).back().payload, pattern(8));
  EQUAL(pool.lent(), 0u);
}
