// Interfaces of a network namespace, and how large a packet they take before it is cut (BIG TCP), in rtnetlink.
#include "common.h"
#include <cstring>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <memory>
#include <net/if.h>
#include <optional>
#include <sys/socket.h>
#include <vector>

namespace {

// Numbers of the kernel's if_link.h, which the headers of Debian 12 do not have all: Linux 5.18, 6.0, 6.3, 6.3.
constexpr uint16_t kGsoMaxSize = 41, kGroMaxSize = 58, kTsoMaxSize = 59, kGsoIpv4MaxSize = 63, kGroIpv4MaxSize = 64;
constexpr uint16_t kSizes[] = {kGsoMaxSize, kGroMaxSize, kGsoIpv4MaxSize, kGroIpv4MaxSize};

struct Link {
  uint32_t index = 0;
  std::string name, kind;
  // Of a veth: the other end's index in its own namespace.
  uint32_t peer = 0;
  // The least and the greatest of kSizes; none where the kernel does not have all of them.
  std::optional<uint32_t> least, greatest;
  uint32_t most = 0;
};

uint32_t numberIn(const rtattr *a) {
  uint32_t value = 0;
  if (RTA_PAYLOAD(a) >= sizeof value) memcpy(&value, RTA_DATA(a), sizeof value);
  return value;
}

std::string textIn(const rtattr *a) {
  const auto *text = static_cast<const char *>(RTA_DATA(a));
  return {text, strnlen(text, RTA_PAYLOAD(a))};
}

template <typename F> void forEachAttribute(const rtattr *a, size_t size, F &&f) {
  for (int left = int(size); RTA_OK(a, left); a = RTA_NEXT(a, left)) f(a, a->rta_type & NLA_TYPE_MASK);
}

Link linkIn(const nlmsghdr *h) {
  Link link;
  const auto *info = static_cast<const ifinfomsg *>(NLMSG_DATA(h));
  link.index = uint32_t(info->ifi_index);
  uint32_t known = 0;
  forEachAttribute(IFLA_RTA(info), IFLA_PAYLOAD(h), [&](const rtattr *a, int type) {
    if (type == IFLA_IFNAME) link.name = textIn(a);
    else if (type == IFLA_LINK) link.peer = numberIn(a);
    else if (type == kTsoMaxSize) link.most = numberIn(a);
    else if (type == IFLA_LINKINFO)
      forEachAttribute(static_cast<const rtattr *>(RTA_DATA(a)), RTA_PAYLOAD(a), [&](const rtattr *inner, int kind) {
        if (kind == IFLA_INFO_KIND) link.kind = textIn(inner);
      });
    for (const uint16_t size : kSizes) {
      if (type != size) continue;
      const uint32_t value = numberIn(a);
      known++;
      link.least = link.least ? std::min(*link.least, value) : value;
      link.greatest = link.greatest ? std::max(*link.greatest, value) : value;
    }
  });
  if (known < std::size(kSizes)) link.least = link.greatest = std::nullopt;
  return link;
}

struct Request {
  nlmsghdr header{};
  ifinfomsg link{};
  struct {
    rtattr head;
    uint32_t value;
  } sizes[std::size(kSizes)] = {};
};

UniqueFd openNetlink() {
  return UniqueFd(check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "socket"));
}

// The answer's errno, 0 where it is none.
int transact(int netlink, const Request &request, std::vector<char> &reply) {
  check(send(netlink, &request, request.header.nlmsg_len, 0), "send");
  reply.resize(32 * 1024);
  const ssize_t size = check(recv(netlink, reply.data(), reply.size(), 0), "recv");
  const auto *h = reinterpret_cast<const nlmsghdr *>(reply.data());
  if (!NLMSG_OK(h, size)) throw SysError{EPROTO, "recv", "rtnetlink sent half an answer"};
  return h->nlmsg_type == NLMSG_ERROR ? -static_cast<const nlmsgerr *>(NLMSG_DATA(h))->error : 0;
}

Request requestFor(uint16_t type, uint32_t index) {
  Request r;
  r.header.nlmsg_type = type;
  r.header.nlmsg_flags = NLM_F_REQUEST;
  r.header.nlmsg_len = offsetof(Request, sizes);
  r.link.ifi_index = int(index);
  return r;
}

Napi::Value linkSizes(const Napi::CallbackInfo &info) {
  std::vector<Link> links;
  inNetns(intArg(info, 0), [&] {
    const std::unique_ptr<struct if_nameindex, decltype(&if_freenameindex)> all(if_nameindex(), if_freenameindex);
    if (!all) fail("if_nameindex", "");
    const UniqueFd netlink = openNetlink();
    std::vector<char> reply;
    for (const struct if_nameindex *i = all.get(); i->if_index != 0; i++) {
      // One that has gone since.
      if (transact(netlink.get(), requestFor(RTM_GETLINK, i->if_index), reply) != 0) continue;
      links.push_back(linkIn(reinterpret_cast<const nlmsghdr *>(reply.data())));
    }
  });
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env, links.size());
  for (size_t i = 0; i < links.size(); i++) {
    const Link &link = links[i];
    Napi::Object o = Napi::Object::New(env);
    o.Set("index", link.index);
    o.Set("name", link.name);
    o.Set("kind", link.kind);
    o.Set("peer", link.peer);
    o.Set("most", link.most);
    if (link.least) {
      o.Set("least", *link.least);
      o.Set("greatest", *link.greatest);
    }
    list[uint32_t(i)] = o;
  }
  return list;
}

Napi::Value setLinkSize(const Napi::CallbackInfo &info) {
  const uint32_t index = info[1].As<Napi::Number>().Uint32Value();
  const uint32_t value = info[2].As<Napi::Number>().Uint32Value();
  inNetns(intArg(info, 0), [&] {
    Request r = requestFor(RTM_SETLINK, index);
    r.header.nlmsg_flags |= NLM_F_ACK;
    r.header.nlmsg_len = sizeof r;
    for (size_t i = 0; i < std::size(kSizes); i++) {
      r.sizes[i].head.rta_type = kSizes[i];
      r.sizes[i].head.rta_len = RTA_LENGTH(sizeof value);
      r.sizes[i].value = value;
    }
    const UniqueFd netlink = openNetlink();
    std::vector<char> reply;
    const int err = transact(netlink.get(), r, reply);
    if (err != 0) throw SysError{err, "rtnetlink", "set how large a packet an interface takes"};
  });
  return info.Env().Undefined();
}

} // namespace

void registerLinks(Napi::Object exports) {
  exportFunction(exports, "linkSizes", linkSizes);
  exportFunction(exports, "setLinkSize", setLinkSize);
}
