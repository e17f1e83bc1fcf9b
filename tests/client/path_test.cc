#include "client/path.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace appendfs {
namespace {

// A namespace of a few entries.
class FakeNodes final : public PathNodes {
 public:
  FakeNodes() { Add(0, "", v1::DIRECTORY); }
  uint64_t Add(uint64_t parent, const std::string& name, v1::FileType type,
               const std::string& target = "") {
    uint64_t inode = ++last_;
    types_[inode] = type;
    names_[{parent, name}] = inode;
    targets_[inode] = target;
    return inode;
  }

  absl::StatusOr<v1::Entry> Root() override { return Make(1); }
  absl::StatusOr<v1::Entry> LookupEntry(InodeId parent, std::string_view name) override {
    auto found = names_.find({parent.value(), std::string(name)});
    if (found == names_.end()) return MakeError(v1::NO_ENTRY, "no such entry");
    return Make(found->second);
  }
  absl::StatusOr<std::string> ReadSymlink(InodeId inode) override {
    return targets_[inode.value()];
  }

 private:
  v1::Entry Make(uint64_t inode) {
    v1::Entry entry;
    entry.mutable_attributes()->set_inode(inode);
    entry.mutable_attributes()->set_type(types_[inode]);
    return entry;
  }
  uint64_t last_ = 0;
  std::map<uint64_t, v1::FileType> types_;
  std::map<std::pair<uint64_t, std::string>, uint64_t> names_;
  std::map<uint64_t, std::string> targets_;
};

class PathTest : public testing::Test {
 protected:
  uint64_t Inode(std::string_view path, bool follow = true) {
    absl::StatusOr<ResolvedPath> found = ResolvePath(nodes_, path, follow);
    if (!found.ok() || !found->entry) return 0;
    return found->entry->attributes().inode();
  }
  Reason Error(std::string_view path) { return ReasonOf(ResolvePath(nodes_, path, true).status()); }

  FakeNodes nodes_;
  uint64_t web_ = nodes_.Add(1, "web", v1::DIRECTORY);
  uint64_t log_ = nodes_.Add(web_, "access.log", v1::REGULAR);
  uint64_t deep_ = nodes_.Add(web_, "deep", v1::DIRECTORY);
};

TEST_F(PathTest, PlainPaths_AreFound) {
  EXPECT_EQ(Inode("/"), 1u);
  EXPECT_EQ(Inode("//web/./access.log"), log_);
  EXPECT_EQ(Inode("/web/deep/../access.log"), log_);
  EXPECT_EQ(Inode("/../web"), web_);
  EXPECT_EQ(Inode("/web/deep/.."), web_);
}

TEST_F(PathTest, MissingLastComponent_NamesWhereItWouldBe) {
  absl::StatusOr<ResolvedPath> found = ResolvePath(nodes_, "/web/new.log", true);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->entry);
  EXPECT_EQ(found->parent, InodeId(web_));
  EXPECT_EQ(found->name, "new.log");
}

TEST_F(PathTest, WrongPaths_SayWhy) {
  EXPECT_EQ(Error("web"), v1::INVALID);
  EXPECT_EQ(Error("/none/x"), v1::NO_ENTRY);
  EXPECT_EQ(Error("/web/access.log/x"), v1::NOT_DIRECTORY);
  EXPECT_EQ(Error("/web/access.log/"), v1::NOT_DIRECTORY);
}

TEST_F(PathTest, Symlinks_AreFollowedOnTheWay) {
  nodes_.Add(web_, "up", v1::SYMLINK, "../web/deep");
  uint64_t inner = nodes_.Add(deep_, "inner", v1::REGULAR);
  nodes_.Add(1, "absolute", v1::SYMLINK, "/web");
  EXPECT_EQ(Inode("/web/up/inner"), inner);
  EXPECT_EQ(Inode("/absolute/access.log"), log_);
}

TEST_F(PathTest, SymlinkAtTheEnd_IsFollowedIfAskedTo) {
  uint64_t link = nodes_.Add(1, "link", v1::SYMLINK, "web/access.log");
  EXPECT_EQ(Inode("/link", false), link);
  EXPECT_EQ(Inode("/link", true), log_);
  nodes_.Add(1, "dangling", v1::SYMLINK, "web/none");
  absl::StatusOr<ResolvedPath> found = ResolvePath(nodes_, "/dangling", true);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->entry);
  EXPECT_EQ(found->parent, InodeId(web_)) << "where O_CREAT makes the file";
}

TEST_F(PathTest, SymlinkLoop_EndsWithAnError) {
  nodes_.Add(1, "a", v1::SYMLINK, "b");
  nodes_.Add(1, "b", v1::SYMLINK, "a");
  EXPECT_EQ(Error("/a"), v1::INPUT_OUTPUT);
}

}  // namespace
}  // namespace appendfs
