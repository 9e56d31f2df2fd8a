#include "tunnel.h"
#include "../h2/session.h"
#include "../tls/handshake.h"
#include "row.h"
#include <cstring>
#include <optional>
#include <stdexcept>

namespace aq {
namespace {

constexpr uint8_t kNoApplicationProtocol = 120;
/** The largest record before the keys are known: TLS 1.2's. */
constexpr size_t kMaxHandshakeRecord = 16384 + 2048;

/** Raised with every change of what is written. */
constexpr uint32_t kStateVersion = 1;
/** "AQTN" */
constexpr uint32_t kStateMark = 0x4e545141;
constexpr size_t kMostCarried = kRecordHeader + kMaxPlaintext + 256;

/** What a tunnel is made by. */
struct Head {
  Role role;
  TunnelLimits limits;

  template <class State> void transfer(State &s) {
    uint32_t mark = kStateMark, version = kStateVersion;
    s.number(mark, 0, UINT32_MAX);
    s.number(version, 0, UINT32_MAX);
    StateReader::check(mark == kStateMark, "it is no state of a tunnel");
    StateReader::check(version == kStateVersion, "it is of another version");
    bool server = role == Role::server;
    s.flag(server);
    role = server ? Role::server : Role::client;
    s.number(limits.streamWindow, kDefaultWindow, kMaxWindow);
    s.number(limits.connectionWindow, kDefaultWindow, kMaxWindow);
    s.number(limits.maxFrame, kMaxPlaintext, (1 << 24) - 1);
    s.number(limits.maxHeaderList, 0, 1 << 24);
    s.number(limits.maxStreams, 0, 1 << 20);
    s.number(limits.recordsPerKey, 1, int64_t(1) << 32);
  }
};

bool looksLikeTls(const uint8_t *header) {
  return header[0] >= 20 && header[0] <= 23 && header[1] == 3 && read16(header + 3) <= kMaxHandshakeRecord;
}

} // namespace

class Tunnel::Impl final : public SessionOwner {
public:
  Impl(Tunnel &tunnel, Role role, const TunnelLimits &limits, RowPool &rows, TunnelHandler &handler)
      : tunnel_(tunnel), role_(role), limits_(limits), handler_(handler), unread_(rows.unread), row_(rows) {}

  void begin(std::shared_ptr<TlsContext> context) {
    context_ = std::move(context);
    handshake_.emplace(*context_);
  }

  void begin(std::unique_ptr<Records> records) {
    secure(std::move(records));
    startSession();
  }

  void start() {
    if (role_ == Role::client && handshake_) guarded([&] { step({}); });
  }

  // ---- hand-over

  SecretBytes freeze() {
    auto *own = dynamic_cast<OwnRecords *>(records_.get());
    if (frozen_ || phase_ != Phase::open || !own || !session_->canMove()) return {};
    flush();
    // A library that failed has ended it.
    if (phase_ != Phase::open) return {};
    try {
      StateWriter s;
      Head head{role_, limits_};
      head.transfer(s);
      Suite suite = own->suite();
      transferSuite(s, suite);
      own->transfer(s);
      row_.save(s);
      session_->save(s);
      s.bytes(carry_, kMostCarried);
      SecretBytes state = s.take();
      own->freeze(true);
      frozen_ = true;
      return state;
    } catch (const std::logic_error &) {
      // Beyond what a reader takes, as a counter of 2^53 bytes is.
      return {};
    } catch (const std::bad_alloc &) {
      return {};
    }
  }

  void thaw() {
    if (!frozen_) return;
    frozen_ = false;
    static_cast<OwnRecords &>(*records_).freeze(false);
  }

  void restore(StateReader &s) {
    Suite suite{};
    transferSuite(s, suite);
    Secret empty;
    empty.size = suite == Suite::aes256 ? 48 : 32;
    auto own = std::make_unique<OwnRecords>(role_, suite, empty, empty, limits_.recordsPerKey);
    own->transfer(s);
    secure(std::move(own));
    row_.restore(s);
    session_.emplace(role_, limits_, row_, unread_, tunnel_, handler_, *this);
    session_->restore(s);
    s.bytes(carry_, kMostCarried);
    s.end();
    phase_ = Phase::open;
    protocol_ = "TLSv1.3";
    suite_ = suite == Suite::aes256 ? "TLS_AES_256_GCM_SHA384" : "TLS_AES_128_GCM_SHA256";
  }

