// What capture needs of a pod's routing, spoken to the kernel in rtnetlink: for source address keeping (ebpf-datapath 4, variant B)
// one rule and one local default route a family, and three sysctls; for connections to the proxy by IPv6 a route to ::1 an interface.
#include "common.h"
#include <cstring>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <memory>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace {

// Before the main table (32766), where Istio has its own rule of the same meaning.
constexpr uint32_t kRulePriority = 32764;
constexpr uint32_t kLoopbackIndex = 1;

class Request {
public:
  Request(uint16_t type, uint16_t flags) {
    header()->nlmsg_len = NLMSG_HDRLEN;
    header()->nlmsg_type = type;
    header()->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
  }

  template <typename T> T *body() {
    T *at = reinterpret_cast<T *>(buffer_ + header()->nlmsg_len);
    header()->nlmsg_len += NLMSG_ALIGN(sizeof(T));
    return at;
  }

  template <typename T> void attribute(uint16_t type, const T &value) {
    auto *a = reinterpret_cast<rtattr *>(buffer_ + NLMSG_ALIGN(header()->nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(sizeof value);
    memcpy(RTA_DATA(a), &value, sizeof value);
    header()->nlmsg_len = NLMSG_ALIGN(header()->nlmsg_len) + RTA_ALIGN(a->rta_len);
  }

  nlmsghdr *header() { return reinterpret_cast<nlmsghdr *>(buffer_); }

private:
  alignas(NLMSG_ALIGNTO) char buffer_[256] = {};
};

// Sends one request and returns the errno of its acknowledgement, 0 for success.
int transact(int netlink, Request &request) {
  check(send(netlink, request.header(), request.header()->nlmsg_len, 0), "send");
  alignas(NLMSG_ALIGNTO) char reply[4096];
  const ssize_t size = check(recv(netlink, reply, sizeof reply, 0), "recv");
  const auto *h = reinterpret_cast<const nlmsghdr *>(reply);
  if (static_cast<size_t>(size) < NLMSG_LENGTH(sizeof(nlmsgerr)) || h->nlmsg_type != NLMSG_ERROR)
    throw SysError{EPROTO, "recv", "rtnetlink did not acknowledge"};
  return -reinterpret_cast<const nlmsgerr *>(NLMSG_DATA(h))->error;
}

Request ruleRequest(uint16_t type, uint16_t flags, uint8_t family, uint32_t mark, uint32_t table) {
  Request r(type, flags);
  auto *h = r.body<fib_rule_hdr>();
  h->family = family;
  h->action = FR_ACT_TO_TBL;
  r.attribute(FRA_PRIORITY, kRulePriority);
  r.attribute(FRA_FWMARK, mark);
  r.attribute(FRA_TABLE, table);
  return r;
}

Request routeRequest(uint16_t type, uint16_t flags, uint8_t family, uint32_t table) {
  Request r(type, flags);
  auto *m = r.body<rtmsg>();
  m->rtm_family = family;
  m->rtm_type = RTN_LOCAL;
  m->rtm_scope = RT_SCOPE_HOST;
  m->rtm_protocol = RTPROT_STATIC;
  r.attribute(RTA_TABLE, table);
  r.attribute(RTA_OIF, kLoopbackIndex);
  return r;
}

// The app connects to the proxy's ::1 from the pod's address. Once it has closed, the kernel acknowledges the proxy's FIN for it, and
// looks for a route to ::1 by the interface of that address alone (Linux 6.18): without this one the packet leaves by the default
// route, the proxy repeats its FIN for a minute, and a new connection from the same port is not answered meanwhile.
Request loopbackRequest(uint16_t type, uint16_t flags, uint32_t interface) {
  Request r(type, flags);
  auto *m = r.body<rtmsg>();
  m->rtm_family = AF_INET6;
  m->rtm_dst_len = 128;
  m->rtm_type = RTN_LOCAL;
  m->rtm_scope = RT_SCOPE_HOST;
  m->rtm_protocol = RTPROT_STATIC;
  r.attribute(RTA_TABLE, uint32_t{RT_TABLE_LOCAL});
  r.attribute(RTA_DST, in6addr_loopback);
  r.attribute(RTA_OIF, interface);
  return r;
}

template <typename F> void forEachInterface(F &&f) {
  const std::unique_ptr<struct if_nameindex, decltype(&if_freenameindex)> all(if_nameindex(), if_freenameindex);
  if (!all) fail("if_nameindex", "");
  for (const struct if_nameindex *i = all.get(); i->if_index != 0; i++) {
    if (i->if_index != kLoopbackIndex) f(i->if_index);
  }
}

void require(int err, int tolerated, const char *what) {
  if (err != 0 && err != tolerated) throw SysError{err, "rtnetlink", what};
}

void sysctl(const char *path, char value) {
  const UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (fd.get() < 0) fail("open", path);
  if (write(fd.get(), &value, 1) != 1) fail("write", path);
}

UniqueFd openNetlink() {
  return UniqueFd(check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "socket"));
}

bool ipv6IsOn() {
  const UniqueFd fd(open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_RDONLY | O_CLOEXEC));
  char value = '1';
  return fd.get() >= 0 && read(fd.get(), &value, 1) == 1 && value == '0';
}

