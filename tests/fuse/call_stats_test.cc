#include "fuse/call_stats.h"

#include <gtest/gtest.h>

#include <memory>

#include "fuse/current_call.h"

namespace appendfs::fuse {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

void Take(CallStats& stats, CallKind kind, Duration took) {
  stats.Begin(kind);
  stats.End(kind, took);
}

TEST(CallStatsTest, Percentiles_AreRightToAFifth) {
  CallStats stats;
  for (int i = 1; i <= 1000; ++i) Take(stats, CallKind::kRead, microseconds(i));
  const CallStats::Summary read = stats.Get(CallKind::kRead);
  EXPECT_EQ(read.count, 1000u);
  EXPECT_EQ(read.in_flight, 0u);
  EXPECT_EQ(read.max, microseconds(1000));
  EXPECT_EQ(read.total, microseconds(500500));
  EXPECT_GE(read.p50, microseconds(500));
  EXPECT_LE(read.p50, microseconds(600));
  EXPECT_GE(read.p99, microseconds(990));
  EXPECT_LE(read.p99, read.max);
}

TEST(CallStatsTest, Extremes_HaveBucketsToo) {
  CallStats stats;
  Take(stats, CallKind::kFsync, Duration::zero());
  EXPECT_EQ(stats.Get(CallKind::kFsync).p99, Duration::zero());
  Take(stats, CallKind::kFsync, seconds(30));
  EXPECT_EQ(stats.Get(CallKind::kFsync).p99, seconds(30));
  Take(stats, CallKind::kFsync, std::chrono::hours(10'000));
  EXPECT_EQ(stats.Get(CallKind::kFsync).max, std::chrono::hours(10'000));
}

TEST(CallStatsTest, GetAll_HasTheKindsThatWereCalled) {
  CallStats stats;
  EXPECT_TRUE(stats.GetAll().empty());
  Take(stats, CallKind::kWrite, milliseconds(1));
  stats.Begin(CallKind::kOpen);
  const auto all = stats.GetAll();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(CallName(all[0].kind), "open");
  EXPECT_EQ(all[0].in_flight, 1u);
  EXPECT_EQ(CallName(all[1].kind), "write");
}

TEST(CallsTest, Call_IsUnderWayUntilNobodyKeepsIt) {
  auto calls = std::make_shared<Calls>();
  std::shared_ptr<Call> later;
  {
    CallScope scope(calls->Begin(CallKind::kFsync, InodeId(5), 77));
    EXPECT_EQ(Interruption::OfThisThread(), &CallScope::Current()->interruption);
    later = CallScope::Current();
  }
  EXPECT_EQ(CallScope::Current(), nullptr);
  EXPECT_EQ(calls->Find(later->id), later);
  EXPECT_EQ(calls->UnderWay().size(), 1u);
  const uint64_t id = later->id;
  later.reset();
  EXPECT_EQ(calls->Find(id), nullptr);
  EXPECT_EQ(calls->stats().Get(CallKind::kFsync).count, 1u);
}

TEST(CallsTest, Interrupt_FiresThoseThatAreMeant) {
  auto calls = std::make_shared<Calls>();
  std::shared_ptr<Call> write = calls->Begin(CallKind::kWrite, InodeId(5), 1);
  { CallScope answered_later(write); }
  std::shared_ptr<Call> lookup = calls->Begin(CallKind::kLookup, InodeId(1), 1);
  const absl::Status why = MakeError(v1::INTERRUPTED, "enough");
  EXPECT_EQ(calls->Interrupt(why, Calls::Which::kOnThread), 1u);
  EXPECT_TRUE(lookup->interruption.fired());
  EXPECT_FALSE(write->interruption.fired());
  EXPECT_EQ(calls->Interrupt(why), 2u);
  EXPECT_TRUE(write->interruption.fired());
}

}  // namespace
}  // namespace appendfs::fuse
