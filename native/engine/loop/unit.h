// What goes to another process together: a tunnel with its relays, or one relay. Frozen here until JavaScript says who has it: then it goes on
// (`live`), or is forgotten; of another loop it begins with `live`. Only who froze it decides, so that no record is sealed twice.
#pragma once
#include "carrier.h"
#include "end.h"
#include "object.h"
#include <string_view>
#include <vector>

namespace aq {

class Loop;

class Unit : public Object {
public:
  // Tells of `frozen` or `unmoved`.
  static void freeze(Loop &loop, Id id, Object *of);
  // Takes the descriptors over; tells of `restored` or `unreadable`.
  static void restore(Loop &loop, Id id, int state, std::string_view descriptors);
  void goLive();
  void close() override;

private:
  enum class Kind { connections, tunnel, withoutStream };
  struct Joined {
    End *downstream, *upstream;
  };
  class Descriptors;

  explicit Unit(Loop &loop) : loop_(loop) {}
  // What keeps it here; nullptr: nothing.
  const char *gather(Object *of);
  void add(End &end);
  Kind kind() const;
  SecretBytes save(SecretBytes &tunnel);
  void read(Bytes state, Descriptors &descriptors);
  std::vector<int32_t> freezeAll();
  void forget();

  Loop &loop_;
  Carrier *carrier_ = nullptr;
  std::vector<Joined> relays_;
  // Of `restored`: downstream's numbers in the loop of before.
  std::vector<Id> were_;
};

} // namespace aq
