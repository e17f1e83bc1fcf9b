#include <gmock/gmock.h>

#include "tests/master/tiny_namespace.h"

namespace appendfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(MakeNode, File_HasTheAttributesAsked) {
  TinyNamespace ns;
  uint64_t file = ns.Make(kRoot, "a");
  v1::Attributes attributes = ns.AttributesOf(file);
  EXPECT_EQ(attributes.type(), v1::REGULAR);
  EXPECT_EQ(attributes.mode(), 0644u);
  EXPECT_EQ(attributes.nlink(), 1u);
  EXPECT_EQ(attributes.uid(), 10u);
  EXPECT_EQ(attributes.gid(), 20u);
  EXPECT_EQ(attributes.mtime_ns(), ns.now());
  v1::Attributes root = ns.AttributesOf(kRoot);
  EXPECT_EQ(root.sealed_bytes(), 1u);
  EXPECT_EQ(root.nlink(), 2u);
  EXPECT_EQ(root.mtime_ns(), ns.now());
  EXPECT_EQ(CountInodes(ns.tables()).value(), 2u);
}

TEST(MakeNode, Directory_CountsInItsParentsLinks) {
  TinyNamespace ns;
  uint64_t directory = ns.Make(kRoot, "d", v1::DIRECTORY);
  EXPECT_EQ(ns.AttributesOf(directory).nlink(), 2u);
  EXPECT_EQ(ns.AttributesOf(directory).parent(), kRoot);
  EXPECT_EQ(ns.AttributesOf(kRoot).nlink(), 3u);
}

TEST(MakeNode, InSetgidDirectory_InheritsItsGroup_AndDirectoriesTheBit) {
  TinyNamespace ns;
  uint64_t shared = ns.Make(kRoot, "d", v1::DIRECTORY);
  v1::MetaOp op;
  ns.Name(*op.mutable_set_attributes()->mutable_mutation());
  op.mutable_set_attributes()->set_inode(shared);
  op.mutable_set_attributes()->set_mode(02775);
  op.mutable_set_attributes()->set_gid(99);
  ASSERT_FALSE(ns.Run(op).has_error());
  EXPECT_EQ(ns.AttributesOf(ns.Make(shared, "f")).gid(), 99u);
  EXPECT_EQ(ns.AttributesOf(ns.Make(shared, "f2")).mode(), 0644u);
  v1::Attributes below = ns.AttributesOf(ns.Make(shared, "d", v1::DIRECTORY));
  EXPECT_EQ(below.gid(), 99u);
  EXPECT_EQ(below.mode(), 02755u);
}

TEST(MakeNode, Symlink_KeepsItsTarget) {
  TinyNamespace ns;
  uint64_t link = ns.Make(kRoot, "l", v1::SYMLINK);
  EXPECT_EQ(ReadLinkTarget(ns.tables(), InodeId(link)).value(), "target");
  EXPECT_EQ(ns.AttributesOf(link).sealed_bytes(), 6u);
  EXPECT_EQ(ReasonOf(ReadLinkTarget(ns.tables(), kRootInode).status()), v1::INVALID);
}

TEST(MakeNode, ExistingName_IsReturnedOnlyIfRegularAndNotExclusive) {
  TinyNamespace ns;
  uint64_t file = ns.Make(kRoot, "f");
  ns.Make(kRoot, "d", v1::DIRECTORY);
  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(kRoot, "f")), v1::ENTRY_EXISTS);
  v1::MetaOp op = ns.MakeOp(kRoot, "f");
  op.mutable_make_node()->set_exclusive(false);
  v1::MetaResult result = ns.Run(op);
  EXPECT_FALSE(result.make_node().created());
  EXPECT_EQ(result.make_node().entry().attributes().inode(), file);
  op = ns.MakeOp(kRoot, "d");
  op.mutable_make_node()->set_exclusive(false);
  EXPECT_EQ(ns.ReasonRun(op), v1::ENTRY_EXISTS);
}

