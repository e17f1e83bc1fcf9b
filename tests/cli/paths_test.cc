#include "cli/paths.h"

#include <gtest/gtest.h>

#include "tests/cli/fake_client.h"

namespace appendfs::cli {
namespace {

TEST(Paths, Normalize_AnyWriting_IsAbsoluteAndPlain) {
  EXPECT_EQ(*NormalizePath("/"), "/");
  EXPECT_EQ(*NormalizePath("a.log"), "/a.log");
  EXPECT_EQ(*NormalizePath("//a///b/"), "/a/b");
  EXPECT_EQ(*NormalizePath("/a/./b/../c"), "/a/c");
  EXPECT_EQ(*NormalizePath("../../x"), "/x");
  EXPECT_EQ(*NormalizePath("/..."), "/...");
}

TEST(Paths, Normalize_EmptyOrNul_IsInvalid) {
  EXPECT_TRUE(HasReason(NormalizePath("").status(), v1::INVALID));
  EXPECT_TRUE(HasReason(NormalizePath(std::string_view("a\0b", 3)).status(), v1::INVALID));
}

TEST(Paths, Split_AndJoin_AreOpposites) {
  EXPECT_EQ(Split("/a/b").parent, "/a");
  EXPECT_EQ(Split("/a/b").name, "b");
  EXPECT_EQ(Split("/a").parent, "/");
  EXPECT_EQ(Split("/").name, "");
  EXPECT_EQ(Join("/", "a"), "/a");
  EXPECT_EQ(Join("/a", "b"), "/a/b");
}

TEST(Paths, Follow_SymlinkChain_EndsAtTheFile) {
  FakeClient client;
  client.Add("/d", "", v1::DIRECTORY);
  client.Add("/d/file", "x");
  client.Add("/d/relative", "file", v1::SYMLINK);
  client.Add("/absolute", "/d/relative", v1::SYMLINK);
  absl::StatusOr<Resolved> resolved = Follow(client, "/absolute");
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->path, "/d/file");
  EXPECT_EQ(resolved->status.type, v1::REGULAR);
}

TEST(Paths, Follow_Loop_IsTooManyLinks) {
  FakeClient client;
  client.Add("/a", "/b", v1::SYMLINK);
  client.Add("/b", "/a", v1::SYMLINK);
  EXPECT_TRUE(HasReason(Follow(client, "/a").status(), v1::TOO_MANY_LINKS));
}

TEST(Paths, FindPlace_RootOrFileAsParent_IsRefused) {
  FakeClient client;
  client.Add("/file", "x");
  EXPECT_TRUE(HasReason(FindPlace(client, "/").status(), v1::INVALID));
  EXPECT_TRUE(HasReason(FindPlace(client, "/file/x").status(), v1::NOT_DIRECTORY));
  EXPECT_TRUE(HasReason(FindPlace(client, "/none/x").status(), v1::NO_ENTRY));
  EXPECT_EQ(FindPlace(client, "/new")->name, "new");
}

TEST(Paths, About_MessageWithoutThePath_GetsItInFront) {
  absl::Status plain = MakeError(v1::NO_ENTRY, "no such file or directory");
  EXPECT_EQ(About("/a", plain).message(), "/a: no such file or directory");
  EXPECT_EQ(About("/a", About("/a", plain)).message(), "/a: no such file or directory");
  EXPECT_EQ(ReasonOf(About("/a", plain)), v1::NO_ENTRY);
  EXPECT_TRUE(About("/a", absl::OkStatus()).ok());
}

}  // namespace
}  // namespace appendfs::cli
