// nftables by its own library, in this process: a transaction takes a few ms, where a child process would take tens. The library is
// looked for at the first call, so that a machine which captures by eBPF needs none.
#include "common.h"
#include <dlfcn.h>
#include <linux/netlink.h>
#include <sys/socket.h>

namespace {

constexpr const char *kLibrary = "libnftables.so.1";

// The functions of libnftables(3) in use.
struct Library {
  void *(*newContext)(uint32_t);
  void (*freeContext)(void *);
  int (*bufferOutput)(void *);
  int (*bufferError)(void *);
  const char *(*output)(void *);
  const char *(*error)(void *);
  int (*run)(void *, const char *);
};

template <typename T> void resolve(void *handle, const char *name, T &into) {
  into = reinterpret_cast<T>(dlsym(handle, name));
  if (!into) throw SysError{ENOSYS, "dlsym", std::string(kLibrary) + " has no " + name};
}

const Library &library() {
  static const Library loaded = [] {
    void *handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw SysError{ENOENT, "dlopen", kLibrary};
    Library l;
    resolve(handle, "nft_ctx_new", l.newContext);
    resolve(handle, "nft_ctx_free", l.freeContext);
    resolve(handle, "nft_ctx_buffer_output", l.bufferOutput);
    resolve(handle, "nft_ctx_buffer_error", l.bufferError);
    resolve(handle, "nft_ctx_get_output_buffer", l.output);
    resolve(handle, "nft_ctx_get_error_buffer", l.error);
    resolve(handle, "nft_run_cmd_from_buffer", l.run);
    return l;
  }();
  return loaded;
}

// What `nft` says of one input. It is one transaction: all of it or nothing.
Napi::Value nftRun(const Napi::CallbackInfo &info) {
  const std::string input = stringArg(info, 1);
  const Library &nft = library();
  bool ok = false;
  std::string text;
  inNetns(intArg(info, 0), [&] {
    // The library ends the process where it finds no nf_tables netlink, so that is tried first.
    UniqueFd(check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), "socket"));
    void *context = nft.newContext(0);
    if (!context) throw SysError{ENOMEM, "nft_ctx_new", ""};
    if (nft.bufferOutput(context) != 0 || nft.bufferError(context) != 0) {
      nft.freeContext(context);
      throw SysError{ENOMEM, "nft_ctx_buffer_output", ""};
    }
    ok = nft.run(context, input.c_str()) == 0;
    text = ok ? nft.output(context) : nft.error(context);
    nft.freeContext(context);
  });
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("ok", ok);
  result.Set("text", text);
  return result;
}

} // namespace

void registerNft(Napi::Object exports) { exportFunction(exports, "nftRun", nftRun); }
