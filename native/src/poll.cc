// class Poll: a uv_poll handle for JavaScript, so readiness of a descriptor on Node's own event loop.
#include "common.h"
#include <uv.h>

namespace {

class Poll : public Napi::ObjectWrap<Poll> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Poll",
                       {InstanceMethod("watch", &Poll::watch), InstanceMethod("unref", &Poll::unref),
                        InstanceMethod("close", &Poll::close)});
  }

  explicit Poll(const Napi::CallbackInfo &info)
      : Napi::ObjectWrap<Poll>(info), callback_(Napi::Persistent(info[1].As<Napi::Function>())),
        context_(info.Env(), "aquifer.poll") {
    uv_loop_t *loop = nullptr;
    napi_get_uv_event_loop(info.Env(), &loop);
    require(uv_poll_init(loop, &handle_, intArg(info, 0)));
    handle_.data = this;
    Ref(); // libuv owns us until its close callback
  }

private:
  void watch(const Napi::CallbackInfo &info) {
    if (closing_) return;
    const int events = intArg(info, 0);
    const int wanted = ((events & 1) ? UV_READABLE : 0) | ((events & 2) ? UV_WRITABLE : 0);
    require(wanted == 0 ? uv_poll_stop(&handle_) : uv_poll_start(&handle_, wanted, onReady));
  }

  void unref(const Napi::CallbackInfo &) {
    if (!closing_) uv_unref(handle());
  }

  void close(const Napi::CallbackInfo &) {
    if (closing_) return;
    closing_ = true;
    uv_poll_stop(&handle_);
    uv_close(handle(), [](uv_handle_t *h) {
      auto *self = static_cast<Poll *>(h->data);
      const Napi::HandleScope scope(self->Env());
      self->callback_.Reset();
      self->Unref();
    });
  }

  static void onReady(uv_poll_t *handle, int status, int events) {
    auto *self = static_cast<Poll *>(handle->data);
    const Napi::Env env = self->Env();
    const Napi::HandleScope scope(env);
    const int ready = ((events & UV_READABLE) ? 1 : 0) | ((events & UV_WRITABLE) ? 2 : 0);
    try {
      // MakeCallback also runs the ticks and promises that the callback leaves behind.
      self->callback_.MakeCallback(self->Value(), {Napi::Number::New(env, status), Napi::Number::New(env, ready)},
                                   self->context_);
    } catch (const Napi::Error &e) {
      napi_fatal_exception(env, e.Value());
    }
  }

  void require(int result) {
    if (result != 0) throw toNativeError(Env(), SysError{-result, "uv_poll", ""});
  }

  uv_handle_t *handle() { return reinterpret_cast<uv_handle_t *>(&handle_); }

  uv_poll_t handle_{};
  Napi::FunctionReference callback_;
  Napi::AsyncContext context_;
  bool closing_ = false;
};

} // namespace

void registerPoll(Napi::Object exports) { exports.Set("Poll", Poll::define(exports.Env())); }