  Role role() const { return role_; }
  bool frozen() const { return frozen_; }

  bool wantsRead() const { return !frozen_ && (phase_ == Phase::handshake || phase_ == Phase::open); }
  size_t carried() const { return carry_.size(); }
  void carry(uint8_t *to) {
    if (carry_.empty()) return;
    memcpy(to, carry_.data(), carry_.size());
    // One large rest is no reason to keep its memory.
    if (carry_.capacity() > 2 * kMaxPlaintext) std::vector<uint8_t>().swap(carry_);
    carry_.clear();
  }

  void feed(uint8_t *data, size_t size, uint64_t now) {
    now_ = now;
    guarded([&] {
      size_t at = 0;
      while (wantsRead() && size - at >= kRecordHeader) {
        const size_t length = kRecordHeader + read16(data + at + 3);
        if (phase_ == Phase::handshake && !looksLikeTls(data + at)) return noTls({data + at, size - at});
        if (phase_ == Phase::open && length > kRecordHeader + records_->maxRecord()) {
          return failTls({.kind = Opened::Kind::failed, .alert = RECORD_OVERFLOW, .reason = "a record that is too long"});
        }
        if (size - at < length) break;
        if (phase_ == Phase::handshake) step({data + at, length});
        else record(data + at, length);
        at += length;
      }
      if (phase_ != Phase::ended) carry_.insert(carry_.end(), data + at, data + size);
    });
  }

  void endOfInput() {
    guarded([&] {
      if (phase_ == Phase::ended || frozen_) return;
      if (phase_ != Phase::open) return end({TunnelFailure::Kind::truncated, -1, "the peer closed during the handshake"}, -1);
      if (!carry_.empty()) return session_->fail(TunnelFailure::Kind::truncated, NO_ERROR, "the peer closed within a record");
      inputEnded();
    });
  }

  void flush() {
    if (frozen_) return;
    guarded([&] { row_.flush(); });
  }

  void wrote(size_t size) {
    if (frozen_) return;
    guarded([&] {
      const bool empty = row_.wrote(size);
      if (session_) session_->onRowMoved(empty);
    });
  }

  void accepted() {
    if (phase_ != Phase::verifying) return;
    guarded([&] {
      secure(handshake_->records(limits_.ownRecords, limits_.recordsPerKey));
      handshake_.reset();
      startSession();
    });
  }

  void fail(uint8_t alert, std::string reason) {
    if (phase_ == Phase::ended || frozen_) return;
    guarded([&] {
      if (phase_ == Phase::open) {
        refusal_ = alert;
        return session_->fail(TunnelFailure::Kind::tls, INTERNAL_ERROR, std::move(reason));
      }
      if (phase_ == Phase::verifying) secure(handshake_->records(limits_.ownRecords, limits_.recordsPerKey));
      end({TunnelFailure::Kind::tls, alert, std::move(reason)}, alert);
    });
  }

  /** Runs a command of an open session; `otherwise` when there is none. */
  template <class Result, class Use> Result command(Result otherwise, Use use) {
    if (!session_ || frozen_) return otherwise;
    Result result = otherwise;
    guarded([&] { result = use(*session_); });
    return result;
  }
  template <class Use> void command(Use use) {
    if (session_ && !frozen_) guarded([&] { use(*session_); });
  }

  const Session *session() const { return session_ ? &*session_ : nullptr; }
  OutputRow &row() { return row_; }
  std::string_view protocol() const { return protocol_; }
  std::string_view suite() const { return suite_; }

  void onSessionFailed(TunnelFailure failure) override {
    const uint8_t alert = failure.kind == TunnelFailure::Kind::tls ? refusal_ : uint8_t(CLOSE_NOTIFY);
    if (failure.kind == TunnelFailure::Kind::tls) failure.alertOrCode = alert;
    end(std::move(failure), alert);
  }

  void onDrained() override {
    phase_ = Phase::ended;
    carry_.clear();
    row_.finish(CLOSE_NOTIFY);
    handler_.onClosed(tunnel_);
  }

private:
  template <class State> static void transferSuite(State &s, Suite &suite) {
    uint8_t number = uint8_t(suite);
    s.number(number, uint8_t(Suite::aes256), uint8_t(Suite::aes128));
    suite = Suite(number);
  }

  enum class Phase { handshake, verifying, open, ended };

