// class EngineLoop: the engine's thread as JavaScript sees it. Commands go in batches, events come in batches; none is looked at here.
#include "../../src/common.h"
#include "../loop/loop.h"
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <uv.h>

namespace {

using aq::Batch;
using aq::Loop;
using aq::Message;

// Loops that run: their threads must have ended before the process takes OpenSSL down.
std::mutex runningMutex;
std::set<std::unique_ptr<Loop> *> running;

void stopAll() {
  const std::lock_guard lock(runningMutex);
  for (auto *loop : running) loop->reset();
  running.clear();
}

class EngineLoop : public Napi::ObjectWrap<EngineLoop> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "EngineLoop",
        {InstanceMethod("submit", &EngineLoop::submit), InstanceMethod("counters", &EngineLoop::counters),
         InstanceMethod("addContext", &EngineLoop::addContext),
         InstanceMethod("removeContext", &EngineLoop::removeContext), InstanceMethod("raise", &EngineLoop::raise),
         InstanceMethod("ref", &EngineLoop::ref),
         InstanceMethod("unref", &EngineLoop::unref),
         StaticValue("abi", Napi::String::New(env, std::string(aq::kAbi)), napi_enumerable)});
  }

  explicit EngineLoop(const Napi::CallbackInfo &info)
      : Napi::ObjectWrap<EngineLoop>(info), onEvents_(Napi::Persistent(info[0].As<Napi::Function>())),
        onReceived_(Napi::Persistent(info[1].As<Napi::Function>())), context_(info.Env(), "aquifer.engine") {
    uv_loop_t *uv = nullptr;
    napi_get_uv_event_loop(info.Env(), &uv);
    uv_async_init(uv, &async_, [](uv_async_t *handle) { static_cast<EngineLoop *>(handle->data)->deliver(); });
    async_.data = this;
    uv_unref(reinterpret_cast<uv_handle_t *>(&async_));
    try {
      loop_ = std::make_unique<Loop>([this] { uv_async_send(&async_); }, intArg(info, 2));
    } catch (const std::exception &e) {
      throw Napi::Error::New(info.Env(), e.what());
    }
    static std::once_flag once;
    std::call_once(once, [] { std::atexit(stopAll); });
    const std::lock_guard lock(runningMutex);
    running.insert(&loop_);
    Ref(); // lives as long as its environment
    info.Env().AddCleanupHook([this] { stop(); });
  }

private:
  void stop() {
    const std::lock_guard lock(runningMutex);
    running.erase(&loop_);
    loop_.reset();
  }

  Loop &loop() {
    if (loop_ == nullptr) throw Napi::Error::New(Env(), "the engine has stopped");
    return *loop_;
  }

  void submit(const Napi::CallbackInfo &info) {
    const auto records = info[0].As<Napi::Int32Array>();
    const auto bytes = info[2].As<Napi::Uint8Array>();
    const size_t count = std::min(size_t(info[1].As<Napi::Number>().Uint32Value()), records.ElementLength() / 8);
    const size_t size = std::min(size_t(info[3].As<Napi::Number>().Uint32Value()), bytes.ElementLength());
    loop().submit(reinterpret_cast<const Message *>(records.Data()), count, bytes.Data(), size);
  }

  // Float64Array that the loop writes while it runs.
  Napi::Value counters(const Napi::CallbackInfo &info) {
    double *chunk = loop().counterChunk(info[0].As<Napi::Number>().Uint32Value());
    if (chunk == nullptr) throw Napi::Error::New(info.Env(), "too many relays");
    const size_t count = Loop::kCountersInChunk * 2;
    const auto buffer = Napi::ArrayBuffer::New(info.Env(), chunk, count * sizeof(double));
    return Napi::Float64Array::New(info.Env(), count, buffer, 0);
  }

  Napi::Value addContext(const Napi::CallbackInfo &info) {
    const auto o = info[0].As<Napi::Object>();
    auto text = [&](const char *name) { return o.Get(name).As<Napi::String>().Utf8Value(); };
    auto flag = [&](const char *name) { return o.Get(name).As<Napi::Boolean>().Value(); };
    auto number = [&](const char *name) { return o.Get(name).As<Napi::Number>().Uint32Value(); };
    aq::TlsSettings settings;
    settings.role = flag("server") ? aq::Role::server : aq::Role::client;
    settings.chainPem = text("chain");
    settings.keyPem = text("key");
    settings.rootsPem = text("roots");
    settings.tls12 = flag("tls12");
    settings.pqc = flag("pqc");
    aq::TunnelLimits limits;
    limits.streamWindow = number("streamWindow");
    limits.connectionWindow = number("connectionWindow");
    limits.maxFrame = number("maxFrame");
    limits.maxHeaderList = number("maxHeaderList");
    limits.maxStreams = number("maxStreams");
    try {
      return Napi::Number::New(info.Env(), loop().addContext(aq::TlsContext::make(settings), limits));
    } catch (const std::invalid_argument &e) {
      throw Napi::Error::New(info.Env(), e.what());
    }
  }

  void removeContext(const Napi::CallbackInfo &info) { loop().removeContext(intArg(info, 0)); }

  Napi::Value raise(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), loop().raise()); }

  void ref(const Napi::CallbackInfo &) { uv_ref(reinterpret_cast<uv_handle_t *>(&async_)); }
  void unref(const Napi::CallbackInfo &) { uv_unref(reinterpret_cast<uv_handle_t *>(&async_)); }

  void deliver() {
    if (loop_ == nullptr || !loop_->take(events_)) return;
    const Napi::Env env = Env();
    const Napi::HandleScope scope(env);
    const size_t numbers = events_.records.size() * 8;
    fit(records_, recordCapacity_, numbers, [&](size_t n) { return Napi::Int32Array::New(env, n); });
    fit(bytes_, byteCapacity_, events_.bytes.size(), [&](size_t n) { return Napi::Uint8Array::New(env, n); });
    auto records = records_.Value().As<Napi::Int32Array>();
    auto bytes = bytes_.Value().As<Napi::Uint8Array>();
    memcpy(records.Data(), events_.records.data(), numbers * sizeof(int32_t));
    if (!events_.bytes.empty()) memcpy(bytes.Data(), events_.bytes.data(), events_.bytes.size());
    const auto count = Napi::Number::New(env, double(events_.records.size()));
    const auto guarded = [&](auto call) {
      try {
        call();
      } catch (const Napi::Error &e) {
        napi_fatal_exception(env, e.Value());
      }
    };
    // MakeCallback also runs the ticks and promises that the callback leaves behind.
    guarded([&] { onEvents_.MakeCallback(Value(), {count, records, bytes}, context_); });
    guarded([&] { onReceived_.Call(Value(), {}); });
  }

  template <typename Make> void fit(Napi::ObjectReference &array, size_t &capacity, size_t wanted, Make make) {
    if (!array.IsEmpty() && wanted <= capacity) return;
    capacity = std::max<size_t>(wanted * 2, 8192);
    array = Napi::Persistent(make(capacity).template As<Napi::Object>());
  }

  Napi::FunctionReference onEvents_, onReceived_;
  Napi::AsyncContext context_;
  uv_async_t async_{};
  Batch events_;
  Napi::ObjectReference records_, bytes_;
  size_t recordCapacity_ = 0, byteCapacity_ = 0;
  // Last: its thread uses what stands above.
  std::unique_ptr<Loop> loop_;
};

} // namespace

void registerEngine(Napi::Object exports) { exports.Set("EngineLoop", EngineLoop::define(exports.Env())); }
