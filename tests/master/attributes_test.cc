#include "tests/master/tiny_namespace.h"

namespace appendfs {
namespace {

class AttributesTest : public ::testing::Test {
 protected:
  AttributesTest() { file_ = ns_.Make(kRoot, "f"); }

  v1::MetaOp SetOp() {
    v1::MetaOp op;
    ns_.Name(*op.mutable_set_attributes()->mutable_mutation());
    op.mutable_set_attributes()->set_inode(file_);
    return op;
  }

  TinyNamespace ns_;
  uint64_t file_;
};

TEST_F(AttributesTest, Mode_IsSetAlone) {
  v1::Attributes before = ns_.AttributesOf(file_);
  v1::MetaOp op = SetOp();
  op.mutable_set_attributes()->set_mode(0400);
  v1::Attributes after = ns_.Run(op).entry().attributes();
  EXPECT_EQ(after.mode(), 0400u);
  EXPECT_EQ(after.ctime_ns(), ns_.now());
  EXPECT_EQ(after.mtime_ns(), before.mtime_ns());
  EXPECT_EQ(after.uid(), before.uid());
}

TEST_F(AttributesTest, NewOwner_TakesPrivilegesAway) {
  v1::MetaOp op = SetOp();
  op.mutable_set_attributes()->set_mode(06755);
  ns_.Run(op);
  op = SetOp();
  op.mutable_set_attributes()->set_uid(0);
  v1::Attributes after = ns_.Run(op).entry().attributes();
  EXPECT_EQ(after.uid(), 0u);
  EXPECT_EQ(after.mode(), 0755u);
}

TEST_F(AttributesTest, Times_ToValuesAndToNow) {
  v1::MetaOp op = SetOp();
  op.mutable_set_attributes()->set_atime_ns(5);
  op.mutable_set_attributes()->set_mtime_ns(6);
  v1::Attributes after = ns_.Run(op).entry().attributes();
  EXPECT_EQ(after.atime_ns(), 5u);
  EXPECT_EQ(after.mtime_ns(), 6u);
  EXPECT_EQ(after.mtime_set_ns(), ns_.now());
  op = SetOp();
  op.mutable_set_attributes()->set_atime_now(true);
  op.mutable_set_attributes()->set_mtime_now(true);
  after = ns_.Run(op).entry().attributes();
  EXPECT_EQ(after.atime_ns(), ns_.now());
  EXPECT_EQ(after.mtime_ns(), ns_.now());
}

TEST_F(AttributesTest, NothingAsked_NothingChanges) {
  v1::Attributes before = ns_.AttributesOf(file_);
  EXPECT_EQ(ns_.Run(SetOp()).entry().attributes().ctime_ns(), before.ctime_ns());
}

TEST_F(AttributesTest, BadInput_IsRefused) {
  v1::MetaOp op = SetOp();
  op.mutable_set_attributes()->set_mode(0100644);
  EXPECT_EQ(ns_.ReasonRun(op), v1::INVALID);
  op = SetOp();
  op.mutable_set_attributes()->set_mtime_ns(1);
  op.mutable_set_attributes()->set_mtime_now(true);
  EXPECT_EQ(ns_.ReasonRun(op), v1::INVALID);
  op = SetOp();
  op.mutable_set_attributes()->set_inode(999);
  EXPECT_EQ(ns_.ReasonRun(op), v1::NO_ENTRY);
}

}  // namespace
}  // namespace appendfs
