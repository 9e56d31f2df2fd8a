#include "check.h"
#include <algorithm>
#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
  int bad = 0, ran = 0;
  for (const auto &c : aq::units::cases()) {
    const auto named = [&](const char *part) { return c.name.find(part) != std::string::npos; };
    if (argc > 1 && std::none_of(argv + 1, argv + argc, named)) continue;
    ran++;
    try {
      c.run();
      printf("ok %s\n", c.name.c_str());
    } catch (const std::exception &e) {
      bad++;
      printf("not ok %s\n  %s\n", c.name.c_str(), e.what());
    }
    aq::units::failAllocation(-1);
    fflush(stdout);
  }
  printf("%d run, %d failed\n", ran, bad);
  return bad > 0 || ran == 0;
}
