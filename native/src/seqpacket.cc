// SOCK_SEQPACKET unix sockets with SCM_RIGHTS: single packets; queues and callbacks are in native/seqpacket.ts.
#include "common.h"
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <vector>

namespace {

constexpr size_t kMaxPacket = 128 * 1024;
constexpr size_t kMaxFds = 253; // SCM_MAX_FD of the kernel
constexpr int kType = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;

sockaddr_un addressOf(const std::string &path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.size() >= sizeof a.sun_path) throw SysError{ENAMETOOLONG, "socket", path + " is longer than 107 bytes"};
  memcpy(a.sun_path, path.c_str(), path.size() + 1);
  return a;
}

Napi::Value seqpacketListen(const Napi::CallbackInfo &info) {
  const std::string path = stringArg(info, 0);
  const sockaddr_un a = addressOf(path);
  UniqueFd fd(check(socket(AF_UNIX, kType, 0), "socket"));
  struct stat st;
  if (lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode)) unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr *>(&a), sizeof a) != 0) fail("bind", path);
  if (chmod(path.c_str(), 0600) != 0) fail("chmod", path);
  check(listen(fd.get(), 16), "listen");
  return Napi::Number::New(info.Env(), fd.release());
}

Napi::Value seqpacketConnect(const Napi::CallbackInfo &info) {
  const std::string path = stringArg(info, 0);
  const sockaddr_un a = addressOf(path);
  UniqueFd fd(check(socket(AF_UNIX, kType, 0), "socket"));
  if (connect(fd.get(), reinterpret_cast<const sockaddr *>(&a), sizeof a) != 0) fail("connect", path);
  return Napi::Number::New(info.Env(), fd.release());
}

Napi::Value seqpacketPair(const Napi::CallbackInfo &info) {
  int pair[2];
  check(socketpair(AF_UNIX, kType, 0, pair), "socketpair");
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0u, pair[0]);
  result.Set(1u, pair[1]);
  return result;
}

Napi::Value acceptSocket(const Napi::CallbackInfo &info) {
  const int fd = accept4(intArg(info, 0), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) return Napi::Number::New(info.Env(), fd);
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return info.Env().Undefined();
  fail("accept4");
}

// Of the process that connected, or that made the pair or called listen (unix(7)).
Napi::Value peerCredentials(const Napi::CallbackInfo &info) {
  ucred peer{};
  socklen_t size = sizeof peer;
  check(getsockopt(intArg(info, 0), SOL_SOCKET, SO_PEERCRED, &peer, &size), "getsockopt SO_PEERCRED");
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pid", Napi::Number::New(info.Env(), peer.pid));
  result.Set("uid", Napi::Number::New(info.Env(), peer.uid));
  return result;
}

Napi::Value sendPacket(const Napi::CallbackInfo &info) {
  const auto data = info[1].As<Napi::Uint8Array>();
  const auto array = info[2].As<Napi::Array>();
  std::vector<int> fds;
  for (uint32_t i = 0; i < array.Length(); i++) fds.push_back(array.Get(i).As<Napi::Number>().Int32Value());
  if (fds.size() > kMaxFds) throw SysError{E2BIG, "sendmsg", "more than 253 descriptors"};

  iovec iov{const_cast<uint8_t *>(data.Data()), data.ByteLength()};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  if (!fds.empty()) {
    msg.msg_control = control;
    msg.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    memset(control, 0, msg.msg_controllen);
    cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  for (;;) {
    if (sendmsg(intArg(info, 0), &msg, MSG_NOSIGNAL) >= 0) return Napi::Boolean::New(info.Env(), true);
    if (errno == EAGAIN) return Napi::Boolean::New(info.Env(), false);
    if (errno != EINTR) fail("sendmsg");
  }
}

std::vector<UniqueFd> takeFds(msghdr &msg) {
  std::vector<UniqueFd> fds;
  for (cmsghdr *c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

Napi::Value receivePacket(const Napi::CallbackInfo &info) {
  static thread_local std::vector<char> buffer(kMaxPacket);
  iovec iov{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  msghdr msg{};
  ssize_t size;
  do {
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof control;
    size = recvmsg(intArg(info, 0), &msg, MSG_CMSG_CLOEXEC);
    // ECONNRESET, once: the peer ended without reading all of ours. What it had sent, and the end, are behind it.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0 && errno == EAGAIN) return info.Env().Undefined();
  check(size, "recvmsg");
  std::vector<UniqueFd> fds = takeFds(msg);
  if (msg.msg_flags & MSG_TRUNC) throw SysError{EMSGSIZE, "recvmsg", "the packet has more than 131072 bytes"};
  // The kernel drops descriptors silently where the process may open no more.
  if (msg.msg_flags & MSG_CTRUNC) throw SysError{EMFILE, "recvmsg", "not all descriptors of the packet fit"};
  if (size == 0) return info.Env().Null();

  Napi::Object packet = Napi::Object::New(info.Env());
  Napi::Uint8Array data = Napi::Uint8Array::New(info.Env(), static_cast<size_t>(size));
  memcpy(data.Data(), buffer.data(), static_cast<size_t>(size));
  Napi::Array array = Napi::Array::New(info.Env(), fds.size());
  packet.Set("data", data);
  packet.Set("fds", array);
  for (size_t i = 0; i < fds.size(); i++) array.Set(static_cast<uint32_t>(i), fds[i].release());
  return packet;
}

} // namespace

void registerSeqpacket(Napi::Object exports) {
  exportFunction(exports, "seqpacketListen", seqpacketListen);
  exportFunction(exports, "seqpacketConnect", seqpacketConnect);
  exportFunction(exports, "seqpacketPair", seqpacketPair);
  exportFunction(exports, "acceptSocket", acceptSocket);
  exportFunction(exports, "peerCredentials", peerCredentials);
  exportFunction(exports, "sendPacket", sendPacket);
  exportFunction(exports, "receivePacket", receivePacket);
}
