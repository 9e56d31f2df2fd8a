// Ends TCP sockets of a network namespace from outside of their processes, by sock_diag.
#include "common.h"
#include <arpa/inet.h>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace {

struct Request {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};

struct Reply {
  nlmsghdr header{};
  nlmsgerr error{};
};

void setAddress(__be32 to[4], const std::string &ip, int family) {
  if (inet_pton(family, ip.c_str(), to) != 1) throw SysError{EINVAL, "inet_pton", ip};
}

// SOCK_DESTROY of one socket. False: there is none.
bool destroyHere(const Request &request) {
  const UniqueFd fd(check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), "socket"));
  check(send(fd.get(), &request, sizeof request, 0), "send");
  Reply reply;
  check(recv(fd.get(), &reply, sizeof reply, 0), "recv");
  if (reply.header.nlmsg_type != NLMSG_ERROR) throw SysError{EPROTO, "SOCK_DESTROY", ""};
  const int err = -reply.error.error;
  if (err == 0) return true;
  if (err == ENOENT) return false;
  throw SysError{err, "SOCK_DESTROY", ""};
}

// (netns, {family, local, localPort, remote, remotePort, cookie})
Napi::Value destroyTcpSocket(const Napi::CallbackInfo &info) {
  const Napi::Object o = info[1].As<Napi::Object>();
  const auto port = [&](const char *name) {
    return htons(static_cast<uint16_t>(o.Get(name).As<Napi::Number>().Uint32Value()));
  };
  const int family = o.Get("family").As<Napi::Number>().Int32Value() == 4 ? AF_INET : AF_INET6;
  Request r;
  r.header.nlmsg_len = sizeof r;
  r.header.nlmsg_type = SOCK_DESTROY;
  r.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  r.body.sdiag_family = static_cast<uint8_t>(family);
  r.body.sdiag_protocol = IPPROTO_TCP;
  r.body.idiag_states = ~0u;
  setAddress(r.body.id.idiag_src, o.Get("local").As<Napi::String>().Utf8Value(), family);
  setAddress(r.body.id.idiag_dst, o.Get("remote").As<Napi::String>().Utf8Value(), family);
  r.body.id.idiag_sport = port("localPort");
  r.body.id.idiag_dport = port("remotePort");
  bool lossless = false;
  const uint64_t cookie = o.Get("cookie").As<Napi::BigInt>().Uint64Value(&lossless);
  r.body.id.idiag_cookie[0] = static_cast<uint32_t>(cookie);
  r.body.id.idiag_cookie[1] = static_cast<uint32_t>(cookie >> 32);
  bool found = false;
  inNetns(intArg(info, 0), [&] { found = destroyHere(r); });
  return Napi::Boolean::New(info.Env(), found);
}

} // namespace

void registerDiag(Napi::Object exports) { exportFunction(exports, "destroyTcpSocket", destroyTcpSocket); }
