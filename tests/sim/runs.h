#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace appendfs::sim {

// Running seeds, each in a process of its own: a seed does the same whichever
// came before it, and a crash or a hang is one failed seed.

// What a process does for one seed; ends it. The story is always told: telling
// it or not would move addresses, and with them the order of hash tables.
[[noreturn]] void RunChild(uint64_t seed, const std::string& plant);

struct Outcome {
  // kViolated: an invariant is broken, of the checkers or of the product's own
  // (a CHECK). kCrashed: the process died or hung, which shows nothing.
  enum class End { kPassed, kViolated, kCrashed };
  End end = End::kPassed;
  std::string failure;      // empty: passed
  uint64_t recoveries = 0;  // of the file it is about, until then
  std::map<std::string, uint64_t> counts;
  std::vector<std::string> trace;
};

struct Failure {
  uint64_t seed = 0;
  std::string what;
  uint64_t recoveries = 0;
};

struct Sum {
  uint64_t seeds = 0;
  std::vector<Failure> violated, crashed;
  std::map<std::string, uint64_t> counts;
  bool passed() const { return violated.empty() && crashed.empty(); }
  uint64_t failed() const { return violated.size() + crashed.size(); }
  void Add(const Sum& other);
};

struct Batch {
  uint64_t from = 1, seeds = 1, step = 1;
  double seconds = 1e9;     // no new seed is begun after these
  uint64_t stop_after = 5;  // failures
  unsigned jobs = 2;
  std::string plant;
  std::function<void(const Sum&)> progress;
};

Outcome RunSeed(uint64_t seed, const std::string& plant);
Sum RunSeeds(const Batch& batch);

// Faults, and what names the chunk, file or server the failure is about; of
// these the last. `all`: everything.
void PrintTrace(const Outcome& outcome, bool all);
void PrintCounts(const std::map<std::string, uint64_t>& counts);

}  // namespace appendfs::sim
