#include "tests/master/tiny_namespace.h"

namespace appendfs {
namespace {

class XattrsTest : public ::testing::Test {
 protected:
  XattrsTest() { file_ = ns_.Make(kRoot, "f"); }

  v1::MetaOp SetOp(uint64_t inode, const std::string& name, const std::string& value) {
    v1::MetaOp op;
    ns_.Name(*op.mutable_set_xattr()->mutable_mutation());
    op.mutable_set_xattr()->set_inode(inode);
    op.mutable_set_xattr()->set_name(name);
    op.mutable_set_xattr()->set_value(value);
    return op;
  }
  v1::MetaOp CreateOp(const std::string& name, const std::string& value) {
    v1::MetaOp op = SetOp(file_, name, value);
    op.mutable_set_xattr()->set_create(true);
    return op;
  }
  v1::MetaOp ReplaceOp(const std::string& name, const std::string& value) {
    v1::MetaOp op = SetOp(file_, name, value);
    op.mutable_set_xattr()->set_replace(true);
    return op;
  }
  v1::MetaOp RemoveOp(uint64_t inode, const std::string& name) {
    v1::MetaOp op;
    ns_.Name(*op.mutable_remove_xattr()->mutable_mutation());
    op.mutable_remove_xattr()->set_inode(inode);
    op.mutable_remove_xattr()->set_name(name);
    return op;
  }
  void Set(const std::string& name, const std::string& value) {
    EXPECT_EQ(ns_.ReasonRun(SetOp(file_, name, value)), v1::REASON_UNSPECIFIED);
  }
  std::string Get(const std::string& name) {
    return GetXattr(ns_.tables(), InodeId(file_), name).value_or("(none)");
  }
  std::vector<std::string> List() { return ListXattrs(ns_.tables(), InodeId(file_)).value(); }

  TinyNamespace ns_;
  uint64_t file_;
};

using Names = std::vector<std::string>;

TEST_F(XattrsTest, WhatIsSet_IsReadAndListed) {
  EXPECT_EQ(List(), Names());
  Set("user.b", "two");
  Set("user.a", std::string("\0\xff", 2));
  Set("user.empty", "");
  EXPECT_EQ(Get("user.b"), "two");
  EXPECT_EQ(Get("user.a"), std::string("\0\xff", 2));
  EXPECT_EQ(Get("user.empty"), "");
  EXPECT_EQ(Get("user.c"), "(none)");
  EXPECT_EQ(List(), (Names{"user.a", "user.b", "user.empty"}));
}

TEST_F(XattrsTest, OtherInodes_HaveTheirOwn) {
  uint64_t other = ns_.Make(kRoot, "g");
  Set("user.a", "1");
  EXPECT_EQ(ns_.ReasonRun(SetOp(other, "user.a", "2")), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(Get("user.a"), "1");
  EXPECT_EQ(ns_.ReasonRun(RemoveOp(other, "user.a")), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(Get("user.a"), "1");
}

TEST_F(XattrsTest, Change_MovesCtimeOnly) {
  const v1::Attributes before = ns_.AttributesOf(file_);
  Set("user.a", "1");
  EXPECT_EQ(ns_.AttributesOf(file_).ctime_ns(), ns_.now());
  EXPECT_EQ(ns_.AttributesOf(file_).mtime_ns(), before.mtime_ns());
  EXPECT_EQ(ns_.ReasonRun(RemoveOp(file_, "user.a")), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.AttributesOf(file_).ctime_ns(), ns_.now());
}

TEST_F(XattrsTest, CreateAndReplace_ChecksWhatIsThere) {
  EXPECT_EQ(ns_.ReasonRun(ReplaceOp("user.a", "1")), v1::NO_ATTRIBUTE);
  EXPECT_EQ(ns_.ReasonRun(CreateOp("user.a", "1")), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.ReasonRun(CreateOp("user.a", "2")), v1::ENTRY_EXISTS);
  EXPECT_EQ(Get("user.a"), "1");
  EXPECT_EQ(ns_.ReasonRun(ReplaceOp("user.a", "3")), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(Get("user.a"), "3");
  v1::MetaOp both = CreateOp("user.a", "4");
  both.mutable_set_xattr()->set_replace(true);
  EXPECT_EQ(ns_.ReasonRun(both), v1::INVALID);
}

TEST_F(XattrsTest, SentAgain_GetsTheFirstAnswer) {
  const v1::MetaOp create = CreateOp("user.a", "1");
  EXPECT_EQ(ns_.ReasonRun(create), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.ReasonRun(create), v1::REASON_UNSPECIFIED);
  Set("user.a", "later");
  EXPECT_EQ(ns_.ReasonRun(create), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(Get("user.a"), "later");
  const v1::MetaOp remove = RemoveOp(file_, "user.a");
  EXPECT_EQ(ns_.ReasonRun(remove), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.ReasonRun(remove), v1::REASON_UNSPECIFIED);
}

TEST_F(XattrsTest, Remove_OnlyWhatIsThere) {
  EXPECT_EQ(ns_.ReasonRun(RemoveOp(file_, "user.a")), v1::NO_ATTRIBUTE);
  Set("user.a", "1");
  EXPECT_EQ(ns_.ReasonRun(RemoveOp(file_, "user.a")), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(Get("user.a"), "(none)");
  EXPECT_EQ(List(), Names());
  EXPECT_EQ(ns_.CountPairs(Table::kXattrs), 0);
}

TEST_F(XattrsTest, Bound_IsOfAllTogether) {
  constexpr size_t kBound = 64 << 10;
  const size_t most = kBound - std::string("user.a").size() - 1;
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, "user.a", std::string(most + 1, 'x'))), v1::NO_SPACE);
  Set("user.a", std::string(most, 'x'));
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, "user.b", "")), v1::NO_SPACE);
  Set("user.a", std::string(most - 7, 'y'));  // what is replaced does not count
  Set("user.b", "");
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, "user.b", "1")), v1::NO_SPACE);
  EXPECT_EQ(ns_.ReasonRun(RemoveOp(file_, "user.a")), v1::REASON_UNSPECIFIED);
  Set("user.c", std::string(1000, 'z'));
  EXPECT_EQ(List(), (Names{"user.b", "user.c"}));
}

