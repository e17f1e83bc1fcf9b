// Runs the append protocol's cores through seeded random histories. A failure
// prints its seed; APPENDFS_SEED=n runs that one alone.
#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/str_join.h"
#include "tests/chunkserver/core/sim_cluster.h"

namespace appendfs::sim {
namespace {

struct Totals {
  uint64_t acknowledged = 0, chunks = 0, fresh_answers = 0, crashes = 0;
};

bool RunSeed(uint64_t seed, const Faults& faults, Totals& totals) {
  Cluster cluster(seed, faults);
  cluster.Run(4000);
  cluster.Finish();
  totals.acknowledged += cluster.acknowledged();
  totals.chunks += cluster.chunks();
  totals.fresh_answers += cluster.fresh_answers();
  totals.crashes += cluster.crashes();
  EXPECT_TRUE(cluster.violations().empty()) << "APPENDFS_SEED=" << seed << "\n"
                                            << absl::StrJoin(cluster.violations(), "\n");
  return cluster.violations().empty();
}

void RunSeeds(uint64_t first, uint64_t count, const Faults& faults) {
  Totals totals;
  if (const char* seed = std::getenv("APPENDFS_SEED")) {
    RunSeed(std::strtoull(seed, nullptr, 10), faults, totals);
    return;
  }
  for (uint64_t seed = first; seed < first + count; ++seed)
    if (!RunSeed(seed, faults, totals)) return;
  std::printf("%llu seeds: %llu acknowledged, %llu chunks, %llu fresh lengths, %llu crashes\n",
              static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(totals.acknowledged),
              static_cast<unsigned long long>(totals.chunks),
              static_cast<unsigned long long>(totals.fresh_answers),
              static_cast<unsigned long long>(totals.crashes));
  EXPECT_GT(totals.acknowledged, count * 20);
  EXPECT_GT(totals.fresh_answers, 0u);
}

TEST(Protocol, Random_NoFaults_AcknowledgesExactlyOnce) { RunSeeds(1, 50, {0, 0, 0}); }

TEST(Protocol, Random_LossyNetwork_AcknowledgesExactlyOnce) {
  RunSeeds(1000, 150, {0.02, 0.05, 0});
}

TEST(Protocol, Random_Crashes_AcknowledgesExactlyOnce) { RunSeeds(2000, 200, Faults()); }

TEST(Protocol, Random_CrashesAllTheTime_AcknowledgesExactlyOnce) {
  RunSeeds(3000, 150, {0.01, 0.1, 0.01});
}

}  // namespace
}  // namespace appendfs::sim
