#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "chunkserver/store/chunk_store.h"
#include "common/crc32c.h"

namespace appendfs {

inline std::string RandomBytes(uint64_t seed, size_t length) {
  std::mt19937_64 random(seed);
  std::string bytes(length, '\0');
  for (size_t i = 0; i < length; i += 8) {
    uint64_t word = random();
    for (size_t j = 0; j < 8 && i + j < length; ++j)
      bytes[i + j] = static_cast<char>(word >> (8 * j));
  }
  return bytes;
}

inline CreateReplica MakeCreate(ChunkHandle handle, Epoch epoch = Epoch(1),
                                uint64_t capacity = 64 << 20) {
  CreateReplica create;
  create.identity = {
      .handle = handle, .inode = InodeId(2), .base_offset = 1000, .capacity = capacity};
  create.epoch = epoch;
  return create;
}

inline AppendBatch MakeAppend(ChunkHandle handle, uint64_t offset, std::string bytes,
                              ClientId client = ClientId(), Sequence sequence = Sequence(),
                              Epoch epoch = Epoch(1)) {
  AppendBatch batch;
  batch.handle = handle;
  batch.epoch = epoch;
  batch.offset = offset;
  batch.crc32c = Crc32c(bytes);
  batch.payload = Buffer::From(std::move(bytes));
  batch.client = client;
  batch.sequence = sequence;
  batch.mtime_ns = offset + 1;
  return batch;
}

// Keeps what it is told, for a test to wait for.
class RecordingListener final : public StoreListener {
 public:
  void OnDurable(std::span<const StoreCompletion> completions) override {
    absl::MutexLock lock(&mutex_);
    for (const StoreCompletion& completion : completions) done_[completion.token] = completion;
  }
  void OnStoreFailed(const absl::Status& why) override {
    absl::MutexLock lock(&mutex_);
    failures_.push_back(why);
  }
  void OnReplicasLost(std::span<const ChunkHandle> handles, const absl::Status&) override {
    absl::MutexLock lock(&mutex_);
    lost_.insert(handles.begin(), handles.end());
  }
  void OnReplicaDamaged(ChunkHandle handle, const std::string& why) override {
    absl::MutexLock lock(&mutex_);
    damaged_[handle] = why;
  }

  StoreCompletion Wait(uint64_t token) {
    absl::MutexLock lock(&mutex_);
    auto there = [&] { return done_.contains(token); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(30)))
      return {.token = token, .status = absl::DeadlineExceededError("no completion came")};
    return done_[token];
  }
  bool WaitForDamage(ChunkHandle handle) {
    absl::MutexLock lock(&mutex_);
    auto there = [&] { return damaged_.contains(handle); };
    return mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(30));
  }
  bool WaitForLoss(ChunkHandle handle) {
    absl::MutexLock lock(&mutex_);
    auto there = [&] { return lost_.contains(handle); };
    return mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(30));
  }
  bool WaitForFailure() {
    absl::MutexLock lock(&mutex_);
    auto there = [&] { return !failures_.empty(); };
    return mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(30));
  }
  std::vector<absl::Status> failures() {
    absl::MutexLock lock(&mutex_);
    return failures_;
  }

 private:
  absl::Mutex mutex_;
  std::map<uint64_t, StoreCompletion> done_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<ChunkHandle, std::string> damaged_ ABSL_GUARDED_BY(mutex_);
  std::set<ChunkHandle> lost_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
