// Network namespaces. setns(2) acts on the calling thread alone, so every visit is made by a thread that ends with it.
#include "common.h"
#include <exception>
#include <fcntl.h>
#include <optional>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <system_error>
#include <thread>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

void onThread(const std::function<void()> &body) {
  std::optional<SysError> failed;
  try {
    std::thread([&] {
      try {
        body();
      } catch (const SysError &e) {
        failed = e;
      }
    }).join();
  } catch (const std::system_error &e) {
    throw SysError{e.code().value(), "pthread_create", ""};
  }
  if (failed) throw *failed;
}

void inNetns(int netns, const std::function<void()> &body) {
  onThread([&] {
    check(setns(netns, CLONE_NEWNET), "setns");
    body();
  });
}

static Napi::Value openNetns(const Napi::CallbackInfo &info) {
  const std::string path = stringArg(info, 0);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", path);
  return Napi::Number::New(info.Env(), fd);
}

static Napi::Value newNetns(const Napi::CallbackInfo &info) {
  int fd = -1;
  onThread([&] {
    check(unshare(CLONE_NEWNET), "unshare");
    fd = check(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open");
  });
  return Napi::Number::New(info.Env(), fd);
}

static Napi::Value netnsCookie(const Napi::CallbackInfo &info) {
  uint64_t cookie = 0;
  inNetns(intArg(info, 0), [&] {
    const UniqueFd s(check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    socklen_t size = sizeof cookie;
    check(getsockopt(s.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size), "getsockopt");
  });
  return Napi::BigInt::New(info.Env(), cookie);
}

static Napi::Value netnsIdentity(const Napi::CallbackInfo &info) {
  struct stat st;
  check(fstat(intArg(info, 0), &st), "fstat");
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("dev", Napi::BigInt::New(info.Env(), static_cast<uint64_t>(st.st_dev)));
  o.Set("ino", Napi::BigInt::New(info.Env(), static_cast<uint64_t>(st.st_ino)));
  return o;
}

void registerNetns(Napi::Object exports) {
  exportFunction(exports, "openNetns", openNetns);
  exportFunction(exports, "newNetns", newNetns);
  exportFunction(exports, "netnsCookie", netnsCookie);
  exportFunction(exports, "netnsIdentity", netnsIdentity);
}
