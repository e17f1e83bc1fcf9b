#include "chunkserver/engine/membership.h"

#include <gtest/gtest.h>

#include "common/protocol.h"

namespace appendfs {
namespace {

v1::CommandOrigin Origin(uint64_t incarnation, uint64_t registration) {
  v1::CommandOrigin origin;
  origin.set_cluster_uuid("c");
  origin.set_server_id(3);
  origin.set_incarnation(incarnation);
  origin.set_registration(registration);
  return origin;
}

v1::PeerHello Hello() {
  v1::PeerHello hello;
  *hello.mutable_version() = OurProtocol();
  hello.set_cluster_uuid("c");
  hello.set_server_id(1);
  hello.set_expected_server_id(3);
  return hello;
}

class MembershipTest : public ::testing::Test {
 protected:
  MembershipTest() { membership_.Registered({"c", ServerId(3), 5, 2}); }
  Reason Check(const v1::CommandOrigin& origin) {
    return ReasonOf(membership_.CheckCommand(origin));
  }
  Membership membership_{"", ServerId()};
};

TEST_F(MembershipTest, Command_OlderThanTheNewestSeen_IsStale) {
  EXPECT_EQ(Check(Origin(5, 2)), Reason());
  EXPECT_EQ(Check(Origin(5, 1)), v1::STALE_COMMAND);
  EXPECT_EQ(Check(Origin(4, 9)), v1::STALE_COMMAND);
  EXPECT_EQ(Check(Origin(6, 1)), Reason());
  EXPECT_EQ(Check(Origin(5, 9)), v1::STALE_COMMAND);
}

TEST_F(MembershipTest, Command_OfANewerRegistration_IsNotTakenForOurOwn) {
  EXPECT_EQ(Check(Origin(6, 3)), Reason());
  EXPECT_EQ(membership_.self().incarnation, 5u);
  EXPECT_EQ(membership_.self().registration, 2u);
  membership_.Registered({"c", ServerId(3), 6, 2});  // an answer that came late
  EXPECT_EQ(Check(Origin(6, 2)), v1::STALE_COMMAND);
}

TEST_F(MembershipTest, Command_ForSomeoneElse_IsRefused) {
  v1::CommandOrigin origin = Origin(5, 2);
  origin.set_server_id(4);
  EXPECT_EQ(Check(origin), v1::WRONG_SERVER);
  origin = Origin(5, 2);
  origin.set_cluster_uuid("other");
  EXPECT_EQ(Check(origin), v1::WRONG_CLUSTER);
}

TEST_F(MembershipTest, Hello_Checked) {
  EXPECT_TRUE(membership_.CheckHello(Hello()).ok());
  v1::PeerHello hello = Hello();
  hello.set_expected_server_id(4);
  EXPECT_EQ(ReasonOf(membership_.CheckHello(hello)), v1::WRONG_SERVER);
  hello = Hello();
  hello.mutable_version()->set_lowest(kCurrentProtocol + 1);
  hello.mutable_version()->set_current(kCurrentProtocol + 1);
  EXPECT_EQ(ReasonOf(membership_.CheckHello(hello)), v1::VERSION_MISMATCH);
  v1::ClientHello client;
  *client.mutable_version() = OurProtocol();
  client.set_cluster_uuid("other");
  EXPECT_EQ(ReasonOf(membership_.CheckHello(client)), v1::WRONG_CLUSTER);
}

TEST(Membership, NotRegistered_IsNotReady) {
  Membership membership("", ServerId());
  EXPECT_EQ(ReasonOf(membership.CheckHello(Hello())), v1::NOT_READY);
}

}  // namespace
}  // namespace appendfs
