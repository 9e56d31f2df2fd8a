// Pipes and pseudo-terminals for the standard streams of processes. Node's own "pipes" are sockets, which /dev/stdout cannot open.
#include "common.h"
#include <cstdlib>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

static Napi::Value makePipe(const Napi::CallbackInfo &info) {
  int fds[2];
  check(pipe2(fds, O_CLOEXEC), "pipe2");
  UniqueFd read(fds[0]);
  UniqueFd write(fds[1]);
  // Whoever runs at the far end may open it again by its name.
  check(fchown(fds[1], static_cast<uid_t>(intArg(info, 0)), static_cast<gid_t>(-1)), "fchown");
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, Napi::Number::New(info.Env(), read.release()));
  pair.Set(1u, Napi::Number::New(info.Env(), write.release()));
  return pair;
}

static Napi::Value openTerminal(const Napi::CallbackInfo &info) {
  UniqueFd terminal(check(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), "open"));
  check(grantpt(terminal.get()), "grantpt");
  check(unlockpt(terminal.get()), "unlockpt");
  char name[64];
  if (ptsname_r(terminal.get(), name, sizeof name) != 0) fail("ptsname_r");
  UniqueFd process(check(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC), "open"));
  check(fchown(process.get(), static_cast<uid_t>(intArg(info, 0)), static_cast<gid_t>(-1)), "fchown");
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, Napi::Number::New(info.Env(), terminal.release()));
  pair.Set(1u, Napi::Number::New(info.Env(), process.release()));
  return pair;
}

static Napi::Value resizeTerminal(const Napi::CallbackInfo &info) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(intArg(info, 1));
  size.ws_row = static_cast<unsigned short>(intArg(info, 2));
  check(ioctl(intArg(info, 0), TIOCSWINSZ, &size), "ioctl");
  return info.Env().Undefined();
}

void registerStdio(Napi::Object exports) {
  exportFunction(exports, "makePipe", makePipe);
  exportFunction(exports, "openTerminal", openTerminal);
  exportFunction(exports, "resizeTerminal", resizeTerminal);
}
