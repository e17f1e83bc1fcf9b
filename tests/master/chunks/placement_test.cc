#include "master/chunks/placement.h"

#include <gtest/gtest.h>

#include <set>

namespace appendfs {
namespace {

constexpr uint64_t kGiB = 1ull << 30;

PlacementCandidate Server(uint64_t id, uint32_t open = 0, uint64_t free = 50 * kGiB) {
  return {ServerId(id), 100 * kGiB, free, open, 0, false};
}

TEST(PlaceChunk, FourServers_ThreeLeastLoaded) {
  std::vector<PlacementCandidate> servers = {Server(1, 9), Server(2, 2), Server(3, 1),
                                             Server(4, 3)};
  auto placement = PlaceChunk(servers, kGiB);
  ASSERT_TRUE(placement.ok());
  EXPECT_EQ(placement->members, (std::vector<ServerId>{ServerId(3), ServerId(2), ServerId(4)}));
}

TEST(PlaceChunk, PrimaryIsTheOneWithFewest) {
  std::vector<PlacementCandidate> servers = {Server(1), Server(2), Server(3)};
  servers[0].primaries = 2;
  servers[1].primaries = 1;
  servers[2].primaries = 3;
  EXPECT_EQ(PlaceChunk(servers, kGiB)->primary, ServerId(2));
}

TEST(PlaceChunk, FullServers_LeftOut) {
  std::vector<PlacementCandidate> servers = {Server(1), Server(2, 0, 100), Server(3)};
  auto placement = PlaceChunk(servers, kGiB);
  ASSERT_TRUE(placement.ok());
  EXPECT_EQ(placement->members.size(), 2u);
}

TEST(PlaceChunk, FullerServer_LoadedLess) {
  std::vector<PlacementCandidate> servers = {Server(1, 4, 90 * kGiB), Server(2, 4, 90 * kGiB),
                                             Server(3, 3, 10 * kGiB), Server(4, 4, 90 * kGiB)};
  auto placement = PlaceChunk(servers, kGiB);
  std::set<ServerId> members(placement->members.begin(), placement->members.end());
  EXPECT_FALSE(members.contains(ServerId(3)));
}

TEST(PlaceChunk, OneServer_QuorumLost) {
  std::vector<PlacementCandidate> servers = {Server(1)};
  EXPECT_TRUE(HasReason(PlaceChunk(servers, kGiB).status(), v1::QUORUM_LOST));
}

TEST(PlaceChunk, NoRoom_NoSpace) {
  std::vector<PlacementCandidate> servers = {Server(1), Server(2, 0, 1), Server(3, 0, 1)};
  EXPECT_TRUE(HasReason(PlaceChunk(servers, kGiB).status(), v1::NO_SPACE));
}

TEST(PlaceChunk, Suspects_OnlyToMakeUpTheQuorum) {
  std::vector<PlacementCandidate> servers = {Server(1), Server(2), Server(3)};
  servers[0].suspect = true;
  auto placement = PlaceChunk(servers, kGiB);
  EXPECT_EQ(placement->members, (std::vector<ServerId>{ServerId(2), ServerId(3)}));
  servers[1].suspect = true;
  placement = PlaceChunk(servers, kGiB);
  EXPECT_EQ(placement->members, (std::vector<ServerId>{ServerId(3), ServerId(1)}));
  EXPECT_EQ(placement->primary, ServerId(3));
}

TEST(PlaceCopy, ExcludedAndFull_LeftOut) {
  std::vector<PlacementCandidate> servers = {Server(1), Server(2, 0, 10), Server(3, 5)};
  std::vector<ServerId> exclude = {ServerId(1)};
  EXPECT_EQ(PlaceCopy(servers, 1000, exclude), ServerId(3));
  exclude.push_back(ServerId(3));
  EXPECT_FALSE(PlaceCopy(servers, 1000, exclude));
}

}  // namespace
}  // namespace appendfs
