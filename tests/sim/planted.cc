#include "tests/sim/planted.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>

#include "common/planted.h"
#include "common/str_cat.h"
#include "tests/sim/faults.h"
#include "tests/sim/runs.h"

namespace appendfs::sim {
namespace {

// Where a bug is looked for first: the plot that leads to what it breaks. The
// others show in any weather.
struct Home {
  const char* bug;
  const char* plot;
};
constexpr Home kHomes[] = {
    {"kOldConfirm", "cut-off primaries"},      {"kOldVote", "cut-off primaries"},
    {"kAcceptOldEpoch", "cut-off primaries"},  {"kResumePrimary", "unnoticed restarts"},
    {"kMergeMemories", "lone holders"},        {"kForgetTooEarly", "asleep across a session"},
    {"kForgetOnPark", "asleep across a park"}, {"kForgetOlder", "unanswered sleepers"},
    {"kOpenTwice", "echoed commands"},         {"kReviveDeleted", "late commands"},
    {"kTruncateInMiddle", "rotting disk"},     {"kIgnoreReplayCrc", "rotting disk"},
    {"kIgnoreFailedSync", "failing disk"},     {"kNoDirectorySync", "power storm"},
    {"kCheckpointUnsynced", "power storm"},    {"kReplayStaleTail", "power storm"},
    {"kVoteBeforeSync", "power storm"},        {"kTakeOutOfOrder", "sluggish host"},
    {"kTooFewAnswers", "two in a row"},
};

unsigned long long Long(uint64_t number) { return number; }

std::optional<uint64_t> HomeOf(const PlantedBug& bug) {
  for (const Home& home : kHomes)
    if (std::strcmp(home.bug, bug.name) == 0) return Faults::PlotNamed(home.plot);
  return std::nullopt;
}

// How many recoveries of the file had been begun when the bug showed, at the least.
uint64_t FewestRecoveries(const Sum& sum) {
  uint64_t fewest = ~uint64_t{0};
  for (const Failure& failure : sum.violated) fewest = std::min(fewest, failure.recoveries);
  return fewest;
}

Sum Hunt(const PlantedHunt& hunt, const PlantedBug& bug) {
  Batch batch;
  batch.plant = bug.name;
  batch.jobs = hunt.jobs;
  batch.stop_after = hunt.catches;
  Sum sum;
  if (const std::optional<uint64_t> home = HomeOf(bug)) {
    batch.step = Faults::Plots();
    batch.from = hunt.from + (*home + batch.step - hunt.from % batch.step) % batch.step;
    batch.seeds = (hunt.seeds + 1) / 2;
    sum = RunSeeds(batch);
    if (sum.failed() >= hunt.catches) return sum;
  }
  batch.step = 1;
  batch.from = hunt.from;
  batch.seeds = hunt.seeds - sum.seeds;
  batch.stop_after -= sum.failed();
  sum.Add(RunSeeds(batch));
  return sum;
}

// Whether it was caught, and not too easily.
bool Report(const PlantedBug& bug, const Sum& sum) {
  // What merely dies has not been caught.
  const bool caught = !sum.violated.empty();
  const uint64_t fewest = FewestRecoveries(sum);
  std::printf("%-21s %-57s ", bug.name, bug.what);
  if (caught)
    std::printf("%2llu of %3llu seeds  %4llu", Long(sum.violated.size()), Long(sum.seeds),
                Long(fewest));
  else
    std::printf("NONE of %3llu seeds", Long(sum.seeds));
  if (bug.recoveries > 0) std::printf(" (%u at least)", bug.recoveries);
  if (!sum.crashed.empty())
    std::printf(", %llu died: seed %llu %s", Long(sum.crashed.size()),
                Long(sum.crashed.front().seed), sum.crashed.front().what.c_str());
  std::printf("\n");
  if (caught)
    std::printf("    seed %llu: %s\n", Long(sum.violated.front().seed),
                sum.violated.front().what.substr(0, 150).c_str());
  std::fflush(stdout);
  return caught && fewest >= bug.recoveries;
}

}  // namespace

int HuntPlanted(const PlantedHunt& hunt) {
  const auto begun = std::chrono::steady_clock::now();
  int bugs = 0, late = 0;
  std::string missed;
  Sum all;
  std::printf("%-21s %-57s %-16s recoveries before\n", "planted bug", "what it does", "caught by");
  for (const PlantedBug& bug : kPlantedBugs) {
    if (!hunt.only.empty() && hunt.only != bug.name) continue;
    const Sum sum = Hunt(hunt, bug);
    ++bugs;
    if (!Report(bug, sum))
      missed += StrCat(" ", bug.name);
    else if (bug.recoveries >= 2)
      ++late;
    all.Add(sum);
  }
  if (bugs == 0) {
    std::fprintf(stderr, "there is no planted bug %s (common/planted.h)\n", hunt.only.c_str());
    return 2;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  const auto missing = static_cast<int>(std::count(missed.begin(), missed.end(), ' '));
  std::printf("%d of %d planted bugs caught, %d of which need two recoveries%s%s\n", bugs - missing,
              bugs, late, missed.empty() ? "" : "; missed:", missed.c_str());
  std::printf("%llu seeds in %.0f s explored:\n", Long(all.seeds), took.count());
  PrintCounts(all.counts);
  return missed.empty() ? 0 : 1;
}

}  // namespace appendfs::sim
