// A listening socket.
#pragma once
#include "object.h"
#include "plan.h"

namespace aq {

class Loop;

class Listener : public Object {
public:
  // Takes the descriptor over.
  Listener(Loop &loop, int fd) : loop_(loop), fd_(fd) {}
  ~Listener() override;
  void watch();
  void onEvents(uint32_t) override;
  void close() override;
  // JavaScript's answers to connections.
  Plans plans;

private:
  Loop &loop_;
  int fd_;
};

} // namespace aq
