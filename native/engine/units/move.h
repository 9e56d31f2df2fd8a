// An end whose tunnel goes to another process, which in a test is the same one.
#pragma once
#include "end.h"

namespace aq::units {

/** Freezes the tunnel and puts one that is made of its state in its place; false where it cannot move. */
inline bool move(End &end) {
  const SecretBytes state = end.tunnel->freeze();
  if (state.empty()) return false;
  end.tunnel.emplace(Bytes(state), end.rows, static_cast<TunnelHandler &>(end));
  for (auto &[id, stream] : end.streams) stream = end.tunnel->find(id);
  return true;
}

} // namespace aq::units
