// How fast the chunk store alone makes batches durable, on the directory
// APPENDFS_BENCH_DIR (default: the temporary directory's disk). One batch per
// chunk is under way at a time, as with writers that sync every record; the
// payload is committed as soon as it is durable here.
//
// sync/op: journal syncs per batch; written/op: bytes given to the file system
// per payload byte.

#include <benchmark/benchmark.h>
#include <glog/logging.h>

#include <atomic>
#include <filesystem>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "chunkserver/store/chunk_store.h"
#include "common/crc32c.h"
#include "tests/chunkserver/store/store_test_util.h"

namespace appendfs {
namespace {

struct Counters {
  std::atomic<uint64_t> syncs = 0, journal_syncs = 0, written = 0;
};

class CountingFile final : public LocalFile {
 public:
  CountingFile(std::unique_ptr<File> file, bool journal, Counters& counters)
      : file_(std::move(file)), journal_(journal), counters_(counters) {}
  using LocalFile::Write;
  absl::Status Write(uint64_t offset, std::span<const std::string_view> parts) override {
    for (std::string_view part : parts) counters_.written += part.size();
    return file_->Write(offset, parts);
  }
  absl::Status WriteDurably(uint64_t offset, std::span<const std::string_view> parts) override {
    for (std::string_view part : parts) counters_.written += part.size();
    ++(journal_ ? counters_.journal_syncs : counters_.syncs);
    return file_->WriteDurably(offset, parts);
  }
  absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const override {
    return file_->Read(offset, into, length);
  }
  absl::Status Sync() override {
    ++(journal_ ? counters_.journal_syncs : counters_.syncs);
    return file_->Sync();
  }
  absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }
  absl::Status Truncate(uint64_t length) override { return file_->Truncate(length); }

 private:
  std::unique_ptr<File> file_;
  const bool journal_;
  Counters& counters_;
};

class CountingFileSystem final : public FileSystem {
 public:
  explicit CountingFileSystem(Counters& counters) : counters_(counters) {}
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    APPENDFS_ASSIGN_OR_RETURN(auto file, fs_->Open(path, mode));
    return std::make_unique<CountingFile>(std::move(file),
                                          path.find("/journal/") != std::string::npos, counters_);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return fs_->Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return fs_->Remove(path); }
  absl::Status MakeDirectory(const std::string& path) override { return fs_->MakeDirectory(path); }
  absl::Status SyncDirectory(const std::string& path) override {
    ++counters_.syncs;
    return fs_->SyncDirectory(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return fs_->List(path);
  }
  absl::StatusOr<bool> Exists(const std::string& path) override { return fs_->Exists(path); }
  absl::StatusOr<Space> GetSpace(const std::string& path) override { return fs_->GetSpace(path); }
  absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) override {
    return fs_->LockFile(path);
  }

 private:
  std::unique_ptr<FileSystem> fs_ = MakePosixFileSystem();
  Counters& counters_;
};

// Keeps one batch per chunk under way until enough are done.
class Driver final : public StoreListener {
 public:
  Driver(ChunkStore& store, uint64_t chunks, uint64_t batch_bytes)
      : store_(store),
        payload_(Buffer::From(RandomBytes(1, batch_bytes))),
        crc32c_(Crc32c(payload_.view())),
        lengths_(chunks),
        handles_(chunks) {}

  void Run(uint64_t batches) {
    {
      absl::MutexLock lock(&mutex_);
      left_ = batches;
      done_ = 0;
    }
    for (uint64_t i = 0; i < lengths_.size(); ++i) Next(i);
    absl::MutexLock lock(&mutex_);
    auto finished = [&] { return done_ == batches; };
    mutex_.Await(absl::Condition(&finished));
  }