TEST_F(XattrsTest, ManyNamesWithoutValues_AreBoundedToo) {
  int count = 0;
  while (ns_.ReasonRun(SetOp(file_, "user." + std::string(240, 'n') + std::to_string(count), "")) ==
         v1::REASON_UNSPECIFIED)
    ++count;
  size_t listed = 0;
  for (const std::string& name : List()) listed += name.size() + 1;
  EXPECT_LE(listed, 64u << 10);
  EXPECT_GT(count, 200);
}

TEST_F(XattrsTest, BadNamesAndInodes_AreRefused) {
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, "user.", "1")), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, "", "1")), v1::NOT_SUPPORTED);
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, "trusted.a", "1")), v1::NOT_SUPPORTED);
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, std::string("user.\0a", 7), "1")), v1::INVALID);
  EXPECT_EQ(ns_.ReasonRun(SetOp(file_, "user." + std::string(251, 'n'), "1")), v1::NAME_TOO_LONG);
  Set("user." + std::string(250, 'n'), "1");
  EXPECT_EQ(ns_.ReasonRun(SetOp(999, "user.a", "1")), v1::NO_ENTRY);
  const uint64_t link = ns_.Make(kRoot, "l", v1::SYMLINK);
  EXPECT_EQ(ns_.ReasonRun(SetOp(link, "user.a", "1")), v1::NOT_PERMITTED);
  EXPECT_TRUE(HasReason(GetXattr(ns_.tables(), InodeId(999), "user.a").status(), v1::NO_ENTRY));
  EXPECT_TRUE(HasReason(ListXattrs(ns_.tables(), InodeId(999)).status(), v1::NO_ENTRY));
}

TEST_F(XattrsTest, RemovedInode_TakesThemAlong) {
  Set("user.a", "1");
  const uint64_t directory = ns_.Make(kRoot, "d", v1::DIRECTORY);
  EXPECT_EQ(ns_.ReasonRun(SetOp(directory, "user.a", "1")), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.ReasonRun(ns_.UnlinkOp(kRoot, "d", true)), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.CountPairs(Table::kXattrs), 1);
  v1::MetaOp unlink = ns_.UnlinkOp(kRoot, "f");
  unlink.add_open_inodes(file_);
  EXPECT_EQ(ns_.ReasonRun(unlink), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(Get("user.a"), "1");  // still open
  v1::MetaOp purge;
  purge.mutable_purge_orphans()->add_inodes(file_);
  EXPECT_EQ(ns_.ReasonRun(purge), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ns_.CountPairs(Table::kXattrs), 0);
}

}  // namespace
}  // namespace appendfs
