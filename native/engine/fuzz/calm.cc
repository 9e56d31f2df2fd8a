// Fuzzers keep the sanitizer's operator new: no allocation of theirs is made to fail.
#include "../units/check.h"

namespace aq::units {

Calm::Calm() = default;
Calm::~Calm() = default;

} // namespace aq::units
