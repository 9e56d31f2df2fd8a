// eBPF through libbpf: an object is loaded and taken apart into descriptors, which TypeScript then holds and closes.
#include "common.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cstring>
#include <cstdarg>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <vector>

namespace {

// libbpf's warnings of the current call, the verifier's log among them.
thread_local std::string warnings;

int collectWarnings(libbpf_print_level level, const char *format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  va_list copy;
  va_copy(copy, args);
  const int size = vsnprintf(nullptr, 0, format, copy);
  va_end(copy);
  if (size <= 0) return 0;
  std::vector<char> text(static_cast<size_t>(size) + 1);
  vsnprintf(text.data(), text.size(), format, args);
  warnings.append(text.data(), static_cast<size_t>(size));
  return 0;
}

[[noreturn]] void failWithLog(const char *call, const std::string &path) {
  constexpr size_t kTail = 4096; // the verifier says the reason last
  const int err = errno;
  const std::string tail = warnings.size() > kTail ? "..." + warnings.substr(warnings.size() - kTail) : warnings;
  throw SysError{err, call, path + (tail.empty() ? "" : "\n" + tail)};
}

struct ObjectCloser {
  void operator()(bpf_object *o) const { bpf_object__close(o); }
};
using Object = std::unique_ptr<bpf_object, ObjectCloser>;

Object openObject(const std::string &path, const std::string &pinDir) {
  warnings.clear();
  libbpf_set_print(collectWarnings);
  LIBBPF_OPTS(bpf_object_open_opts, options);
  if (!pinDir.empty()) options.pin_root_path = pinDir.c_str();
  Object object(bpf_object__open_file(path.c_str(), &options));
  if (!object) failWithLog("bpf_object__open", path);
  return object;
}

int dupCloexec(int fd) { return check(fcntl(fd, F_DUPFD_CLOEXEC, 3), "fcntl"); }

bpf_map_info mapInfo(int fd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) fail("bpf(BPF_OBJ_GET_INFO_BY_FD)");
  return info;
}

uint32_t userValueSize(const bpf_map_info &info) {
  switch (info.type) {
  case BPF_MAP_TYPE_PERCPU_ARRAY:
  case BPF_MAP_TYPE_PERCPU_HASH:
  case BPF_MAP_TYPE_LRU_PERCPU_HASH:
    return (info.value_size + 7) / 8 * 8 * static_cast<uint32_t>(libbpf_num_possible_cpus());
  default:
    return info.value_size;
  }
}

Napi::Object mapTo(Napi::Env env, UniqueFd fd) {
  const bpf_map_info info = mapInfo(fd.get());
  Napi::Object o = Napi::Object::New(env);
  o.Set("keySize", info.key_size);
  o.Set("valueSize", userValueSize(info));
  o.Set("fd", fd.release());
  return o;
}

Napi::Value bpfLoad(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const std::string path = stringArg(info, 0);
  const std::string pinDir = info[1].IsString() ? stringArg(info, 1) : "";
  const Object object = openObject(path, pinDir);
  if (pinDir.empty()) {
    bpf_map *map;
    bpf_object__for_each_map(map, object.get()) bpf_map__set_pin_path(map, nullptr);
  }
  if (bpf_object__load(object.get()) != 0) failWithLog("bpf_object__load", path);

  Napi::Object programs = Napi::Object::New(env);
  bpf_program *program;
  bpf_object__for_each_program(program, object.get()) {
    Napi::Object o = Napi::Object::New(env);
    o.Set("fd", dupCloexec(bpf_program__fd(program)));
    o.Set("attachType", static_cast<int>(bpf_program__expected_attach_type(program)));
    programs.Set(bpf_program__name(program), o);
  }
  Napi::Object maps = Napi::Object::New(env);
  bpf_map *map;
  bpf_object__for_each_map(map, object.get())
      maps.Set(bpf_map__name(map), mapTo(env, UniqueFd(dupCloexec(bpf_map__fd(map)))));
  Napi::Object result = Napi::Object::New(env);
  result.Set("programs", programs);
  result.Set("maps", maps);
  return result;
}

