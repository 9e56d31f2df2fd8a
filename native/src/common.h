// What all groups of the addon share: errors that name their system call, descriptors that close themselves, and threads that
// enter a network namespace and end there.
#pragma once
#include <cerrno>
#include <functional>
#include <napi.h>
#include <string>
#include <unistd.h>
#include <utility>

// A failed system call. Thrown on any thread; becomes a NativeError of native/addon.ts at the border to JavaScript.
struct SysError {
  int err;
  std::string syscall;
  std::string detail;
};

[[noreturn]] inline void fail(const std::string &syscall, const std::string &detail = "") {
  throw SysError{errno, syscall, detail};
}

template <typename T> T check(T result, const char *syscall) {
  if (result < 0) fail(syscall);
  return result;
}

class UniqueFd {
public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(UniqueFd &&other) noexcept : fd_(other.release()) {}
  UniqueFd &operator=(UniqueFd &&other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  UniqueFd(const UniqueFd &) = delete;
  UniqueFd &operator=(const UniqueFd &) = delete;
  ~UniqueFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

private:
  int fd_;
};

// Runs `body` on a new thread inside the namespace and waits for it. Its SysError is thrown again here.
void inNetns(int netns, const std::function<void()> &body);
// Runs `body` on a new thread in the caller's namespace.
void onThread(const std::function<void()> &body);

using Function = Napi::Value (*)(const Napi::CallbackInfo &);
// Makes `function` a property of `exports`; a SysError it throws becomes an Error with code, errno and syscall.
void exportFunction(Napi::Object exports, const char *name, Function function);

Napi::Error toNativeError(Napi::Env env, const SysError &error);

inline int intArg(const Napi::CallbackInfo &info, size_t i) { return info[i].As<Napi::Number>().Int32Value(); }
inline std::string stringArg(const Napi::CallbackInfo &info, size_t i) { return info[i].As<Napi::String>().Utf8Value(); }

void registerSock(Napi::Object exports);
void registerNetns(Napi::Object exports);
void registerRouting(Napi::Object exports);
void registerLinks(Napi::Object exports);
void registerSeqpacket(Napi::Object exports);
void registerPoll(Napi::Object exports);
void registerBpf(Napi::Object exports);
void registerDiag(Napi::Object exports);
void registerNft(Napi::Object exports);
void registerStdio(Napi::Object exports);
void registerEngine(Napi::Object exports);
