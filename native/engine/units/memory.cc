// operator new of the tests: counted, and made to fail where a test wants it.
#include "check.h"
#include <atomic>
#include <cstdlib>
#include <malloc.h>
#include <new>

namespace {

std::atomic<size_t> inUse{0}, peak{0};
std::atomic<int64_t> countdown{-1};
std::atomic<int> calm{0};
std::atomic<bool> hasFailed{false};

void *allocate(size_t size) {
  if (calm == 0 && countdown >= 0 && countdown-- == 0) {
    hasFailed = true;
    throw std::bad_alloc();
  }
  void *p = malloc(size ? size : 1);
  if (!p) throw std::bad_alloc();
  const size_t now = inUse += malloc_usable_size(p);
  if (now > peak) peak = now;
  return p;
}

void release(void *p) {
  if (p) inUse -= malloc_usable_size(p);
  free(p);
}

} // namespace

void *operator new(size_t size) { return allocate(size); }
void *operator new[](size_t size) { return allocate(size); }
void operator delete(void *p) noexcept { release(p); }
void operator delete[](void *p) noexcept { release(p); }
void operator delete(void *p, size_t) noexcept { release(p); }
void operator delete[](void *p, size_t) noexcept { release(p); }

namespace aq::units {

size_t memoryInUse() { return inUse; }
size_t memoryPeak() { return peak; }
void resetPeak() { peak = inUse.load(); }
void failAllocation(int64_t n) {
  hasFailed = false;
  countdown = n;
}
bool allocationFailed() { return hasFailed; }
Calm::Calm() { calm++; }
Calm::~Calm() { calm--; }

} // namespace aq::units