TEST(MakeNode, BadInput_IsRefusedWithAMessage) {
  TinyNamespace ns;
  uint64_t file = ns.Make(kRoot, "f");
  const std::pair<std::string, Reason> names[] = {
      {"", v1::INVALID},
      {".", v1::INVALID},
      {"..", v1::INVALID},
      {"a/b", v1::INVALID},
      {std::string("a\0b", 3), v1::INVALID},
      {std::string(256, 'x'), v1::NAME_TOO_LONG},
  };
  for (const auto& [name, reason] : names) {
    v1::MetaResult result = ns.Run(ns.MakeOp(kRoot, name));
    EXPECT_EQ(result.error().reason(), reason) << name;
    EXPECT_FALSE(result.error().message().empty());
    EXPECT_EQ(ns.ReasonRun(ns.UnlinkOp(kRoot, name)), reason);
    EXPECT_EQ(ns.ReasonRun(ns.LinkOp(file, kRoot, name)), reason);
    EXPECT_EQ(ns.ReasonRun(ns.RenameOp(kRoot, "f", kRoot, name)), reason);
    EXPECT_EQ(ns.ReasonRun(ns.RenameOp(kRoot, name, kRoot, "g")), reason);
    EXPECT_EQ(ReasonOf(Lookup(ns.tables(), kRootInode, name).status()), reason);
  }
  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(kRoot, std::string(255, 'x'))), v1::REASON_UNSPECIFIED);

  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(kRoot, "g", static_cast<v1::FileType>(9))), v1::INVALID);
  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(kRoot, "g", v1::FILE_TYPE_UNSPECIFIED)), v1::INVALID);
  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(999, "g")), v1::NO_ENTRY);
  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(0, "g")), v1::NO_ENTRY);
  EXPECT_EQ(ns.ReasonRun(ns.MakeOp(file, "g")), v1::NOT_DIRECTORY);

  v1::MetaOp op = ns.MakeOp(kRoot, "g");
  op.mutable_make_node()->set_mode(0100644);
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
  op = ns.MakeOp(kRoot, "g");
  op.mutable_make_node()->set_symlink_target("x");
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
  op = ns.MakeOp(kRoot, "g", v1::FIFO);
  op.mutable_make_node()->set_open(true);
  EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
  for (const std::string& target : {std::string(), std::string("a\0b", 3)}) {
    op = ns.MakeOp(kRoot, "g", v1::SYMLINK);
    op.mutable_make_node()->set_symlink_target(target);
    EXPECT_EQ(ns.ReasonRun(op), v1::INVALID);
  }
  op = ns.MakeOp(kRoot, "g", v1::SYMLINK);
  op.mutable_make_node()->set_symlink_target(std::string(4096, 'x'));
  EXPECT_EQ(ns.ReasonRun(op), v1::NAME_TOO_LONG);
  EXPECT_EQ(ns.ReasonRun(v1::MetaOp()), v1::INVALID);
  EXPECT_EQ(ns.Find(kRoot, "g"), 0u);
}

TEST(Link, SecondName_IsTheSameInode_UntilTheLastIsGone) {
  TinyNamespace ns;
  uint64_t file = ns.Make(kRoot, "a");
  v1::MetaResult result = ns.Run(ns.LinkOp(file, kRoot, "b"));
  EXPECT_EQ(result.entry().attributes().nlink(), 2u);
  EXPECT_EQ(result.entry().attributes().ctime_ns(), ns.now());
  EXPECT_EQ(ns.Find(kRoot, "b"), file);
  EXPECT_EQ(ns.ReasonRun(ns.LinkOp(file, kRoot, "b")), v1::ENTRY_EXISTS);
  ASSERT_FALSE(ns.Run(ns.UnlinkOp(kRoot, "a")).has_error());
  EXPECT_EQ(ns.AttributesOf(file).nlink(), 1u);
  EXPECT_EQ(ns.Run(ns.UnlinkOp(kRoot, "b")).unlink().inode(), file);
  EXPECT_FALSE(ns.Exists(file));
  EXPECT_EQ(CountInodes(ns.tables()).value(), 1u);
}

TEST(Link, DirectoryOrUnknown_IsRefused) {
  TinyNamespace ns;
  uint64_t directory = ns.Make(kRoot, "d", v1::DIRECTORY);
  uint64_t file = ns.Make(kRoot, "f");
  EXPECT_EQ(ns.ReasonRun(ns.LinkOp(directory, kRoot, "e")), v1::NOT_PERMITTED);
  EXPECT_EQ(ns.ReasonRun(ns.LinkOp(999, kRoot, "e")), v1::NO_ENTRY);
  EXPECT_EQ(ns.ReasonRun(ns.LinkOp(file, 999, "e")), v1::NO_ENTRY);
  EXPECT_EQ(ns.ReasonRun(ns.LinkOp(file, file, "e")), v1::NOT_DIRECTORY);
}

TEST(Unlink, WrongKind_IsRefused) {
  TinyNamespace ns;
  uint64_t directory = ns.Make(kRoot, "d", v1::DIRECTORY);
  ns.Make(kRoot, "f");
  ns.Make(directory, "inner");
  EXPECT_EQ(ns.ReasonRun(ns.UnlinkOp(kRoot, "d")), v1::IS_DIRECTORY);
  EXPECT_EQ(ns.ReasonRun(ns.UnlinkOp(kRoot, "f", true)), v1::NOT_DIRECTORY);
  EXPECT_EQ(ns.ReasonRun(ns.UnlinkOp(kRoot, "d", true)), v1::DIRECTORY_NOT_EMPTY);
  EXPECT_EQ(ns.ReasonRun(ns.UnlinkOp(kRoot, "nothing")), v1::NO_ENTRY);
  EXPECT_EQ(ns.ReasonRun(ns.UnlinkOp(999, "f")), v1::NO_ENTRY);
  ASSERT_FALSE(ns.Run(ns.UnlinkOp(directory, "inner")).has_error());
  ASSERT_FALSE(ns.Run(ns.UnlinkOp(kRoot, "d", true)).has_error());
  EXPECT_FALSE(ns.Exists(directory));
  EXPECT_EQ(ns.AttributesOf(kRoot).nlink(), 2u);
  EXPECT_THAT(ns.List(kRoot), ElementsAre("f"));
}