  /** Whatever the libraries or the allocator refuse ends this tunnel alone. */
  template <class Use> void guarded(Use use) {
    try {
      use();
    } catch (const std::bad_alloc &) {
      collapse("out of memory");
    } catch (const std::runtime_error &e) {
      collapse(e.what());
    }
  }

  void collapse(const char *reason) {
    if (phase_ == Phase::ended) return;
    phase_ = Phase::ended;
    if (session_) session_->abandon();
    handler_.onFailed(tunnel_, {TunnelFailure::Kind::http2, INTERNAL_ERROR, reason});
  }

  /** `alert` -1: none. */
  void end(TunnelFailure failure, int alert) {
    if (phase_ == Phase::ended) return;
    phase_ = Phase::ended;
    carry_.clear();
    if (alert >= 0 && records_) row_.finish(uint8_t(alert));
    handler_.onFailed(tunnel_, failure);
  }

  void secure(std::unique_ptr<Records> records) {
    records_ = std::move(records);
    row_.secure(*records_);
  }

  void startSession() {
    phase_ = Phase::open;
    session_.emplace(role_, limits_, row_, unread_, tunnel_, handler_, *this);
    session_->start();
  }

  // ---- handshake

  /** Gives OpenSSL one record, and takes what it answers. */
  void step(Bytes record) {
    const Handshake::State state = handshake_->feed(record);
    uint8_t out[4096];
    while (const size_t n = handshake_->output(out, sizeof out)) row_.putRaw({out, n});
    switch (state) {
      case Handshake::State::going: return;
      case Handshake::State::failed: return end({TunnelFailure::Kind::tls, handshake_->alert(), handshake_->reason()}, -1);
      case Handshake::State::done: break;
    }
    protocol_ = handshake_->protocol();
    suite_ = handshake_->suite();
    phase_ = Phase::verifying;
    if (handshake_->alpn() != "h2") return fail(kNoApplicationProtocol, "it does not speak h2");
    handler_.onHandshaken(tunnel_, handshake_->chain(), handshake_->alpn());
  }

  /** OpenSSL knows best what to say to bytes that are no TLS. */
  void noTls(Bytes bytes) {
    step(bytes);
    if (phase_ == Phase::handshake) end({TunnelFailure::Kind::tls, DECODE_ERROR, "it does not speak TLS"}, -1);
  }

  // ---- records

  void record(uint8_t *at, size_t size) {
    Opened opened = records_->open(at, size);
    switch (opened.kind) {
      case Opened::Kind::data: return session_->receive(opened.data, now_);
      case Opened::Kind::nothing: return;
      case Opened::Kind::closeNotify: return inputEnded();
      case Opened::Kind::failed: return failTls(std::move(opened));
    }
  }

  void failTls(Opened opened) {
    session_->abandon();
    end({TunnelFailure::Kind::tls, opened.alert, std::move(opened.reason)}, opened.received ? -1 : opened.alert);
  }

  void inputEnded() {
    if (!session_->ready()) return session_->fail(TunnelFailure::Kind::truncated, NO_ERROR, "the peer closed before its SETTINGS");
    if (session_->streams() > 0) return session_->fail(TunnelFailure::Kind::truncated, NO_ERROR, "the peer closed with streams open");
    session_->goaway(NO_ERROR, true);
  }