Napi::Value bpfReadOnlyData(const Napi::CallbackInfo &info) {
  const std::string path = stringArg(info, 0);
  const Object object = openObject(path, "");
  if (bpf_map *map = bpf_object__find_map_by_name(object.get(), ".rodata")) {
    size_t size = 0;
    const void *data = bpf_map__initial_value(map, &size);
    Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), size);
    memcpy(bytes.Data(), data, size);
    return bytes;
  }
  throw SysError{ENOENT, "bpf_object__open", path + " has no .rodata"};
}

Napi::Value bpfOpenMap(const Napi::CallbackInfo &info) {
  const std::string path = stringArg(info, 0);
  UniqueFd fd(bpf_obj_get(path.c_str()));
  if (fd.get() < 0) fail("bpf(BPF_OBJ_GET)", path);
  return mapTo(info.Env(), std::move(fd));
}

Napi::Value bpfMapLookup(const Napi::CallbackInfo &info) {
  const auto key = info[1].As<Napi::Uint8Array>();
  Napi::Uint8Array value = Napi::Uint8Array::New(info.Env(), info[2].As<Napi::Number>().Uint32Value());
  if (bpf_map_lookup_elem(intArg(info, 0), key.Data(), value.Data()) == 0) return value;
  if (errno == ENOENT) return info.Env().Undefined();
  fail("bpf(BPF_MAP_LOOKUP_ELEM)");
}

Napi::Value bpfMapUpdate(const Napi::CallbackInfo &info) {
  const auto key = info[1].As<Napi::Uint8Array>();
  const auto value = info[2].As<Napi::Uint8Array>();
  if (bpf_map_update_elem(intArg(info, 0), key.Data(), value.Data(), BPF_ANY) != 0) fail("bpf(BPF_MAP_UPDATE_ELEM)");
  return info.Env().Undefined();
}

Napi::Value bpfMapDelete(const Napi::CallbackInfo &info) {
  const auto key = info[1].As<Napi::Uint8Array>();
  if (bpf_map_delete_elem(intArg(info, 0), key.Data()) == 0) return Napi::Boolean::New(info.Env(), true);
  if (errno == ENOENT || errno == EINVAL) return Napi::Boolean::New(info.Env(), false);
  fail("bpf(BPF_MAP_DELETE_ELEM)");
}

// A key that is deleted meanwhile makes the kernel start over: each is returned once.
Napi::Value bpfMapKeys(const Napi::CallbackInfo &info) {
  const int map = intArg(info, 0);
  const uint32_t size = info[1].As<Napi::Number>().Uint32Value();
  const uint32_t limit = mapInfo(map).max_entries;
  Napi::Array result = Napi::Array::New(info.Env());
  std::vector<char> key(size), next(size);
  const void *previous = nullptr;
  for (uint32_t i = 0; i < limit; i++) {
    if (bpf_map_get_next_key(map, previous, next.data()) != 0) {
      if (errno == ENOENT) break;
      fail("bpf(BPF_MAP_GET_NEXT_KEY)");
    }
    key.swap(next);
    previous = key.data();
    Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), size);
    memcpy(bytes.Data(), key.data(), size);
    result.Set(i, bytes);
  }
  return result;
}

Napi::Value bpfLinkCreate(const Napi::CallbackInfo &info) {
  const auto type = static_cast<bpf_attach_type>(intArg(info, 2));
  UniqueFd link(bpf_link_create(intArg(info, 0), intArg(info, 1), type, nullptr));
  if (link.get() < 0) fail("bpf(BPF_LINK_CREATE)");
  if (info[3].IsString()) {
    const std::string pin = stringArg(info, 3);
    if (bpf_obj_pin(link.get(), pin.c_str()) != 0) fail("bpf(BPF_OBJ_PIN)", pin);
  }
  return Napi::Number::New(info.Env(), link.release());
}

UniqueFd openLink(const std::string &pin) {
  UniqueFd link(bpf_obj_get(pin.c_str()));
  if (link.get() < 0) fail("bpf(BPF_OBJ_GET)", pin);
  return link;
}

Napi::Value bpfLinkUpdate(const Napi::CallbackInfo &info) {
  const std::string pin = stringArg(info, 0);
  const UniqueFd link = openLink(pin);
  if (bpf_link_update(link.get(), intArg(info, 1), nullptr) != 0) fail("bpf(BPF_LINK_UPDATE)", pin);
  return info.Env().Undefined();
}

