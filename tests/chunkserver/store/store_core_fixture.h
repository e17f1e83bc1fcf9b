#pragma once

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "chunkserver/store/layout.h"
#include "chunkserver/store/store_core.h"
#include "tests/chunkserver/store/store_test_util.h"
#include "tests/sim/sim_file_system.h"

namespace appendfs {

// The chunk store without its threads, on a simulated disk.
class StoreCoreTest : public ::testing::Test {
 protected:
  static constexpr ChunkHandle kA{1}, kB{2}, kC{3};

  StoreCoreTest() {
    FLAGS_minloglevel = google::GLOG_FATAL;  // failures here are on purpose
    options_.segment_bytes = 64 << 10;
    options_.max_journal_bytes = 512 << 10;
    options_.reserved_bytes = 1 << 20;
    EXPECT_TRUE(fs_.MakeDirectory("/s").ok());
    EXPECT_TRUE(fs_.SyncDirectory("/").ok());
    Open();
  }

  void Open() {
    auto core = StoreCore::Open(fs_, clock_, kDirectory, options_);
    ASSERT_TRUE(core.ok()) << core.status();
    core_ = *std::move(core);
  }
  void Reopen() {
    core_ = nullptr;
    Open();
  }
  void CrashAndOpen() {
    core_ = nullptr;
    fs_.Crash(1);
    Open();
  }

  StoreCompletion Do(StoreChange change) {
    core_->Submit(std::move(change), 1);
    StoreCompletion last;
    while (core_->HasQueued()) {
      if (core_->WantsSegment()) {
        EXPECT_TRUE(core_->MakeSegment().ok());
      }
      auto group = core_->PrepareGroup();
      if (!group) {
        EXPECT_TRUE(core_->Checkpoint().ok());
        continue;
      }
      absl::Status status = core_->CommitGroup(*group);
      for (StoreCompletion& completion : core_->CompleteGroup(std::move(group), status))
        last = completion;
    }
    return last;
  }
  // So that the next group finds a segment.
  void MakeSegments() {
    while (core_->WantsSegment()) ASSERT_TRUE(core_->MakeSegment().ok());
  }
  void Append(ChunkHandle handle, const std::string& bytes) {
    StoreCompletion done = Do(MakeAppend(handle, State(handle).durable_length, bytes));
    ASSERT_TRUE(done.status.ok()) << done.status;
  }
  void Create(ChunkHandle handle) { ASSERT_TRUE(Do(MakeCreate(handle)).status.ok()); }
  void Seal(ChunkHandle handle) {
    ConformReplica conform{
        .handle = handle, .epoch = Epoch(1), .length = State(handle).durable_length, .seal = true};
    ASSERT_TRUE(Do(conform).status.ok());
  }
  ReplicaState State(ChunkHandle handle) {
    auto state = core_->State(handle);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? *state : ReplicaState();
  }
  std::string Fetch(ChunkHandle handle) {
    auto read = core_->Read(handle, 0, 1 << 30, /*committed_only=*/false);
    return read.ok() ? std::string(read->payload.view()) : read.status().ToString();
  }

  // Flips a bit of the journal, `delta` bytes from where `text` stands.
  void FlipInJournal(std::string_view text, int64_t delta = 0) {
    const std::string directory = layout::JournalDirectory(kDirectory);
    const std::vector<std::string> names = *fs_.List(directory);
    for (const std::string& name : names) {
      const std::string path = directory + "/" + name;
      size_t at = ReadWholeFile(fs_, path)->find(text);
      if (at == std::string::npos) continue;
      ASSERT_TRUE(fs_.FlipBit(path, at + delta, 3).ok());
      return;
    }
    FAIL() << "not in the journal: " << text;
  }

  static inline const std::string kDirectory = "/s/dir";
  SimFileSystem fs_;
  SystemClock clock_;
  StoreOptions options_;
  std::unique_ptr<StoreCore> core_;
};

}  // namespace appendfs
