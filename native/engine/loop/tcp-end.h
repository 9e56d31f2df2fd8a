// A TCP connection to an app or to the world.
#pragma once
#include "end.h"

namespace aq {

class TcpEnd : public End {
public:
  // Takes the descriptor over.
  TcpEnd(Loop &loop, int fd) : End(loop), fd_(fd) {}
  ~TcpEnd() override;

  void watch();
  void dial(std::string_view ip, uint16_t port);
  // So that its peer sees this address; any port. False with errno.
  bool bindTo(std::string_view ip);
  // The descriptor without its end, for a tunnel. -1 when it was relayed, or is gone.
  int take();
  void onEvents(uint32_t events) override;
  void pump() override;
  const char *unmovable() const override;
  void owe(size_t bytes) override;
  int freeze() override;
  void goLive() override;
  void forget() override;

protected:
  ssize_t offer(const iovec *pieces, int count, size_t total) override;
  void finishNow() override;
  void drop() override;
  void cut(uint32_t code) override;
  void returnCredit(size_t size) override;

private:
  void pumpToTunnel();
  void took(ssize_t n, size_t wanted);
  void connected(int error);

  int fd_;
  // Bytes that were read here and wait for whoever they go to.
  size_t unread_ = 0;
  bool connecting_ = false;
  bool readable_ = false;
  // FIN or an error has come: it is read until nothing is left (with edges, a short read would hide it).
  bool hung_ = false;
  bool blocked_ = false;
  // Its unit was frozen once: whoever has a duplicate may not have closed it yet, so that our close() ends neither it nor its events.
  bool shared_ = false;
};

} // namespace aq