Napi::Value bpfLinkInfo(const Napi::CallbackInfo &info) {
  const UniqueFd link = openLink(stringArg(info, 0));
  bpf_link_info link_info{};
  uint32_t size = sizeof link_info;
  if (bpf_obj_get_info_by_fd(link.get(), &link_info, &size) != 0) fail("bpf(BPF_OBJ_GET_INFO_BY_FD)");
  const bool cgroup = link_info.type == BPF_LINK_TYPE_CGROUP;
  const bool netns = link_info.type == BPF_LINK_TYPE_NETNS;
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("attachType", static_cast<int>(cgroup ? link_info.cgroup.attach_type : link_info.netns.attach_type));
  o.Set("cgroupId", Napi::BigInt::New(info.Env(), static_cast<uint64_t>(cgroup ? link_info.cgroup.cgroup_id : 0)));
  o.Set("netnsIno", netns ? link_info.netns.netns_ino : 0);
  o.Set("programId", link_info.prog_id);
  return o;
}

Napi::Value bpfLinkDetach(const Napi::CallbackInfo &info) {
  const std::string pin = stringArg(info, 0);
  const UniqueFd link = openLink(pin);
  // ENOENT, EINVAL...: the cgroup or namespace is gone and the kernel has detached it already.
  bpf_link_detach(link.get());
  if (unlink(pin.c_str()) != 0) fail("unlink", pin);
  return info.Env().Undefined();
}

int takeEvent(void *context, void *data, size_t size) {
  auto *events = static_cast<std::vector<std::vector<uint8_t>> *>(context);
  const auto *bytes = static_cast<const uint8_t *>(data);
  events->emplace_back(bytes, bytes + size);
  return 0;
}

// class BpfRing: the reading end of a ring buffer. One at a time may read a map.
class BpfRing : public Napi::ObjectWrap<BpfRing> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "BpfRing",
                       {InstanceMethod("read", &BpfRing::read), InstanceMethod("close", &BpfRing::close),
                        InstanceAccessor<&BpfRing::fd>("fd")});
  }

  explicit BpfRing(const Napi::CallbackInfo &info)
      : Napi::ObjectWrap<BpfRing>(info), ring_(ring_buffer__new(intArg(info, 0), takeEvent, &events_, nullptr)) {
    if (!ring_) throw toNativeError(info.Env(), SysError{errno, "ring_buffer__new", ""});
  }

  ~BpfRing() override { ring_buffer__free(ring_); }

private:
  Napi::Value fd(const Napi::CallbackInfo &info) {
    return Napi::Number::New(info.Env(), ring_ ? ring_buffer__epoll_fd(ring_) : -1);
  }

  // All that waits.
  Napi::Value read(const Napi::CallbackInfo &info) {
    Napi::Array result = Napi::Array::New(info.Env());
    if (!ring_) return result;
    const int count = ring_buffer__consume(ring_);
    if (count < 0) throw toNativeError(info.Env(), SysError{-count, "ring_buffer__consume", ""});
    for (size_t i = 0; i < events_.size(); i++) {
      Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), events_[i].size());
      memcpy(bytes.Data(), events_[i].data(), events_[i].size());
      result.Set(static_cast<uint32_t>(i), bytes);
    }
    events_.clear();
    return result;
  }

  void close(const Napi::CallbackInfo &) {
    ring_buffer__free(ring_);
    ring_ = nullptr;
  }

  std::vector<std::vector<uint8_t>> events_;
  ring_buffer *ring_;
};

} // namespace

void registerBpf(Napi::Object exports) {
  exports.Set("BpfRing", BpfRing::define(exports.Env()));
  exportFunction(exports, "bpfLoad", bpfLoad);
  exportFunction(exports, "bpfReadOnlyData", bpfReadOnlyData);
  exportFunction(exports, "bpfOpenMap", bpfOpenMap);
  exportFunction(exports, "bpfMapLookup", bpfMapLookup);
  exportFunction(exports, "bpfMapUpdate", bpfMapUpdate);
  exportFunction(exports, "bpfMapDelete", bpfMapDelete);
  exportFunction(exports, "bpfMapKeys", bpfMapKeys);
  exportFunction(exports, "bpfLinkCreate", bpfLinkCreate);
  exportFunction(exports, "bpfLinkUpdate", bpfLinkUpdate);
  exportFunction(exports, "bpfLinkInfo", bpfLinkInfo);
  exportFunction(exports, "bpfLinkDetach", bpfLinkDetach);
}