Napi::Value setUpPodRouting(const Napi::CallbackInfo &info) {
  const uint32_t mark = info[1].As<Napi::Number>().Uint32Value();
  const uint32_t table = info[2].As<Napi::Number>().Uint32Value();
  const bool wantIpv6 = info[3].As<Napi::Boolean>().Value();
  inNetns(intArg(info, 0), [&] {
    const bool ipv6 = wantIpv6 && ipv6IsOn();
    const UniqueFd netlink = openNetlink();
    for (const uint8_t family : {AF_INET, AF_INET6}) {
      if (family == AF_INET6 && !ipv6) continue;
      Request route = routeRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family, table);
      require(transact(netlink.get(), route), 0, "add the local default route");
      Request rule = ruleRequest(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, mark, table);
      require(transact(netlink.get(), rule), EEXIST, "add the mark's rule");
    }
    if (ipv6) {
      forEachInterface([&](uint32_t interface) {
        Request route = loopbackRequest(RTM_NEWROUTE, NLM_F_CREATE, interface);
        const int err = transact(netlink.get(), route);
        // Interfaces that are down, or have no IPv6, have no connections by it.
        if (err != ENETDOWN && err != EACCES && err != EINVAL) require(err, EEXIST, "add the route to loopback");
      });
    }
    // The mark of a SYN goes over to the accepted socket, and that of any packet to the kernel's own replies (RST).
    sysctl("/proc/sys/net/ipv4/tcp_fwmark_accept", '1');
    sysctl("/proc/sys/net/ipv4/fwmark_reflect", '1');
    if (ipv6) sysctl("/proc/sys/net/ipv6/fwmark_reflect", '1');
  });
  return info.Env().Undefined();
}

Napi::Value tearDownPodRouting(const Napi::CallbackInfo &info) {
  const uint32_t mark = info[1].As<Napi::Number>().Uint32Value();
  const uint32_t table = info[2].As<Napi::Number>().Uint32Value();
  inNetns(intArg(info, 0), [&] {
    const bool ipv6 = ipv6IsOn();
    const UniqueFd netlink = openNetlink();
    for (const uint8_t family : {AF_INET, AF_INET6}) {
      if (family == AF_INET6 && !ipv6) continue;
      Request rule = ruleRequest(RTM_DELRULE, 0, family, mark, table);
      require(transact(netlink.get(), rule), ENOENT, "delete the mark's rule");
      Request route = routeRequest(RTM_DELROUTE, 0, family, table);
      require(transact(netlink.get(), route), ESRCH, "delete the local default route");
    }
    if (ipv6) {
      forEachInterface([&](uint32_t interface) {
        Request route = loopbackRequest(RTM_DELROUTE, 0, interface);
        require(transact(netlink.get(), route), ESRCH, "delete the route to loopback");
      });
    }
    sysctl("/proc/sys/net/ipv4/tcp_fwmark_accept", '0');
    sysctl("/proc/sys/net/ipv4/fwmark_reflect", '0');
    if (ipv6) sysctl("/proc/sys/net/ipv6/fwmark_reflect", '0');
  });
  return info.Env().Undefined();
}

} // namespace

void registerRouting(Napi::Object exports) {
  exportFunction(exports, "setUpPodRouting", setUpPodRouting);
  exportFunction(exports, "tearDownPodRouting", tearDownPodRouting);
}
