#include "common/file_lock.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr LockMode kShared = LockMode::kShared;
constexpr LockMode kExclusive = LockMode::kExclusive;

std::string Show(const LockRanges& ranges) {
  std::string text;
  for (const LockRanges::Range& range : ranges.All())
    text += StrCat(range.mode == kShared ? "s" : "x", range.span.first, "-", range.span.last, " ");
  return text;
}

TEST(LockRangesTest, Set_SplitsAndJoins) {
  LockRanges ranges;
  ranges.Set({0, 99}, kShared);
  ranges.Set({40, 59}, kExclusive);
  EXPECT_EQ(Show(ranges), "s0-39 x40-59 s60-99 ");
  ranges.Set({40, 59}, kShared);
  EXPECT_EQ(Show(ranges), "s0-99 ");
  ranges.Set({100, UINT64_MAX}, kShared);
  EXPECT_EQ(Show(ranges), StrCat("s0-", UINT64_MAX, " "));
}

TEST(LockRangesTest, Clear_TakesOutTheMiddle) {
  LockRanges ranges;
  ranges.Set({}, kExclusive);
  ranges.Clear({10, 19});
  EXPECT_EQ(Show(ranges), StrCat("x0-9 x20-", UINT64_MAX, " "));
  ranges.Clear({});
  EXPECT_TRUE(ranges.empty());
}

TEST(LockRangesTest, Collision_IsTheFirstThatDoesNotGoWithIt) {
  LockRanges ranges;
  ranges.Set({0, 9}, kShared);
  ranges.Set({20, 29}, kExclusive);
  EXPECT_FALSE(ranges.Collision({0, 15}, kShared));
  EXPECT_EQ(ranges.Collision({5, 25}, kShared)->span.first, 20u);
  EXPECT_EQ(ranges.Collision({9, 9}, kExclusive)->span.first, 0u);
  EXPECT_FALSE(ranges.Collision({10, 19}, kExclusive));
  EXPECT_EQ(ranges.Collision({29, UINT64_MAX}, kShared)->span.last, 29u);
  EXPECT_FALSE(ranges.Collision({30, UINT64_MAX}, kExclusive));
}

TEST(LockRangesTest, Has_NeedsAllOfItInThatMode) {
  LockRanges ranges;
  ranges.Set({10, 19}, kShared);
  EXPECT_TRUE(ranges.Has({10, 19}, kShared));
  EXPECT_TRUE(ranges.Has({12, 15}, kShared));
  EXPECT_FALSE(ranges.Has({12, 15}, kExclusive));
  EXPECT_FALSE(ranges.Has({9, 12}, kShared));
  EXPECT_FALSE(ranges.Has({19, 20}, kShared));
  EXPECT_FALSE(LockRanges().Has({0, 0}, kShared));
}

TEST(LockRangesTest, AnySteps_AreAsByteForByte) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(StrCat("seed ", seed));
  std::mt19937 random(seed);
  constexpr uint64_t kBytes = 24;
  std::array<char, kBytes> model;
  model.fill('-');
  LockRanges ranges;
  for (int step = 0; step < 3000; ++step) {
    uint64_t first = random() % kBytes;
    const LockSpan span{first, first + random() % (kBytes - first)};
    const char mode = "-sx"[random() % 3];
    if (mode == '-')
      ranges.Clear(span);
    else
      ranges.Set(span, mode == 's' ? kShared : kExclusive);
    for (uint64_t i = span.first; i <= span.last; ++i) model[i] = mode;
    for (uint64_t i = 0; i < kBytes; ++i) {
      ASSERT_EQ(ranges.Has({i, i}, kShared), model[i] == 's');
      ASSERT_EQ(ranges.Has({i, i}, kExclusive), model[i] == 'x');
      ASSERT_EQ(ranges.Collision({i, i}, kExclusive).has_value(), model[i] != '-');
      ASSERT_EQ(ranges.Collision({i, i}, kShared).has_value(), model[i] == 'x');
    }
    size_t runs = 0;
    for (uint64_t i = 0; i < kBytes; ++i)
      if (model[i] != '-' && (i == 0 || model[i] != model[i - 1])) ++runs;
    ASSERT_EQ(ranges.All().size(), runs);
  }
}

}  // namespace
}  // namespace appendfs
