#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/appendfs.h"
#include "common/executor.h"
#include "tests/client/free_locks.h"

namespace appendfs::fuse {

// A cluster of one process without disks: a namespace and files in memory,
// with a queue that a test may hold or make fail. Answers come from a thread of
// its own, as the library's do. Knows enough of the namespace's rules for a
// mount to be used; the real rules are tested with the master.
class FakeClient : public Client {
 public:
  FakeClient();
  ~FakeClient() override;

  // Records wait in the queue, unanswered, until the queue is let go.
  void HoldQueue();
  void LetQueueGo();
  // Returns when nobody is being answered any more.
  void AwaitAnswers();
  // The next record to be answered fails so, and all that is queued behind it
  // for the same file.
  void FailNextRecord(absl::Status status);
  // Runs when the next file is to be opened, before it is looked for.
  void BeforeNextOpen(absl::AnyInvocable<void() &&> action);
  // Somebody else, on another mount, appends.
  void AppendElsewhere(InodeId inode, std::string_view bytes);

  std::string Content(InodeId inode) const;
  FileStatus StatusOf(InodeId inode) const;
  uint64_t open_files() const;
  uint64_t directory_reads() const;

  ClientId id() const override { return ClientId(1); }
  std::string cluster_uuid() const override { return "fake"; }
  const ClientOptions& options() const override { return options_; }
  absl::StatusOr<FileStatus> Resolve(std::string_view path) override;
  absl::StatusOr<std::shared_ptr<File>> Open(std::string_view path,
                                             const OpenOptions& options) override;
  absl::StatusOr<FileStatus> Lookup(InodeId parent, std::string_view name) override;
  absl::StatusOr<FileStatus> Stat(InodeId inode) override;
  absl::StatusOr<FileStatus> SetAttributes(InodeId inode, const AttributeChange& change) override;
  absl::StatusOr<Made> MakeNode(InodeId parent, std::string_view name,
                                const NodeSpec& spec) override;
  absl::StatusOr<std::string> ReadLink(InodeId inode) override;
  absl::StatusOr<FileStatus> Link(InodeId inode, InodeId parent, std::string_view name) override;
  absl::Status Unlink(InodeId parent, std::string_view name) override;
  absl::Status RemoveDirectory(InodeId parent, std::string_view name) override;
  absl::Status Rename(InodeId parent, std::string_view name, InodeId new_parent,
                      std::string_view new_name, RenameFlags flags) override;
  absl::StatusOr<DirectoryPage> ReadDirectory(InodeId inode, std::string_view after, uint32_t limit,
                                              bool with_status) override;
  absl::StatusOr<FileSystemStatus> StatFs() override;
  absl::StatusOr<std::string> GetXattr(InodeId inode, std::string_view name) override;
  absl::StatusOr<std::vector<std::string>> ListXattrs(InodeId inode) override;
  absl::Status SetXattr(InodeId inode, std::string_view name, std::string_view value,
                        XattrFlags flags) override;
  absl::Status RemoveXattr(InodeId inode, std::string_view name) override;
  absl::StatusOr<std::vector<v1::Chunk>> Chunks(InodeId inode) override;
  absl::StatusOr<std::shared_ptr<File>> OpenInode(InodeId inode, bool already_registered) override;
  FileLocks& locks() override { return locks_; }
  std::vector<AppendQueueReport> AppendQueues() const override;
  AppendsGivenUp GiveUpAppends(const absl::Status& why) override;

  static constexpr uint64_t kMaxRecordBytes = 1 << 20;

 private:
  friend class FakeFile;
  struct Node {
    FileStatus status;
    InodeId parent;
    std::string content;  // or a symlink's target
    std::map<std::string, InodeId, std::less<>> entries;
    std::map<std::string, std::string, std::less<>> xattrs;
    std::weak_ptr<File> file;
    uint64_t queued_bytes = 0;
  };
  struct Item {
    InodeId inode;
    std::string record;
    std::optional<FileOffset> expected;
    File::Appended appended;                // of a record
    absl::AnyInvocable<void() &&> flushed;  // or a mark in the queue
    uint64_t id = 0;
  };

  absl::StatusOr<Node*> Find(InodeId inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Node*> FindEntry(InodeId parent, std::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropLink(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enqueue(Item item);
  void Drain();
  // Takes a record out of the queue and answers it.
  void Withdraw(uint64_t id, const absl::Status& why);

  const ClientOptions options_;
  FreeLocks locks_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<InodeId, std::unique_ptr<Node>> nodes_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_inode_ ABSL_GUARDED_BY(mutex_) = 2;
  uint64_t clock_ns_ ABSL_GUARDED_BY(mutex_) = 1'000'000'000;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_item_ ABSL_GUARDED_BY(mutex_) = 1;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status next_failure_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<InodeId, absl::Status> failing_ ABSL_GUARDED_BY(mutex_);
  absl::AnyInvocable<void() &&> before_open_ ABSL_GUARDED_BY(mutex_);
  uint64_t open_files_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t directory_reads_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<Executor> executor_;
};

}  // namespace appendfs::fuse
