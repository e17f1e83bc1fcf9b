#include "fuse/description.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

class DescriptionTest : public testing::Test {
 protected:
  DescriptionTest() {
    status_.inode = InodeId(9);
    status_.type = v1::REGULAR;
    status_.size = 150;
    Add(v1::SEALED, 100);
    Add(v1::OPEN, 0);
  }
  void Add(v1::ChunkState state, uint64_t length) {
    v1::Chunk chunk;
    chunk.set_index(static_cast<uint32_t>(chunks_.size()));
    chunk.set_handle(40 + chunks_.size());
    chunk.set_epoch(2);
    chunk.set_state(state);
    chunk.set_base_offset(100 * chunks_.size());
    chunk.set_length(length);
    for (uint64_t server : {1, 2, 3}) {
      v1::ServerAddress& replica = *chunk.add_replicas();
      replica.set_server_id(server);
      replica.set_address(StrCat("host", server, ":9410"));
    }
    chunks_.push_back(chunk);
  }
  void Disconnect(size_t chunk, int replica) {
    chunks_[chunk].mutable_replicas(replica)->clear_address();
  }
  std::string Describe(std::string_view name) {
    return DescribeFile(name, status_, "uuid", chunks_).value_or("(none)");
  }

  FileStatus status_;
  std::vector<v1::Chunk> chunks_;
};

TEST_F(DescriptionTest, File_TellsWhatTheClusterKnows) {
  EXPECT_EQ(Describe("appendfs.id"), "uuid:9");
  EXPECT_EQ(Describe("appendfs.length"), "150");
  EXPECT_EQ(Describe("appendfs.chunks"),
            "0 handle=40 epoch=2 sealed offset=0 bytes=100\n"
            "1 handle=41 epoch=2 open offset=100 bytes=50\n");
  EXPECT_EQ(Describe("appendfs.replicas"),
            "0 host1:9410 host2:9410 host3:9410\n"
            "1 host1:9410 host2:9410 host3:9410\n");
  EXPECT_EQ(Describe("appendfs.health"), "ok");
  EXPECT_EQ(Describe("appendfs.none"), "(none)");
}

TEST_F(DescriptionTest, DisconnectedServer_IsNamedAndDegrades) {
  Disconnect(0, 1);
  EXPECT_EQ(Describe("appendfs.health"), "degraded");
  EXPECT_NE(Describe("appendfs.replicas").find("0 host1:9410 server=2 host3:9410\n"),
            std::string::npos);
  Disconnect(1, 0);
  Disconnect(1, 1);
  Disconnect(1, 2);
  EXPECT_EQ(Describe("appendfs.health"), "unavailable");
}

TEST_F(DescriptionTest, EmptyFile_IsWell) {
  chunks_.clear();
  status_.size = 0;
  EXPECT_EQ(Describe("appendfs.health"), "ok");
  EXPECT_EQ(Describe("appendfs.chunks"), "");
}

TEST_F(DescriptionTest, Directory_HasOnlyItsId) {
  status_.type = v1::DIRECTORY;
  EXPECT_EQ(Describe("appendfs.id"), "uuid:9");
  EXPECT_EQ(Describe("appendfs.length"), "(none)");
}

TEST_F(DescriptionTest, TooManyChunks_LeavesOutTheFirst) {
  while (chunks_.size() < 5000) Add(v1::SEALED, 100);
  const std::string lines = Describe("appendfs.replicas");
  EXPECT_LE(lines.size(), 64u << 10);
  EXPECT_EQ(lines.front(), '(');
  EXPECT_NE(lines.find("4999 host1"), std::string::npos);
  const size_t shown = static_cast<size_t>(std::count(lines.begin(), lines.end(), '\n')) - 1;
  EXPECT_EQ(lines.find(StrCat("(", 5000 - shown, " earlier")), 0u);
}

}  // namespace
}  // namespace appendfs::fuse