  Tunnel &tunnel_;
  const Role role_;
  const TunnelLimits limits_;
  TunnelHandler &handler_;
  std::shared_ptr<TlsContext> context_;
  Phase phase_ = Phase::handshake;
  std::optional<Handshake> handshake_;
  std::unique_ptr<Records> records_;
  Unread &unread_;
  OutputRow row_;
  std::optional<Session> session_;
  std::vector<uint8_t> carry_;
  uint64_t now_ = 0;
  uint8_t refusal_ = 0;
  bool frozen_ = false;
  std::string_view protocol_, suite_;
};

Tunnel::Tunnel(std::shared_ptr<TlsContext> context, const TunnelLimits &limits, RowPool &rows, TunnelHandler &handler)
    : impl_(std::make_unique<Impl>(*this, context->role(), limits, rows, handler)) {
  impl_->begin(std::move(context));
}

Tunnel::Tunnel(Role role, std::unique_ptr<Records> records, const TunnelLimits &limits, RowPool &rows, TunnelHandler &handler)
    : impl_(std::make_unique<Impl>(*this, role, limits, rows, handler)) {
  impl_->begin(std::move(records));
}

Tunnel::Tunnel(Bytes state, RowPool &rows, TunnelHandler &handler) {
  StateReader s(state);
  Head head{};
  head.transfer(s);
  impl_ = std::make_unique<Impl>(*this, head.role, head.limits, rows, handler);
  impl_->restore(s);
}

Tunnel::~Tunnel() = default;
void Tunnel::start() { impl_->start(); }
bool Tunnel::wantsRead() const { return impl_->wantsRead(); }
size_t Tunnel::carried() const { return impl_->carried(); }
void Tunnel::carry(uint8_t *to) { impl_->carry(to); }
void Tunnel::feed(uint8_t *data, size_t size, uint64_t now) { impl_->feed(data, size, now); }
void Tunnel::endOfInput() { impl_->endOfInput(); }
void Tunnel::flush() { impl_->flush(); }
Bytes Tunnel::output() const { return impl_->frozen() ? Bytes() : impl_->row().output(); }
void Tunnel::wrote(size_t size) { impl_->wrote(size); }
void Tunnel::accepted() { impl_->accepted(); }
void Tunnel::fail(uint8_t alert, std::string reason) { impl_->fail(alert, std::move(reason)); }

Stream *Tunnel::open(std::span<const Header> headers) {
  return impl_->command(static_cast<Stream *>(nullptr), [&](Session &s) { return s.open(headers); });
}
void Tunnel::respond(Stream &stream, int status, std::span<const Header> headers, bool end) {
  impl_->command([&](Session &s) { s.respond(stream, status, headers, end); });
}
size_t Tunnel::room(Stream &stream) {
  return impl_->command(size_t(0), [&](Session &s) { return s.room(stream); });
}
int Tunnel::prepare(Stream &stream, size_t most, iovec *holes, int max) {
  return impl_->command(0, [&](Session &s) { return s.prepare(stream, most, holes, max); });
}
void Tunnel::commit(Stream &stream, size_t size) {
  impl_->command([&](Session &s) { s.commit(stream, size); });
}
size_t Tunnel::write(Stream &stream, Bytes bytes) {
  constexpr int kHoles = 8;
  size_t written = 0;
  while (written < bytes.size()) {
    iovec holes[kHoles];
    const int n = prepare(stream, bytes.size() - written, holes, kHoles);
    if (n == 0) break;
    size_t size = 0;
    for (int i = 0; i < n; i++) {
      memcpy(holes[i].iov_base, bytes.data() + written + size, holes[i].iov_len);
      size += holes[i].iov_len;
    }
    commit(stream, size);
    written += size;
  }
  return written;
}
void Tunnel::end(Stream &stream) {
  impl_->command([&](Session &s) { s.end(stream); });
}
void Tunnel::reset(Stream &stream, uint32_t code) {
  impl_->command([&](Session &s) { s.reset(stream, code); });
}
void Tunnel::release(Stream &stream) {
  impl_->command([&](Session &s) { s.release(stream); });
}
void Tunnel::consumed(Stream &stream, size_t size) {
  impl_->command([&](Session &s) { s.consumed(stream, size); });
}
void Tunnel::ping() {
  impl_->command([](Session &s) { s.ping(); });
}
void Tunnel::goaway(uint32_t code, bool graceful) {
  impl_->command([&](Session &s) { s.goaway(code, graceful); });
}
SecretBytes Tunnel::freeze() { return impl_->freeze(); }
void Tunnel::thaw() { impl_->thaw(); }
Role Tunnel::role() const { return impl_->role(); }
Stream *Tunnel::find(uint32_t id) const { return impl_->session() ? impl_->session()->find(id) : nullptr; }
std::vector<uint32_t> Tunnel::ids() const { return impl_->session() ? impl_->session()->ids() : std::vector<uint32_t>(); }
size_t Tunnel::queued() const { return impl_->row().queued(); }
uint64_t Tunnel::unconsumed() const { return impl_->session() ? impl_->session()->unconsumed() : 0; }
size_t Tunnel::streams() const { return impl_->session() ? impl_->session()->streams() : 0; }
uint32_t Tunnel::peerMaxStreams() const { return impl_->session() ? impl_->session()->peerMaxStreams() : 0; }
std::string_view Tunnel::protocol() const { return impl_->protocol(); }
std::string_view Tunnel::suite() const { return impl_->suite(); }

} // namespace aq
