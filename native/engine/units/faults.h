// System calls of loops that fail, are short or are interrupted where a kernel may do so, by a seeded schedule.
#pragma once
#include <cstdint>

namespace aq::units {

/** Of 1,000 calls each. */
struct FaultRates {
  /** EAGAIN though there is something, EINTR, or less than was there: of bytes read and written. What waits is told again. */
  uint32_t delayed = 0;
  /** ECONNRESET and ETIMEDOUT of bytes read, those and EPIPE of bytes written. */
  uint32_t broken = 0;
  /** ECONNREFUSED, ENETUNREACH and EADDRNOTAVAIL of connect(). */
  uint32_t unreachable = 0;
  /** EMFILE, ENOMEM, ECONNABORTED and EINTR of accept4(). */
  uint32_t unaccepted = 0;
  /** ENOMEM and ENOSPC of epoll_ctl() that adds. */
  uint32_t unwatched = 0;
  /** Only bytes of connections to this port are delayed or broken; 0: all. */
  uint16_t port = 0;
};

/** While it lives, calls of all threads but the one that made it fail. One at a time. */
class Faults {
public:
  Faults(uint32_t seed, FaultRates rates);
  ~Faults();
  Faults(const Faults &) = delete;
  /** How many calls have failed or were short until now. */
  uint64_t count() const;
};

} // namespace aq::units
