#include <gmock/gmock.h>

#include "tests/master/tiny_namespace.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;

class RenameTest : public ::testing::Test {
 protected:
  RenameTest() {
    left_ = ns_.Make(kRoot, "left", v1::DIRECTORY);
    right_ = ns_.Make(kRoot, "right", v1::DIRECTORY);
  }
  TinyNamespace ns_;
  uint64_t left_, right_;
};

TEST_F(RenameTest, File_ToFreeName_Moves) {
  uint64_t file = ns_.Make(left_, "a");
  v1::MetaResult result = ns_.Run(ns_.RenameOp(left_, "a", right_, "b"));
  EXPECT_EQ(result.rename().inode(), file);
  EXPECT_EQ(result.rename().replaced_inode(), 0u);
  EXPECT_EQ(ns_.Find(left_, "a"), 0u);
  EXPECT_EQ(ns_.Find(right_, "b"), file);
  EXPECT_EQ(ns_.AttributesOf(file).ctime_ns(), ns_.now());
  for (uint64_t parent : {left_, right_}) EXPECT_EQ(ns_.AttributesOf(parent).mtime_ns(), ns_.now());
  EXPECT_EQ(ns_.AttributesOf(left_).sealed_bytes(), 0u);
  EXPECT_EQ(ns_.AttributesOf(right_).sealed_bytes(), 1u);
  ASSERT_EQ(result.changed_size(), 3);  // told as they are now
  for (const v1::Entry& told : result.changed())
    EXPECT_EQ(told.attributes().SerializeAsString(),
              ns_.AttributesOf(told.attributes().inode()).SerializeAsString());
}

TEST_F(RenameTest, File_WithinOneDirectory_KeepsItsCount) {
  uint64_t file = ns_.Make(left_, "a");
  ASSERT_FALSE(ns_.Run(ns_.RenameOp(left_, "a", left_, "b")).has_error());
  EXPECT_EQ(ns_.Find(left_, "b"), file);
  EXPECT_EQ(ns_.AttributesOf(left_).sealed_bytes(), 1u);
}

TEST_F(RenameTest, File_OverFile_ReplacesAndPurgesIt) {
  uint64_t file = ns_.Make(left_, "a");
  uint64_t old = ns_.Make(right_, "b");
  uint64_t handle = ns_.Allocate(old);
  v1::MetaResult result = ns_.Run(ns_.RenameOp(left_, "a", right_, "b"));
  EXPECT_EQ(result.rename().replaced_inode(), old);
  EXPECT_THAT(result.garbage(), ElementsAre(handle));
  EXPECT_FALSE(ns_.Exists(old));
  EXPECT_EQ(ns_.Find(right_, "b"), file);
  EXPECT_EQ(ns_.AttributesOf(right_).sealed_bytes(), 1u);
}

TEST_F(RenameTest, File_OverOpenFile_LeavesAnOrphan) {
  ns_.Make(left_, "a");
  uint64_t old = ns_.Make(right_, "b");
  v1::MetaOp op = ns_.RenameOp(left_, "a", right_, "b");
  op.add_open_inodes(old);
  ASSERT_FALSE(ns_.Run(op).has_error());
  EXPECT_EQ(ns_.AttributesOf(old).nlink(), 0u);
  EXPECT_EQ(ns_.CountPairs(Table::kOrphans), 1);
}

TEST_F(RenameTest, File_OverFileWithAnotherName_TakesOneLink) {
  ns_.Make(left_, "a");
  uint64_t old = ns_.Make(right_, "b");
  ASSERT_FALSE(ns_.Run(ns_.LinkOp(old, left_, "other")).has_error());
  ASSERT_FALSE(ns_.Run(ns_.RenameOp(left_, "a", right_, "b")).has_error());
  EXPECT_EQ(ns_.AttributesOf(old).nlink(), 1u);
  EXPECT_EQ(ns_.Find(left_, "other"), old);
}

TEST_F(RenameTest, TwoNamesOfOneInode_NothingHappens) {
  uint64_t file = ns_.Make(left_, "a");
  ASSERT_FALSE(ns_.Run(ns_.LinkOp(file, right_, "b")).has_error());
  for (auto mode : {TinyNamespace::kReplace, TinyNamespace::kExchange})
    ASSERT_FALSE(ns_.Run(ns_.RenameOp(left_, "a", right_, "b", mode)).has_error());
  EXPECT_EQ(ns_.Find(left_, "a"), file);
  EXPECT_EQ(ns_.Find(right_, "b"), file);
  EXPECT_EQ(ns_.AttributesOf(file).nlink(), 2u);
  ASSERT_FALSE(ns_.Run(ns_.RenameOp(left_, "a", left_, "a")).has_error());
  EXPECT_EQ(ns_.Find(left_, "a"), file);
}

TEST_F(RenameTest, NoReplace_OverExistingName_IsRefused) {
  uint64_t file = ns_.Make(left_, "a");
  uint64_t old = ns_.Make(right_, "b");
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "a", right_, "b", TinyNamespace::kNoReplace)),
            v1::ENTRY_EXISTS);
  EXPECT_EQ(ns_.Find(left_, "a"), file);
  EXPECT_EQ(ns_.Find(right_, "b"), old);
  ASSERT_FALSE(
      ns_.Run(ns_.RenameOp(left_, "a", right_, "c", TinyNamespace::kNoReplace)).has_error());
  EXPECT_EQ(ns_.Find(right_, "c"), file);
}

