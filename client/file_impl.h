#pragma once

#include <memory>

#include "client/appendfs.h"
#include "client/file_status.h"
#include "client/open_files.h"
#include "common/clock.h"

namespace appendfs {

// The File handed to users: a thin face of its FileState.
class FileImpl final : public File {
 public:
  struct Shared {
    const Clock& clock;
    OpenFiles& files;
    StatusResolver& statuses;
    Duration timeout;
    uint64_t max_record_bytes;
  };

  FileImpl(std::shared_ptr<FileState> state, Shared& shared)
      : state_(std::move(state)), shared_(shared) {}
  ~FileImpl() override { shared_.files.OnFileGone(state_->inode); }

  InodeId inode() const override { return state_->inode; }

  void AppendAsync(std::string_view record, Appended done) override {
    state_->appender->Append(record, std::nullopt, std::move(done));
  }
  void AppendAtAsync(FileOffset expected, std::string_view record, Appended done) override {
    state_->appender->Append(record, expected, std::move(done));
  }
  void FlushAsync(absl::AnyInvocable<void() &&> done) override {
    state_->appender->Flush(std::move(done));
  }
  absl::StatusOr<FileOffset> Append(std::string_view record) override;
  absl::Status Flush() override;
  uint64_t max_record_bytes() const override { return shared_.max_record_bytes; }
  uint64_t queued_bytes() const override { return state_->appender->queued_bytes(); }
  bool in_doubt() const override { return state_->appender->in_doubt(); }
  absl::Status AwaitRoom(uint64_t bytes) override { return state_->appender->AwaitRoom(bytes); }

  absl::StatusOr<Buffer> Read(FileOffset offset, uint64_t length) override {
    return state_->reader->Read(offset.bytes(), length, Deadline());
  }
  absl::StatusOr<uint64_t> Size() override { return state_->reader->Size(Deadline()); }
  absl::StatusOr<FileStatus> Stat() override {
    return shared_.statuses.Get(state_->inode, state_->reader->Tail(), Deadline());
  }

 private:
  Duration Deadline() const { return shared_.clock.Monotonic() + shared_.timeout; }

  const std::shared_ptr<FileState> state_;
  Shared& shared_;
};

}  // namespace appendfs
