#pragma once

#include <cstdint>
#include <string>

namespace appendfs::sim {

// Every planted bug in turn: the simulator must catch each, or it does not see
// what it is there for.
struct PlantedHunt {
  std::string only;      // one of them; empty: all
  uint64_t from = 1;     // the first seed
  uint64_t seeds = 200;  // so many at most, first in the bug's home plot, then in all
  uint64_t catches = 3;  // after so many the next bug is hunted
  unsigned jobs = 2;
};

// Tells of each bug by how many seeds of how many it was caught, and at least how
// many recoveries that took. The exit code: 0 if all were caught.
int HuntPlanted(const PlantedHunt& hunt);

}  // namespace appendfs::sim