TEST_F(RenameTest, Directory_ToAnotherParent_TakesItsLinkAlong) {
  uint64_t moved = ns_.Make(left_, "d", v1::DIRECTORY);
  uint64_t inner = ns_.Make(moved, "f");
  ASSERT_FALSE(ns_.Run(ns_.RenameOp(left_, "d", right_, "e")).has_error());
  EXPECT_EQ(ns_.AttributesOf(moved).parent(), right_);
  EXPECT_EQ(ns_.AttributesOf(left_).nlink(), 2u);
  EXPECT_EQ(ns_.AttributesOf(right_).nlink(), 3u);
  EXPECT_EQ(ns_.Find(moved, "f"), inner);
}

TEST_F(RenameTest, Directory_OverEmptyDirectory_ReplacesIt) {
  uint64_t moved = ns_.Make(left_, "d", v1::DIRECTORY);
  uint64_t old = ns_.Make(right_, "e", v1::DIRECTORY);
  ASSERT_FALSE(ns_.Run(ns_.RenameOp(left_, "d", right_, "e")).has_error());
  EXPECT_FALSE(ns_.Exists(old));
  EXPECT_EQ(ns_.Find(right_, "e"), moved);
  EXPECT_EQ(ns_.AttributesOf(right_).nlink(), 3u);
  EXPECT_EQ(ns_.AttributesOf(right_).sealed_bytes(), 1u);
}

TEST_F(RenameTest, Directory_OverFullDirectory_IsRefused) {
  ns_.Make(left_, "d", v1::DIRECTORY);
  ns_.Make(ns_.Make(right_, "e", v1::DIRECTORY), "f");
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "d", right_, "e")), v1::DIRECTORY_NOT_EMPTY);
}

TEST_F(RenameTest, Directory_OverItsOwnAncestor_IsRefused) {
  uint64_t d = ns_.Make(left_, "d", v1::DIRECTORY);
  ns_.Make(d, "e", v1::DIRECTORY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(d, "e", kRoot, "left")), v1::DIRECTORY_NOT_EMPTY);
}

TEST_F(RenameTest, Directory_IntoItsOwnSubtree_IsInvalid) {
  uint64_t d = ns_.Make(left_, "d", v1::DIRECTORY);
  uint64_t e = ns_.Make(d, "e", v1::DIRECTORY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(kRoot, "left", left_, "x")), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(kRoot, "left", e, "x")), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "d", e, "x")), v1::INVALID);
}

TEST_F(RenameTest, KindsThatDoNotFit_AreRefused) {
  ns_.Make(left_, "f");
  ns_.Make(left_, "d", v1::DIRECTORY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "f", left_, "d")), v1::IS_DIRECTORY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "d", left_, "f")), v1::NOT_DIRECTORY);
}

TEST_F(RenameTest, MissingParts_AreNamed) {
  uint64_t file = ns_.Make(left_, "f");
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "none", right_, "x")), v1::NO_ENTRY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(999, "f", right_, "x")), v1::NO_ENTRY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "f", 999, "x")), v1::NO_ENTRY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "f", file, "x")), v1::NOT_DIRECTORY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(left_, "f", right_, "x", TinyNamespace::kExchange)),
            v1::NO_ENTRY);
  v1::MetaOp op = ns_.RenameOp(left_, "f", right_, "x", TinyNamespace::kExchange);
  op.mutable_rename()->set_no_replace(true);
  EXPECT_EQ(ns_.ReasonRun(op), v1::INVALID);
}

TEST_F(RenameTest, Exchange_FileAndDirectory_SwapsThem) {
  uint64_t file = ns_.Make(left_, "a");
  uint64_t directory = ns_.Make(right_, "b", v1::DIRECTORY);
  ns_.Make(directory, "inner");
  v1::MetaResult result = ns_.Run(ns_.RenameOp(left_, "a", right_, "b", TinyNamespace::kExchange));
  EXPECT_EQ(result.rename().replaced_inode(), directory);
  EXPECT_EQ(ns_.Find(left_, "a"), directory);
  EXPECT_EQ(ns_.Find(right_, "b"), file);
  EXPECT_EQ(ns_.AttributesOf(directory).parent(), left_);
  EXPECT_EQ(ns_.AttributesOf(left_).nlink(), 3u);
  EXPECT_EQ(ns_.AttributesOf(right_).nlink(), 2u);
}

TEST_F(RenameTest, Exchange_WithOwnSubtree_IsInvalidBothWays) {
  uint64_t d = ns_.Make(left_, "d", v1::DIRECTORY);
  ns_.Make(d, "e", v1::DIRECTORY);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(kRoot, "left", d, "e", TinyNamespace::kExchange)),
            v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(ns_.RenameOp(d, "e", kRoot, "left", TinyNamespace::kExchange)),
            v1::INVALID);
}

}  // namespace
}  // namespace appendfs