  void OnDurable(std::span<const StoreCompletion> completions) override {
    for (const StoreCompletion& completion : completions) {
      CHECK(completion.status.ok()) << completion.status;
      if (completion.token == kIgnored) continue;
      store_.SetCommitted(completion.handle, completion.durable_length);
      Next(completion.token);
    }
    absl::MutexLock lock(&mutex_);
    for (const StoreCompletion& completion : completions) done_ += completion.token != kIgnored;
  }
  void OnStoreFailed(const absl::Status& why) override { LOG(FATAL) << why; }
  void OnReplicaDamaged(ChunkHandle handle, const std::string& why) override { LOG(FATAL) << why; }
  void OnReplicasLost(std::span<const ChunkHandle>, const absl::Status& why) override {
    LOG(FATAL) << why;
  }

 private:
  static constexpr uint64_t kIgnored = ~uint64_t{0};
  static constexpr uint64_t kCapacity = 64 << 20;

  void Next(uint64_t chunk) {
    {
      absl::MutexLock lock(&mutex_);
      if (left_ == 0) return;
      --left_;
    }
    if (!handles_[chunk] || lengths_[chunk] + payload_.size() > kCapacity) {
      handles_[chunk] = ChunkHandle(next_handle_.fetch_add(1));
      lengths_[chunk] = 0;
      store_.Submit(MakeCreate(handles_[chunk], Epoch(1), kCapacity), kIgnored);
    }
    AppendBatch batch;
    batch.handle = handles_[chunk];
    batch.epoch = Epoch(1);
    batch.offset = lengths_[chunk];
    batch.payload = payload_;
    batch.crc32c = crc32c_;
    batch.client = ClientId(1 + chunk);
    batch.sequence = Sequence(++sequence_);
    lengths_[chunk] += payload_.size();
    store_.Submit(std::move(batch), chunk);
  }

  ChunkStore& store_;
  const Buffer payload_;
  const uint32_t crc32c_;
  std::vector<uint64_t> lengths_;
  std::vector<ChunkHandle> handles_;
  static inline std::atomic<uint64_t> next_handle_ = 1;
  std::atomic<uint64_t> sequence_ = 0;
  absl::Mutex mutex_;
  uint64_t left_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
};

void BM_Append(benchmark::State& state) {
  const auto chunks = static_cast<uint64_t>(state.range(0));
  const auto batch_bytes = static_cast<uint64_t>(state.range(1));
  const auto batches = static_cast<uint64_t>(state.range(2));
  const char* base = std::getenv("APPENDFS_BENCH_DIR");
  const std::string directory =
      (base ? std::filesystem::path(base) : std::filesystem::temp_directory_path()) /
      "appendfs-store-benchmark";
  std::filesystem::remove_all(directory);
  Counters counters;
  CountingFileSystem fs(counters);
  SystemClock clock;
  {
    auto store = ChunkStore::Open(fs, clock, directory, StoreOptions());
    CHECK(store.ok()) << store.status();
    Driver driver(**store, chunks, batch_bytes);
    (*store)->Start(driver);
    driver.Run(chunks);  // creates the chunks
    counters.syncs = counters.journal_syncs = counters.written = 0;
    for (auto _ : state) driver.Run(batches);
    const auto done = static_cast<double>(batches * state.iterations());
    state.SetItemsProcessed(static_cast<int64_t>(done));
    state.SetBytesProcessed(static_cast<int64_t>(done * batch_bytes));
    state.counters["sync/op"] = static_cast<double>(counters.journal_syncs) / done;
    state.counters["othersync"] = static_cast<double>(counters.syncs);
    state.counters["written/byte"] =
        static_cast<double>(counters.written) / (done * static_cast<double>(batch_bytes));
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(BM_Append)
    ->ArgNames({"chunks", "bytes", "batches"})
    ->Args({1, 200, 10000})
    ->Args({16, 200, 50000})
    ->Args({1000, 200, 500000})
    ->Args({1, 1 << 20, 1024})
    ->Args({4, 1 << 20, 1024})
    ->Iterations(1)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace appendfs

int main(int argc, char** argv) {
  FLAGS_minloglevel = google::GLOG_WARNING;
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
