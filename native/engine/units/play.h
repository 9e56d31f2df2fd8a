// Apps that talk by a seeded schedule while what is between them moves.
#pragma once
#include "chain.h"
#include <random>

namespace aq::units {

inline std::string content(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, 0);
  for (char &c : bytes) c = char(random());
  return bytes;
}

/** Apps write and read until both have everything, or have lost their connection where they may; `places` move meanwhile. */
inline void play(std::mt19937 &random, std::vector<App *> apps, std::vector<Place *> places, size_t movesEach) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  const auto done = [&] { return std::all_of(apps.begin(), apps.end(), [](const App *a) { return a->ended && a->closed; }); };
  for (size_t idle = 0, step = 0; !done(); step++) {
    const auto progress = [&] {
      size_t sum = 0;
      for (const App *a : apps) sum += a->sent + a->got.size() + a->ended + a->closed;
      return sum;
    };
    const size_t before = progress();
    for (int i = 0; i < 4; i++) {
      App &app = *apps[below(apps.size())];
      if (below(2)) app.write(1 + below(60'000));
      else app.read(1 + below(40'000));
    }
    if (step % 2 == 0 && !places.empty()) {
      Place &place = *places[below(places.size())];
      const size_t which = below(6);
      if (place.moves < movesEach) move(place, which == 0 ? Then::thaw : which == 1 ? Then::discard : Then::commit);
    }
    idle = progress() == before ? idle + 1 : 0;
    if (idle > 50) usleep(200);
    if (idle > 20'000) failed(__FILE__, __LINE__, "it has stopped");
  }
}

} // namespace aq::units
