// The tests of this folder: one program, which runs all or those whose names contain its arguments.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace aq::units {

struct Case {
  std::string name;
  std::function<void()> run;
};
std::vector<Case> &cases();

struct Registered {
  Registered(std::string name, std::function<void()> run) { cases().push_back({std::move(name), std::move(run)}); }
};

/** Throws. */
[[noreturn]] void failed(const char *file, int line, const std::string &what);

template <class T> std::string shown(const T &v) {
  if constexpr (requires { std::to_string(v); }) return std::to_string(v);
  else return std::string(v);
}

template <class A, class B> void equal(const char *file, int line, const char *text, const A &a, const B &b) {
  if (!(a == b)) failed(file, line, std::string(text) + ": " + shown(a) + " instead of " + shown(b));
}

/** Memory of operator new: what is in use now, and the most since resetPeak(). */
size_t memoryInUse();
size_t memoryPeak();
void resetPeak();

/** From the n-th allocation on, the next one fails, once; -1: none. Returns whether it has failed. */
void failAllocation(int64_t n);
bool allocationFailed();
/** No injected failure while it lives: tests allocate too. */
struct Calm {
  Calm();
  ~Calm();
};

} // namespace aq::units

#define AQ_JOIN2(a, b) a##b
#define AQ_JOIN(a, b) AQ_JOIN2(a, b)
#define TEST(name)                                                                                                               \
  static void AQ_JOIN(run, __LINE__)();                                                                                          \
  static const aq::units::Registered AQ_JOIN(registered, __LINE__)(name, AQ_JOIN(run, __LINE__));                                 \
  static void AQ_JOIN(run, __LINE__)()
#define CHECK(condition)                                                                                                         \
  do {                                                                                                                           \
    if (!(condition)) aq::units::failed(__FILE__, __LINE__, #condition);                                                         \
  } while (0)
#define EQUAL(a, b) aq::units::equal(__FILE__, __LINE__, #a, a, b)
