#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/append_verb.h"
#include "cli/list_verbs.h"
#include "cli/name_verbs.h"
#include "cli/tail_verb.h"
#include "cli/transfer_verbs.h"
#include "tests/cli/fake_client.h"

namespace appendfs::cli {
namespace {

class Verbs : public ::testing::Test {
 protected:
  Verbs() {
    char name[] = "/tmp/appendfs-cli-test-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~Verbs() override { std::filesystem::remove_all(directory_); }

  std::string Local(const std::string& name) { return directory_ + "/" + name; }
  std::string WriteLocal(const std::string& name, const std::string& bytes) {
    std::ofstream(Local(name), std::ios::binary) << bytes;
    return Local(name);
  }
  std::string ReadLocal(const std::string& name) {
    std::ifstream file(Local(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Feeds `input` to append as its standard input.
  absl::Status Append(const std::string& input, const AppendOptions& options = {}) {
    LocalSource source = *LocalSource::Open(WriteLocal("input", input));
    return AppendAll(client_, source.fd(), "/log", options, output_);
  }
  absl::Status Tail(uint64_t lines, bool json = false) {
    auto sink = [this](std::string_view bytes) {
      printed_ << bytes;
      return absl::OkStatus();
    };
    return cli::Tail(client_, "/log", {.lines = lines}, json, sink, [] { return true; });
  }

  FakeClient client_;
  std::ostringstream printed_;
  Output output_{printed_};
  std::string directory_;
};

TEST_F(Verbs, Ls_MoreThanAPage_ListsAllInOrder) {
  for (const char* name : {"/e", "/d", "/c", "/b", "/.a"}) client_.Add(name, "");
  ASSERT_TRUE(List(client_, "/", false, output_).ok());
  EXPECT_EQ(printed_.str(), ".a\nb\nc\nd\ne\n");
}

TEST_F(Verbs, Ls_Json_HasSizesTypesAndTargets) {
  client_.Add("/a", "12345");
  client_.Add("/l", "a", v1::SYMLINK);
  output_.json = true;
  ASSERT_TRUE(List(client_, "/", false, output_).ok());
  EXPECT_NE(printed_.str().find(R"("size": 5)"), std::string::npos);
  EXPECT_NE(printed_.str().find(R"("target": "a")"), std::string::npos);
}

TEST_F(Verbs, Ls_Missing_NamesThePath) {
  absl::Status status = List(client_, "/none", false, output_);
  EXPECT_TRUE(HasReason(status, v1::NO_ENTRY));
  EXPECT_EQ(status.message(), "/none: no such file or directory");
}

TEST_F(Verbs, Stat_Symlink_IsTheLinkItself) {
  client_.Add("/a", "x");
  client_.Add("/l", "a", v1::SYMLINK);
  output_.json = true;
  ASSERT_TRUE(ShowStatus(client_, "/l", output_).ok());
  EXPECT_NE(printed_.str().find(R"("type":"symbolic link")"), std::string::npos);
}

TEST_F(Verbs, Put_NewFile_AppearsWholeAndAlone) {
  std::string bytes(3500, 'x');  // several records
  absl::StatusOr<Transferred> done = Put(client_, WriteLocal("in", bytes), "/new", false);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->bytes, bytes.size());
  EXPECT_EQ(client_.Contents("/new"), bytes);
  EXPECT_EQ(client_.nodes.at(1).entries.size(), 1u);
}

TEST_F(Verbs, Put_IntoDirectory_TakesTheLocalName) {
  client_.Add("/d", "", v1::DIRECTORY);
  ASSERT_TRUE(Put(client_, WriteLocal("in", "abc"), "/d", false).ok());
  EXPECT_EQ(client_.Contents("/d/in"), "abc");
}

TEST_F(Verbs, Put_ExistingFile_IsRefusedAndUnchanged) {
  client_.Add("/old", "old");
  absl::Status status = Put(client_, WriteLocal("in", "abc"), "/old", false).status();
  EXPECT_TRUE(HasReason(status, v1::ENTRY_EXISTS)) << status;
  EXPECT_EQ(client_.Contents("/old"), "old");
}

TEST_F(Verbs, Put_FailsHalfWay_LeavesNothing) {
  client_.fail_after_appends = 1;
  absl::Status status =
      Put(client_, WriteLocal("in", std::string(3000, 'x')), "/new", false).status();
  EXPECT_TRUE(HasReason(status, v1::QUORUM_LOST)) << status;
  EXPECT_TRUE(client_.nodes.at(1).entries.empty());
}

TEST_F(Verbs, Get_ExistingLocalFile_IsReplacedWhenComplete) {
  client_.Add("/a", "remote bytes");
  WriteLocal("out", "local bytes that are longer");
  ASSERT_TRUE(Get(client_, "/a", Local("out"), false).ok());
  EXPECT_EQ(ReadLocal("out"), "remote bytes");
}

TEST_F(Verbs, Get_Missing_LeavesLocalAlone) {
  WriteLocal("out", "mine");
  EXPECT_TRUE(HasReason(Get(client_, "/none", Local("out"), false).status(), v1::NO_ENTRY));
  EXPECT_EQ(ReadLocal("out"), "mine");
}

TEST_F(Verbs, Fetch_RangePastTheEnd_IsShort) {
  client_.Add("/a", "0123456789");
  std::string got;
  auto sink = [&got](std::string_view bytes) {
    got += bytes;
    return absl::OkStatus();
  };
  ASSERT_TRUE(Fetch(client_, "/a", 8, 100, sink, false).ok());
  EXPECT_EQ(got, "89");
  got.clear();
  ASSERT_TRUE(Fetch(client_, "/a", 100, 5, sink, false).ok());
  EXPECT_EQ(got, "");
  EXPECT_TRUE(HasReason(Fetch(client_, "/", 0, 1, sink, false).status(), v1::IS_DIRECTORY));
}

TEST_F(Verbs, Append_Lines_AreOneRecordEach) {
  ASSERT_TRUE(Append("one\ntwo\nno newline").ok());
  EXPECT_EQ(client_.Contents("/log"), "one\ntwo\nno newline");
  EXPECT_EQ(client_.nodes.at(2).appends, 3);
}

TEST_F(Verbs, Append_Whole_IsOneRecord) {
  ASSERT_TRUE(Append("one\ntwo\n", {.whole = true}).ok());
  EXPECT_EQ(client_.nodes.at(2).appends, 1);
}

TEST_F(Verbs, Append_Nothing_StillMakesTheFile) {
  ASSERT_TRUE(Append("").ok());
  EXPECT_TRUE(client_.Has("/log"));
}

TEST_F(Verbs, Append_NoCreate_MissingFileIsAnError) {
  EXPECT_TRUE(HasReason(Append("x\n", {.no_create = true}), v1::NO_ENTRY));
  EXPECT_FALSE(client_.Has("/log"));
}

TEST_F(Verbs, Append_Verbose_SaysEachOffset) {
  ASSERT_TRUE(Append("one\nthree\n", {.verbose = true}).ok());
  EXPECT_EQ(printed_.str(), "1 0 4\n2 4 6\n");
}

TEST_F(Verbs, Append_RecordTooLong_SaysWhichAndKeepsThoseBefore) {
  absl::Status status = Append("short\n" + std::string(2000, 'x') + "\nnever\n");
  EXPECT_TRUE(HasReason(status, v1::TOO_LARGE));
  EXPECT_NE(status.ToString().find("record 2"), std::string::npos) << status;
  EXPECT_EQ(client_.Contents("/log"), "short\n");
}

TEST_F(Verbs, Append_Failure_NamesTheFirstRecordThatFailed) {
  client_.fail_after_appends = 2;
  absl::Status status = Append("1\n2\n3\n4\n");
  EXPECT_TRUE(HasReason(status, v1::QUORUM_LOST));
  EXPECT_EQ(status.message(), "/log: record 3: two servers are away");
}

TEST_F(Verbs, Tail_LastLines_WithAndWithoutFinalNewline) {
  FakeClient::Node& node = client_.Add("/log", "a\nb\nc\n");
  ASSERT_TRUE(Tail(2).ok());
  EXPECT_EQ(printed_.str(), "b\nc\n");
  printed_.str("");
  node.bytes = "a\nb\nc";
  ASSERT_TRUE(Tail(2).ok());
  EXPECT_EQ(printed_.str(), "b\nc");
}

TEST_F(Verbs, Tail_FewerLinesOrNone_PrintsWhatThereIs) {
  client_.Add("/log", "a\nb\n");
  ASSERT_TRUE(Tail(100).ok());
  EXPECT_EQ(printed_.str(), "a\nb\n");
  printed_.str("");
  ASSERT_TRUE(Tail(0).ok());
  EXPECT_EQ(printed_.str(), "");
}

TEST_F(Verbs, Tail_LinesAcrossBlocks_AreFound) {
  std::string line(50'000, 'x');
  client_.Add("/log", line + "1\n" + line + "2\n" + line + "3\n");
  ASSERT_TRUE(Tail(2).ok());
  EXPECT_EQ(printed_.str(), line + "2\n" + line + "3\n");
}

TEST_F(Verbs, Tail_Json_HasOffsets) {
  client_.Add("/log", "a\nbc\nd");
  ASSERT_TRUE(Tail(2, true).ok());
  EXPECT_EQ(
      printed_.str(),
      "{\"offset\":2,\"bytes\":3,\"text\":\"bc\"}\n{\"offset\":5,\"bytes\":1,\"text\":\"d\"}\n");
}

TEST_F(Verbs, Rm_Directory_NeedsRecursive) {
  client_.Add("/d", "", v1::DIRECTORY);
  client_.Add("/d/sub", "", v1::DIRECTORY);
  for (int i = 0; i < 10; ++i) client_.Add("/d/sub/" + std::to_string(i), "");
  EXPECT_TRUE(HasReason(Remove(client_, "/d", {}).status(), v1::IS_DIRECTORY));
  absl::StatusOr<uint64_t> removed = Remove(client_, "/d", {.recursive = true});
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(*removed, 12u);
  EXPECT_FALSE(client_.Has("/d"));
}

TEST_F(Verbs, Rm_Missing_IsAnErrorUnlessForced) {
  EXPECT_TRUE(HasReason(Remove(client_, "/none", {}).status(), v1::NO_ENTRY));
  EXPECT_EQ(*Remove(client_, "/none", {.force = true}), 0u);
  EXPECT_EQ(*Remove(client_, "/none/x", {.force = true}), 0u);
}

TEST_F(Verbs, Rm_SymlinkToDirectory_RemovesTheLinkOnly) {
  client_.Add("/d", "", v1::DIRECTORY);
  client_.Add("/d/f", "");
  client_.Add("/l", "/d", v1::SYMLINK);
  ASSERT_TRUE(Remove(client_, "/l", {.recursive = true}).ok());
  EXPECT_TRUE(client_.Has("/d/f"));
}

TEST_F(Verbs, Mv_ToDirectory_GoesInto) {
  client_.Add("/d", "", v1::DIRECTORY);
  client_.Add("/a", "x");
  EXPECT_EQ(*Move(client_, "/a", "/d", {}), "/d/a");
  EXPECT_EQ(*Move(client_, "/d/a", "/b", {}), "/b");
  EXPECT_EQ(client_.Contents("/b"), "x");
}

TEST_F(Verbs, Mkdir_Parents_MakesWhatIsMissing) {
  EXPECT_TRUE(HasReason(MakeDirectory(client_, "/a/b", {}), v1::NO_ENTRY));
  ASSERT_TRUE(MakeDirectory(client_, "/a/b/c", {.parents = true}).ok());
  EXPECT_TRUE(client_.Has("/a/b/c"));
  EXPECT_TRUE(MakeDirectory(client_, "/a/b/c", {.parents = true}).ok());
  EXPECT_TRUE(MakeDirectory(client_, "/", {.parents = true}).ok());
  EXPECT_TRUE(HasReason(MakeDirectory(client_, "/a", {}), v1::ENTRY_EXISTS));
  client_.Add("/f", "");
  EXPECT_TRUE(HasReason(MakeDirectory(client_, "/f/x", {.parents = true}), v1::NOT_DIRECTORY));
}

}  // namespace
}  // namespace appendfs::cli
