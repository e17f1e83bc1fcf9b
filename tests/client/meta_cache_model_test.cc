#include "tests/client/meta_cache_model.h"

#include <gtest/gtest.h>

#include <iostream>

namespace appendfs {
namespace {

TEST(MetaCacheModel, AnyInterleaving_NobodyBelievesWhatWasChanged) {
  uint64_t kept = 0;
  const auto [seed, wrong] = FirstWrong(Broken::kNothing, 200, &kept);
  EXPECT_EQ(seed, 0u) << "seed " << seed << ": " << wrong;
  EXPECT_GT(kept, 10'000u);  // or it has seen nothing
}

class MetaCacheModelBroken : public ::testing::TestWithParam<Broken> {};

TEST_P(MetaCacheModelBroken, ARuleIsNotKept_IsNoticed) {
  const auto [seed, wrong] = FirstWrong(GetParam(), 2000);
  EXPECT_NE(seed, 0u);
  std::cout << "seed " << seed << ": " << wrong << "\n";
}

INSTANTIATE_TEST_SUITE_P(Rules, MetaCacheModelBroken,
                         ::testing::Values(Broken::kAnswerToNobody, Broken::kRefused,
                                           Broken::kTicket, Broken::kLost, Broken::kOrder));

}  // namespace
}  // namespace appendfs