TEST(Unlink, OpenFile_BecomesAnOrphan_UntilItIsPurged) {
  TinyNamespace ns;
  uint64_t file = ns.Make(kRoot, "f");
  uint64_t handle = ns.Allocate(file);
  v1::MetaOp op = ns.UnlinkOp(kRoot, "f");
  op.add_open_inodes(file);
  v1::MetaResult result = ns.Run(op);
  EXPECT_EQ(result.garbage_size(), 0);
  EXPECT_EQ(ns.AttributesOf(file).nlink(), 0u);
  EXPECT_EQ(ns.Find(kRoot, "f"), 0u);
  EXPECT_EQ(ns.CountPairs(Table::kOrphans), 1);
  EXPECT_EQ(ns.ReasonRun(ns.LinkOp(file, kRoot, "again")), v1::NO_ENTRY);

  v1::MetaOp purge;
  purge.mutable_purge_orphans()->add_inodes(file);
  purge.mutable_purge_orphans()->add_inodes(kRoot);  // not an orphan: left alone
  purge.add_open_inodes(file);
  EXPECT_EQ(ns.Run(purge).garbage_size(), 0);
  EXPECT_TRUE(ns.Exists(file));
  purge.clear_open_inodes();
  result = ns.Run(purge);
  ASSERT_EQ(result.garbage_size(), 1);
  EXPECT_EQ(result.garbage(0), handle);
  EXPECT_FALSE(ns.Exists(file));
  EXPECT_TRUE(ns.Exists(kRoot));
  EXPECT_EQ(ns.CountPairs(Table::kOrphans), 0);
  EXPECT_EQ(ns.CountPairs(Table::kGarbage), 1);
}

TEST(ReadDirectory, Pages_AreStableWhileTheDirectoryChanges) {
  TinyNamespace ns;
  for (char c = 'a'; c <= 'j'; ++c) ns.Make(kRoot, std::string(1, c));
  v1::ReadDirectoryRequest request;
  request.set_inode(kRoot);
  request.set_limit(3);
  request.set_with_entries(true);
  std::vector<std::string> seen;
  for (int page = 0;; ++page) {
    absl::StatusOr<v1::ReadDirectoryResponse> response = ReadDirectoryPage(ns.tables(), request);
    ASSERT_TRUE(response.ok());
    EXPECT_LE(response->entries_size(), 3);
    for (const v1::DirectoryEntry& entry : response->entries()) {
      EXPECT_EQ(entry.entry().attributes().inode(), entry.inode());
      seen.push_back(entry.name());
    }
    if (response->end()) break;
    request.set_after(seen.back());
    // Behind, at and before the place where the reader stands.
    if (page == 0) {
      ns.Run(ns.UnlinkOp(kRoot, "a"));
      ns.Run(ns.UnlinkOp(kRoot, "c"));
      ns.Run(ns.UnlinkOp(kRoot, "e"));
      ns.Make(kRoot, "aa");
      ns.Make(kRoot, "ff");
    }
  }
  EXPECT_THAT(seen, ElementsAre("a", "b", "c", "d", "f", "ff", "g", "h", "i", "j"));
}

TEST(ReadDirectory, BadInput_IsRefused) {
  TinyNamespace ns;
  v1::ReadDirectoryRequest request;
  request.set_inode(ns.Make(kRoot, "f"));
  EXPECT_EQ(ReasonOf(ReadDirectoryPage(ns.tables(), request).status()), v1::NOT_DIRECTORY);
  request.set_inode(999);
  EXPECT_EQ(ReasonOf(ReadDirectoryPage(ns.tables(), request).status()), v1::NO_ENTRY);
  request.set_inode(kRoot);
  request.set_after(std::string(256, 'x'));
  EXPECT_EQ(ReasonOf(ReadDirectoryPage(ns.tables(), request).status()), v1::NAME_TOO_LONG);
}

TEST(ResolvePath, Components_AreWalked_AndErrorsNameThePath) {
  TinyNamespace ns;
  uint64_t d = ns.Make(kRoot, "d", v1::DIRECTORY);
  uint64_t f = ns.Make(d, "f");
  auto resolve = [&](std::string_view path) { return ResolvePath(ns.tables(), path); };
  EXPECT_EQ(resolve("/").value(), kRootInode);
  EXPECT_EQ(resolve("/d/f").value(), InodeId(f));
  EXPECT_EQ(resolve("//d/./f").value(), InodeId(f));
  EXPECT_EQ(resolve("/d/../d/").value(), InodeId(d));
  EXPECT_EQ(resolve("/../..").value(), kRootInode);
  EXPECT_EQ(ReasonOf(resolve("d/f").status()), v1::INVALID);
  EXPECT_EQ(ReasonOf(resolve("").status()), v1::INVALID);
  EXPECT_EQ(ReasonOf(resolve("/d/f/x").status()), v1::NOT_DIRECTORY);
  EXPECT_EQ(ReasonOf(resolve("/d/x").status()), v1::NO_ENTRY);
  EXPECT_THAT(std::string(resolve("/d/x").status().message()), HasSubstr("/d/x"));
}

}  // namespace
}  // namespace appendfs
