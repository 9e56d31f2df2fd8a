// Entry point of the addon, and the border between C++ errors and JavaScript errors.
#include "common.h"
#include <cstring>

Napi::Error toNativeError(Napi::Env env, const SysError &e) {
  const char *name = strerrorname_np(e.err);
  const std::string code = name != nullptr ? name : "E" + std::to_string(e.err);
  std::string message = e.syscall + ": " + code + " (" + strerror(e.err) + ")";
  if (!e.detail.empty()) message += ": " + e.detail;
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", code);
  error.Set("errno", Napi::Number::New(env, e.err));
  error.Set("syscall", e.syscall);
  return error;
}

void exportFunction(Napi::Object exports, const char *name, Function function) {
  auto guarded = [function](const Napi::CallbackInfo &info) -> Napi::Value {
    try {
      return function(info);
    } catch (const SysError &e) {
      throw toNativeError(info.Env(), e);
    }
  };
  exports.Set(name, Napi::Function::New(exports.Env(), guarded, name));
}

static Napi::Object init(Napi::Env, Napi::Object exports) {
  registerSock(exports);
  registerNetns(exports);
  registerRouting(exports);
  registerLinks(exports);
  registerSeqpacket(exports);
  registerPoll(exports);
  registerBpf(exports);
  registerDiag(exports);
  registerNft(exports);
  registerStdio(exports);
  registerEngine(exports);
  return exports;
}

NODE_API_MODULE(aquifer, init)
