// Sockets inside other network namespaces, and the socket calls that Node does not offer.
#include "common.h"
#include <arpa/inet.h>
#include <cstring>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <vector>

// linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h; those headers clash with netinet/in.h.
static constexpr int kOriginalDst = 80;

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;

  sockaddr *get() { return reinterpret_cast<sockaddr *>(&storage); }
  const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&storage); }
};

struct Spec {
  int family;
  int type;
  bool transparent;
  uint32_t mark;
  bool reuseAddr;
  bool reusePort;
  bool takeOver;
  bool v6Only;
  bool bound;
  Address bind;
  int backlog;
  bool noDelay;
  int keepAliveIdle;
  int keepAliveInterval;
  int keepAliveProbes;
  int userTimeout;
  int64_t owner;
};

// `family` 0 takes that of the address; an IPv4 address for an IPv6 socket becomes v4-mapped.
Address addressFrom(const Napi::Object &o, int family = 0) {
  const std::string ip = o.Get("ip").As<Napi::String>().Utf8Value();
  const uint16_t port = htons(static_cast<uint16_t>(o.Get("port").As<Napi::Number>().Uint32Value()));
  Address a;
  in_addr v4;
  const bool isV4 = inet_pton(AF_INET, ip.c_str(), &v4) == 1;
  if (isV4 && family != AF_INET6) {
    auto *in = reinterpret_cast<sockaddr_in *>(&a.storage);
    in->sin_family = AF_INET;
    in->sin_port = port;
    in->sin_addr = v4;
    a.size = sizeof *in;
    return a;
  }
  auto *in6 = reinterpret_cast<sockaddr_in6 *>(&a.storage);
  in6->sin6_family = AF_INET6;
  in6->sin6_port = port;
  if (isV4) {
    in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&in6->sin6_addr.s6_addr[12], &v4, 4);
  } else if (inet_pton(AF_INET6, ip.c_str(), &in6->sin6_addr) != 1) {
    throw SysError{EINVAL, "inet_pton", "not an IP address"};
  }
  a.size = sizeof *in6;
  return a;
}

// In canonical text: what inet_ntop writes is RFC 5952, and v4-mapped addresses are folded to IPv4.
Napi::Value addressTo(Napi::Env env, const Address &a) {
  char text[INET6_ADDRSTRLEN];
  uint16_t port;
  if (a.storage.ss_family == AF_INET) {
    const auto *in = reinterpret_cast<const sockaddr_in *>(&a.storage);
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    port = in->sin_port;
  } else if (a.storage.ss_family == AF_INET6) {
    const auto *in6 = reinterpret_cast<const sockaddr_in6 *>(&a.storage);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], text, sizeof text);
    else inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
    port = in6->sin6_port;
  } else {
    throw SysError{EAFNOSUPPORT, "getsockname", "not an IP socket"};
  }
  Napi::Object o = Napi::Object::New(env);
  o.Set("ip", text);
  o.Set("port", ntohs(port));
  return o;
}

Spec specFrom(const Napi::Object &o) {
  auto flag = [&](const char *name) { return o.Get(name).As<Napi::Boolean>().Value(); };
  Spec s;
  s.family = o.Get("family").As<Napi::Number>().Int32Value() == 4 ? AF_INET : AF_INET6;
  s.type = flag("stream") ? SOCK_STREAM : SOCK_DGRAM;
  s.transparent = flag("transparent");
  s.mark = o.Get("mark").As<Napi::Number>().Uint32Value();
  s.reuseAddr = flag("reuseAddr");
  s.reusePort = flag("reusePort");
  s.takeOver = flag("takeOver");
  s.v6Only = flag("v6Only");
  s.bound = o.Get("bind").IsObject();
  if (s.bound) s.bind = addressFrom(o.Get("bind").As<Napi::Object>(), s.family);
  s.backlog = o.Get("backlog").As<Napi::Number>().Int32Value();
  s.noDelay = flag("noDelay");
  s.keepAliveIdle = o.Get("keepAliveIdle").As<Napi::Number>().Int32Value();
  s.keepAliveInterval = o.Get("keepAliveInterval").As<Napi::Number>().Int32Value();
  s.keepAliveProbes = o.Get("keepAliveProbes").As<Napi::Number>().Int32Value();
  s.userTimeout = o.Get("userTimeout").As<Napi::Number>().Int32Value();
  s.owner = o.Get("owner").As<Napi::Number>().Int64Value();
  return s;
}

void setOption(int fd, int level, int name, int value, const char *what) {
  if (setsockopt(fd, level, name, &value, sizeof value) != 0) fail("setsockopt", what);
}

// Of the sockets that share an address, all that is new goes to the second by age. A choice that does not exist is no choice: where
// there is one socket only, it gets everything (net/core/sock_reuseport.c, "fall back to hash").
void takeOver(int fd) {
  sock_filter second = {BPF_RET | BPF_K, 0, 0, 1};
  const sock_fprog program = {1, &second};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
    fail("setsockopt", "SO_ATTACH_REUSEPORT_CBPF");
}

