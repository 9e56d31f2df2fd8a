#include "check.h"
#include <stdexcept>

namespace aq::units {

std::vector<Case> &cases() {
  static std::vector<Case> all;
  return all;
}

void failed(const char *file, int line, const std::string &what) {
  const Calm quiet;
  throw std::logic_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

} // namespace aq::units
