#include "chunkserver/store/explain_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chunkserver/store/layout.h"
#include "common/clock.h"
#include "tests/chunkserver/store/store_test_util.h"
#include "tests/sim/sim_file_system.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

constexpr char kDirectory[] = "/d";

class ExplainDirectoryTest : public ::testing::Test {
 protected:
  ExplainDirectoryTest() {
    StoreOptions options;
    options.segment_bytes = 1 << 20;
    options.reserved_bytes = 0;
    RecordingListener listener;
    auto store = ChunkStore::Open(fs_, clock_, kDirectory, options);
    EXPECT_TRUE(store.ok()) << store.status();
    (*store)->Start(listener);
    (*store)->Submit(MakeCreate(kHandle), 1);
    (*store)->Submit(MakeAppend(kHandle, 0, RandomBytes(1, 1000)), 2);
    EXPECT_TRUE(listener.Wait(2).status.ok());
    (*store)->SetCommitted(kHandle, 1000);
  }

  FileExplanation Of(const std::string& path) {
    auto files = ExplainDirectory(fs_, kDirectory);
    EXPECT_TRUE(files.ok()) << files.status();
    for (const FileExplanation& file : *files)
      if (file.path == path) return file;
    return {path, "not explained", false};
  }

  static constexpr ChunkHandle kHandle{7};
  const SystemClock clock_;
  SimFileSystem fs_;
};

TEST_F(ExplainDirectoryTest, HealthyDirectory_EveryFileHasAMeaning) {
  auto files = ExplainDirectory(fs_, kDirectory);
  ASSERT_TRUE(files.ok()) << files.status();
  for (const FileExplanation& file : *files) EXPECT_TRUE(file.good) << file.path << file.what;
  EXPECT_THAT(Of("/d/identity").what, HasSubstr("nobody's yet"));
  EXPECT_THAT(Of("/d/journal/0001.seg").what, HasSubstr("groups between 1 and"));
  EXPECT_THAT(Of(layout::DataPath(kDirectory, kHandle)).what, HasSubstr("chunk=7 raw bytes, 1000"));
  EXPECT_THAT(Of(layout::SidecarPath(kDirectory, kHandle)).what, HasSubstr("open, 1000 bytes"));
}

TEST_F(ExplainDirectoryTest, FlippedBitOfASidecar_IsBadAndNamed) {
  const std::string path = layout::SidecarPath(kDirectory, kHandle);
  ASSERT_TRUE(fs_.FlipBit(path, 40, 3).ok());
  FileExplanation file = Of(path);
  EXPECT_FALSE(file.good);
  EXPECT_THAT(file.what, HasSubstr("checksum"));
}

TEST_F(ExplainDirectoryTest, SomebodyElsesFile_IsLeftAlone) {
  ASSERT_TRUE(fs_.Open("/d/notes.txt", FileSystem::OpenMode::kCreate).ok());
  FileExplanation file = Of("/d/notes.txt");
  EXPECT_TRUE(file.good);
  EXPECT_THAT(file.what, HasSubstr("not a server's file"));
}

TEST_F(ExplainDirectoryTest, NoDataDirectory_IsAnError) {
  EXPECT_FALSE(ExplainDirectory(fs_, "/none").ok());
}

}  // namespace
}  // namespace appendfs
