#include "plan.h"
#include "carrier.h"
#include "listener.h"
#include "loop.h"
#include "stream-end.h"
#include "tcp-end.h"
#include <arpa/inet.h>
#include <charconv>
#include <ctime>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace aq {

namespace {

int64_t realtime() {
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return int64_t(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

template <typename Number> bool takeNumber(std::string_view &text, Number &number) {
  std::string_view piece;
  if (!takePiece(text, piece)) return false;
  return std::from_chars(piece.data(), piece.data() + piece.size(), number).ptr == piece.data() + piece.size();
}

bool takeText(std::string_view &text, std::string &to) {
  std::string_view piece;
  if (!takePiece(text, piece)) return false;
  to = piece;
  return true;
}

std::string addressOf(std::string_view ip, std::string_view port) {
  std::string address;
  const bool v6 = ip.find(':') != std::string_view::npos;
  if (v6) address += '[';
  address += ip;
  if (v6) address += ']';
  address += ':';
  address += port;
  return address;
}

// As ztunnel/proxy/accept.ts shows addresses.
std::string textOf(const sockaddr_storage &address) {
  char text[INET6_ADDRSTRLEN] = "";
  uint16_t port = 0;
  if (address.ss_family == AF_INET) {
    const auto &v4 = reinterpret_cast<const sockaddr_in &>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto &v6 = reinterpret_cast<const sockaddr_in6 &>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
    else inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    port = ntohs(v6.sin6_port);
  }
  return addressOf(text, std::to_string(port));
}

// Where a captured connection wanted to go; else where it came to, which no plan of captured ones is about.
std::string destinationOf(int fd) {
  static constexpr int kOriginalDst = 80; // SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST
  sockaddr_storage address{};
  for (const int level : {IPPROTO_IP, IPPROTO_IPV6}) {
    socklen_t size = level == IPPROTO_IP ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (getsockopt(fd, level, kOriginalDst, &address, &size) == 0) return textOf(address);
  }
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size) != 0) return "";
  return textOf(address);
}

// `for="address:port"` without the port, where that is one: who reads it takes the rest as it is.
std::string_view portIn(std::string_view forwarded) {
  static constexpr std::string_view start = "for=\"";
  if (!forwarded.starts_with(start)) return {};
  const size_t quote = forwarded.find('"', start.size());
  if (quote == std::string_view::npos) return {};
  const size_t colon = forwarded.rfind(':', quote);
  if (colon == std::string_view::npos || colon < start.size()) return {};
  const std::string_view port = forwarded.substr(colon + 1, quote - colon - 1);
  uint16_t value = 0;
  const auto read = std::from_chars(port.data(), port.data() + port.size(), value);
  const bool whole = read.ec == std::errc() && read.ptr == port.data() + port.size();
  return whole && value > 0 && port[0] != '0' ? port : std::string_view();
}

bool isTraceparent(std::string_view text) {
  if (text.size() != 55 || !text.starts_with("00-")) return false;
  for (size_t i = 3; i < text.size(); i++) {
    const char c = text[i];
    const bool dash = i == 35 || i == 52;
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

} // namespace

std::string requestKey(std::span<const Header> headers) {
  std::string key;
  auto put = [&key](std::string_view part) {
    const auto size = static_cast<uint32_t>(part.size());
    key.append(reinterpret_cast<const char *>(&size), sizeof size);
    key.append(part);
  };
  for (const Header &h : headers) {
    put(h.name);
    const std::string_view port = h.name == "forwarded" ? portIn(h.value) : std::string_view();
    if (!port.empty()) {
      put(h.value.substr(0, size_t(port.data() - h.value.data())));
      put(h.value.substr(size_t(port.data() - h.value.data()) + port.size()));
    } else if (h.name != "traceparent" || !isTraceparent(h.value)) {
      put(h.value);
    }
  }
  return key;
}

Plans::~Plans() {
  for (auto &[key, plan] : plans_) plan->home = nullptr;
}

Plan *Plans::find(const std::string &key) const {
  const auto found = plans_.find(key);
  return found == plans_.end() ? nullptr : found->second;
}

void Plans::put(Plan *plan) {
  Plan *&place = plans_[plan->key];
  if (place != nullptr) place->home = nullptr;
  place = plan;
  plan->home = this;
}

void Plans::remove(Plan *plan) { plans_.erase(plan->key); }

void Attempt::ask(Loop &loop) const {
  loop.event({.type = int(question),
              .slot = asker.slot,
              .generation = asker.generation,
              .a = downstream.slot,
              .b = downstream.generation,
              .c = fd},
             asked);
}

void Attempt::begun(Loop &loop, uint32_t counters) const {
  loop.eventWithNext({.type = int(Event::begun),
                      .slot = plan.slot,
                      .generation = plan.generation,
                      .a = downstream.slot,
                      .b = downstream.generation,
                      .c = int32_t(counters)},
                     who);
}

void Attempt::missed(Loop &loop, int status) const {
  loop.eventWithNext({.type = int(Event::missed),
                      .slot = plan.slot,
                      .generation = plan.generation,
                      .a = downstream.slot,
                      .b = downstream.generation,
                      .c = status},
                     who);
}

Plan::~Plan() {
  if (home != nullptr) home->remove(this);
}

void Plan::close() {
  if (dead) return;
  if (home != nullptr) std::exchange(home, nullptr)->remove(this);
  // Behind the last that it began. What it began and does not stand yet is asked.
  loop_.giveUpAttemptsOf(id);
  loop_.event({.type = int(Event::closed), .slot = id.slot, .generation = id.generation});
  loop_.bury(this);
}

bool Plan::holds() const { return !dead && generation_ == loop_.generation() && realtime() < until_; }

bool Plan::takeTerm(std::string_view &text) {
  int64_t left = 0;
  if (!takeNumber(text, generation_) || !takeNumber(text, left)) return false;
  until_ = realtime() + left;
  return true;
}

std::unique_ptr<Attempt> Plan::attempt(Event question, Id asker, Id downstream, int fd, std::vector<uint8_t> asked,
                                       std::vector<uint8_t> who) const {
  return std::make_unique<Attempt>(
      Attempt{question, id, generation_, asker, downstream, fd, std::move(asked), std::move(who)});
}

void OutPlan::make(Loop &loop, const Message &m, std::string_view text) {
  auto *plan = new OutPlan(loop);
  loop.objects().put(m.id(), plan);
  std::string source, target, port;
  const bool whole = plan->takeTerm(text) && takeText(text, source) && takeText(text, target) && takeText(text, port) &&
                     takeNumber(text, plan->tunnel_.slot) && takeNumber(text, plan->tunnel_.generation) &&
                     takeNumber(text, plan->highestFd_) && takeText(text, plan->forwarded_);
  auto *listener = dynamic_cast<Listener *>(loop.objects().find({m.a, m.b}));
  if (!whole || listener == nullptr || !plan->holds()) return;
  plan->most_ = size_t(m.c);
  plan->headers_ = text;
  plan->key = source + '>' + addressOf(target, port);
  listener->plans.put(plan);
}

bool OutPlan::serve(Loop &loop, Listener &listener, TcpEnd &app, int fd, std::string_view ip, uint16_t port,
                    const std::vector<uint8_t> &asked) {
  auto *plan = static_cast<OutPlan *>(listener.plans.find(std::string(ip) + '>' + destinationOf(fd)));
  if (plan == nullptr || !plan->holds() || fd > plan->highestFd_) return false;
  auto *carrier = dynamic_cast<Carrier *>(loop.objects().find(plan->tunnel_));
  if (carrier == nullptr) return false;
  const std::string portText = std::to_string(port);
  const std::string forwarded = "for=\"" + addressOf(ip, portText) + '"' + plan->forwarded_;
  std::string trace = "00-";
  loop.randomHex(trace, 16);
  trace += '-';
  loop.randomHex(trace, 8);
  trace += "-00";
  std::vector<Header> headers;
  takeHeaders(plan->headers_, headers);
  headers.push_back({"forwarded", forwarded});
  headers.push_back({"traceparent", trace});
  StreamEnd *stream = carrier->open(headers, plan->most_);
  if (stream == nullptr) return false;
  std::vector<uint8_t> who;
  putPiece(who, portText);
  putPiece(who, trace);
  stream->attempt(plan->attempt(Event::accepted, listener.id, app.id, fd, asked, std::move(who)), "");
  return true;
}

void InPlan::make(Loop &loop, const Message &m, std::string_view text) {
  auto *plan = new InPlan(loop);
  loop.objects().put(m.id(), plan);
  size_t pieces = 0;
  const bool whole = plan->takeTerm(text) && takeNumber(text, plan->stock_.slot) &&
                     takeNumber(text, plan->stock_.generation) && takeText(text, plan->ip_) &&
                     takeNumber(text, plan->port_) && takeText(text, plan->bind_) && takeNumber(text, pieces);
  auto *carrier = dynamic_cast<Carrier *>(loop.objects().find({m.a, m.b}));
  if (!whole || carrier == nullptr || !plan->holds()) return;
  std::vector<Header> headers;
  Header h;
  for (size_t i = 0; i + 1 < pieces && takePiece(text, h.name) && takePiece(text, h.value); i += 2) headers.push_back(h);
  plan->answer_ = text;
  plan->key = requestKey(headers);
  carrier->plans.put(plan);
}

bool InPlan::serve(Loop &loop, Carrier &carrier, StreamEnd &stream, std::span<const Header> headers,
                   const std::vector<uint8_t> &asked) {
  auto *plan = static_cast<InPlan *>(carrier.plans.find(requestKey(headers)));
  if (plan == nullptr || !plan->holds()) return false;
  auto *stock = dynamic_cast<Stock *>(loop.objects().find(plan->stock_));
  const int fd = stock == nullptr ? -1 : stock->take();
  if (fd < 0) return false;
  auto *app = new TcpEnd(loop, fd);
  loop.objects().add(app);
  if (!plan->bind_.empty() && !app->bindTo(plan->bind_)) {
    app->close();
    return false;
  }
  std::vector<uint8_t> who;
  for (const Header &h : headers)
    if (h.name == "traceparent") putPiece(who, h.value);
  app->attempt(plan->attempt(Event::request, carrier.id, stream.id, 0, asked, std::move(who)), plan->answer_);
  app->dial(plan->ip_, plan->port_);
  return true;
}

Stock::~Stock() {
  for (const int fd : fds_) ::close(fd);
}

void Stock::close() {
  if (!dead) loop_.bury(this);
}

int Stock::take() {
  if (fds_.empty()) return -1;
  const int fd = fds_.back();
  fds_.pop_back();
  if (++taken_ >= kTold || fds_.empty())
    loop_.eventWithNext({.type = int(Event::taken), .slot = id.slot, .generation = id.generation, .a = std::exchange(taken_, 0)});
  return fd;
}

} // namespace aq