UniqueFd makeSocket(const Spec &s) {
  UniqueFd fd(check(socket(s.family, s.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  if (s.transparent) {
    if (s.family == AF_INET) {
      setOption(fd.get(), IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT");
      setOption(fd.get(), IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND");
    } else {
      setOption(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT");
      setOption(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND");
    }
  }
  if (s.mark != 0) setOption(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(s.mark), "SO_MARK");
  if (s.reuseAddr) setOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  if (s.reusePort) setOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  if (s.v6Only) setOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
  if (s.noDelay) setOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
  if (s.keepAliveIdle > 0) {
    setOption(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    setOption(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, s.keepAliveIdle, "TCP_KEEPIDLE");
    setOption(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, s.keepAliveInterval, "TCP_KEEPINTVL");
    setOption(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, s.keepAliveProbes, "TCP_KEEPCNT");
  }
  if (s.userTimeout > 0) setOption(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, s.userTimeout, "TCP_USER_TIMEOUT");
  if (s.bound) check(bind(fd.get(), s.bind.get(), s.bind.size), "bind");
  if (s.backlog > 0) check(listen(fd.get(), s.backlog), "listen");
  if (s.takeOver) takeOver(fd.get());
  return fd;
}

// Netfilter's owner matches look at the file system ids that made the socket, which Linux keeps for each thread. Asking with an
// id that does not exist returns the current one.
void becomeOwner(uint32_t id) {
  const long none = -1;
  syscall(SYS_setfsgid, id);
  syscall(SYS_setfsuid, id);
  if (static_cast<uint32_t>(syscall(SYS_setfsgid, none)) != id || static_cast<uint32_t>(syscall(SYS_setfsuid, none)) != id) {
    errno = EPERM;
    fail("setfsuid");
  }
}

// `netns` -1 is the caller's own, which takes no capability.
Napi::Value socketsInNetns(const Napi::CallbackInfo &info) {
  const Spec spec = specFrom(info[1].As<Napi::Object>());
  const int count = intArg(info, 2);
  if (count < 1 || count > 1024) throw SysError{EINVAL, "socket", "count must be 1 to 1024"};
  std::vector<UniqueFd> fds;
  const auto make = [&] {
    if (spec.owner >= 0) becomeOwner(static_cast<uint32_t>(spec.owner));
    for (int i = 0; i < count; i++) fds.push_back(makeSocket(spec));
  };
  const int netns = intArg(info, 0);
  if (netns < 0) onThread(make);
  else inNetns(netns, make);
  Napi::Array result = Napi::Array::New(info.Env(), fds.size());
  for (size_t i = 0; i < fds.size(); i++) result.Set(static_cast<uint32_t>(i), fds[i].release());
  return result;
}

Napi::Value bindSocket(const Napi::CallbackInfo &info) {
  const int fd = intArg(info, 0);
  int family = 0;
  socklen_t size = sizeof family;
  check(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size), "getsockopt");
  const Napi::Object o = info[1].As<Napi::Object>();
  const Address a = addressFrom(o, family);
  // An IPv4 option, but IPv6 sockets take it and honour it.
  if (o.Get("port").As<Napi::Number>().Uint32Value() == 0)
    setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT");
  check(bind(fd, a.get(), a.size), "bind");
  return info.Env().Undefined();
}

Napi::Value originalDestination(const Napi::CallbackInfo &info) {
  const int fd = intArg(info, 0);
  for (const int level : {IPPROTO_IP, IPPROTO_IPV6}) {
    Address a;
    a.size = level == IPPROTO_IP ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (getsockopt(fd, level, kOriginalDst, &a.storage, &a.size) == 0) return addressTo(info.Env(), a);
    // No such entry, no conntrack, or the socket's family does not know this level.
    if (errno != ENOENT && errno != ENOPROTOOPT && errno != EOPNOTSUPP) fail("getsockopt", "SO_ORIGINAL_DST");
  }
  return info.Env().Undefined();
}

Napi::Value socketName(const Napi::CallbackInfo &info) {
  Address a;
  check(getsockname(intArg(info, 0), a.get(), &a.size), "getsockname");
  return addressTo(info.Env(), a);
}

Napi::Value peerName(const Napi::CallbackInfo &info) {
  Address a;
  check(getpeername(intArg(info, 0), a.get(), &a.size), "getpeername");
  return addressTo(info.Env(), a);
}

Napi::Value closeFd(const Napi::CallbackInfo &info) {
  // Linux has released the descriptor even where close(2) reports EINTR.
  if (close(intArg(info, 0)) != 0 && errno != EINTR) fail("close");
  return info.Env().Undefined();
}

Napi::Value dupFd(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), check(fcntl(intArg(info, 0), F_DUPFD_CLOEXEC, 3), "fcntl"));
}

} // namespace

void registerSock(Napi::Object exports) {
  exportFunction(exports, "socketsInNetns", socketsInNetns);
  exportFunction(exports, "bindSocket", bindSocket);
  exportFunction(exports, "originalDestination", originalDestination);
  exportFunction(exports, "socketName", socketName);
  exportFunction(exports, "peerName", peerName);
  exportFunction(exports, "closeFd", closeFd);
  exportFunction(exports, "dupFd", dupFd);
}
