// What the loop holds, and how JavaScript names it: a slot and the slot's generation, so that a late command does nothing.
#pragma once
#include "messages.h"
#include <cstdint>
#include <vector>

namespace aq {

class Object {
public:
  virtual ~Object() = default;
  // Of epoll.
  virtual void onEvents(uint32_t) {}
  // Commands that any object may get.
  virtual void close() = 0;
  virtual void reset(uint32_t) { close(); }

  Id id;
  // Its descriptor is closed; deleted when the turn ends.
  bool dead = false;
  // Of a unit that is about to leave, or not begun here yet: nobody reads, writes or seals by it, and commands do nothing.
  bool frozen = false;
};

class Table {
public:
  // Names by JavaScript; what it names again was closed before.
  void put(Id id, Object *object) {
    Slot &slot = at(id.slot);
    slot = {id.generation, object};
    object->id = id;
  }
  void add(Object *object) {
    int32_t index;
    if (free_.empty()) {
      index = static_cast<int32_t>(ours_.size());
      ours_.push_back({});
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Slot &slot = ours_[static_cast<size_t>(index)];
    slot.generation++;
    slot.object = object;
    object->id = {index, slot.generation};
  }
  Object *find(Id id) {
    Slot &slot = at(id.slot);
    return slot.generation == id.generation ? slot.object : nullptr;
  }
  void remove(Id id) {
    Slot &slot = at(id.slot);
    if (slot.generation != id.generation || slot.object == nullptr) return;
    slot.object = nullptr;
    if (id.slot >= 0) free_.push_back(id.slot);
  }
  template <typename F> void each(F visit) {
    for (auto *slots : {&ours_, &theirs_})
      for (size_t i = 0; i < slots->size(); i++)
        if ((*slots)[i].object != nullptr) visit((*slots)[i].object);
  }

private:
  struct Slot {
    int32_t generation = 0;
    Object *object = nullptr;
  };
  Slot &at(int32_t slot) {
    auto &slots = slot < 0 ? theirs_ : ours_;
    const auto index = static_cast<size_t>(slot < 0 ? ~slot : slot);
    if (index >= slots.size()) slots.resize(index + 1);
    return slots[index];
  }
  std::vector<Slot> ours_, theirs_;
  std::vector<int32_t> free_;
};

} // namespace aq
