#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "client/appendfs.h"

namespace appendfs {
namespace {

using std::chrono::milliseconds;

// A file in memory that gives at most `most` bytes per read.
class FakeFile final : public File {
 public:
  std::string bytes;
  uint64_t most = 1 << 20;
  absl::Status error;

  InodeId inode() const override { return InodeId(1); }
  void AppendAsync(std::string_view, Appended) override {}
  void AppendAtAsync(FileOffset, std::string_view, Appended) override {}
  void FlushAsync(absl::AnyInvocable<void() &&>) override {}
  absl::StatusOr<FileOffset> Append(std::string_view) override { return FileOffset(); }
  absl::Status Flush() override { return absl::OkStatus(); }
  uint64_t max_record_bytes() const override { return 1; }
  uint64_t queued_bytes() const override { return 0; }
  bool in_doubt() const override { return false; }
  absl::Status AwaitRoom(uint64_t) override { return absl::OkStatus(); }
  absl::StatusOr<Buffer> Read(FileOffset offset, uint64_t length) override {
    if (!error.ok()) return error;
    if (offset.bytes() >= bytes.size()) return Buffer();
    return Buffer::From(bytes.substr(offset.bytes(), std::min(length, most)));
  }
  absl::StatusOr<uint64_t> Size() override { return bytes.size(); }
  absl::StatusOr<FileStatus> Stat() override { return FileStatus(); }
};

class RecordReaderTest : public testing::Test {
 protected:
  std::string Next(RecordReader& reader) {
    auto record = reader.Next(milliseconds(0));
    if (!record.ok()) return std::string(record.status().message());
    return *record ? (*record)->bytes : "(none)";
  }
  std::shared_ptr<FakeFile> file_ = std::make_shared<FakeFile>();
};

TEST_F(RecordReaderTest, Records_ComeWholeWithTheirOffsets) {
  file_->bytes = "one\ntwo\n\nfour";
  RecordReader reader(file_, {});
  auto first = reader.Next(milliseconds(0));
  ASSERT_TRUE(first.ok() && *first);
  EXPECT_EQ((*first)->bytes, "one\n");
  EXPECT_EQ((*first)->offset, FileOffset(0));
  auto second = reader.Next(milliseconds(0));
  EXPECT_EQ((*second)->offset, FileOffset(4));
  EXPECT_EQ(Next(reader), "\n");
  EXPECT_EQ(Next(reader), "(none)") << "it has not ended yet";
  EXPECT_EQ(reader.position(), FileOffset(9));
}

TEST_F(RecordReaderTest, GrowingFile_RecordIsReturnedOnceItEnds) {
  file_->bytes = "par";
  RecordReader reader(file_, {});
  EXPECT_EQ(Next(reader), "(none)");
  file_->bytes += "tial";
  EXPECT_EQ(Next(reader), "(none)");
  file_->bytes += "\nnext\n";
  EXPECT_EQ(Next(reader), "partial\n");
  EXPECT_EQ(Next(reader), "next\n");
  EXPECT_EQ(Next(reader), "(none)");
}

TEST_F(RecordReaderTest, SmallReads_SplitRecordsAreJoined) {
  for (int i = 0; i < 500; ++i) file_->bytes += std::to_string(i) + ";";
  file_->most = 7;
  RecordReader reader(file_, {.delimiter = ';'});
  for (int i = 0; i < 500; ++i) ASSERT_EQ(Next(reader), std::to_string(i) + ";");
  EXPECT_EQ(Next(reader), "(none)");
}

TEST_F(RecordReaderTest, StartWithinTheFile_ReadsFromThere) {
  file_->bytes = "one\ntwo\n";
  RecordReader reader(file_, {.start = FileOffset(4)});
  EXPECT_EQ(Next(reader), "two\n");
}

TEST_F(RecordReaderTest, EndlessRecord_IsTooLarge) {
  file_->bytes = std::string(5000, 'x');
  RecordReader reader(file_, {.max_record_bytes = 1000});
  EXPECT_TRUE(HasReason(reader.Next(milliseconds(0)).status(), v1::TOO_LARGE));
}

TEST_F(RecordReaderTest, FailedRead_IsReportedAndCanBeTriedAgain) {
  file_->bytes = "one\n";
  file_->error = MakeError(v1::UNREACHABLE, "away");
  RecordReader reader(file_, {});
  EXPECT_TRUE(HasReason(reader.Next(milliseconds(0)).status(), v1::UNREACHABLE));
  file_->error = absl::OkStatus();
  EXPECT_EQ(Next(reader), "one\n");
}

}  // namespace
}  // namespace appendfs
