#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/append_stream.h"
#include "client/appender.h"
#include "client/appendfs.h"
#include "client/chunk_client.h"
#include "client/file_impl.h"
#include "client/file_status.h"
#include "client/master_client.h"
#include "client/master_locks.h"
#include "client/meta_cache.h"
#include "client/open_files.h"
#include "client/path.h"
#include "client/queue_budget.h"
#include "client/reader.h"
#include "client/replica_reader.h"
#include "client/session.h"
#include "common/clock.h"
#include "common/executor.h"

namespace appendfs {

// The composition root of the client library, and its namespace calls: each
// one call of the master, under a live session, until the deadline.
class ClientImpl final : public Client, Session::Listener, PathNodes, PlanSource {
 public:
  ClientImpl(ClientOptions options, std::unique_ptr<Executor> timers,
             std::unique_ptr<Executor> background, std::unique_ptr<MetaCache> kept,
             std::unique_ptr<MasterClient> master, std::unique_ptr<Session> session);
  ~ClientImpl() override;

  ClientId id() const override { return session_->id(); }
  std::string cluster_uuid() const override { return session_->cluster_uuid(); }
  const ClientOptions& options() const override { return options_; }

  absl::StatusOr<FileStatus> Resolve(std::string_view path) override;
  absl::StatusOr<std::shared_ptr<File>> Open(std::string_view path,
                                             const OpenOptions& options) override;

  absl::StatusOr<FileStatus> Lookup(InodeId parent, std::string_view name) override;
  absl::StatusOr<FileStatus> Stat(InodeId inode) override;
  void SetBorrower(Borrower* borrower) override;
  bool Lends() const override { return kept_ != nullptr; }
  uint64_t DrawTicket() const override { return Ticket().drawn; }
  Duration LendStatus(uint64_t ticket, InodeId inode) const override;
  Duration LendName(uint64_t ticket, InodeId parent, std::string_view name,
                    InodeId inode) const override;
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
  FileLocks& locks() override { return *locks_; }
  std::vector<AppendQueueReport> AppendQueues() const override;
  AppendsGivenUp GiveUpAppends(const absl::Status& why) override;

 private:
  // Session::Listener
  std::vector<InodeId> OpenInodes() override { return files_->Registered(); }
  absl::Status OnMasterRestarted(ClientId client) override { return locks_->Reclaim(client); }
  void OnNewSession(ClientId client) override;
  // PathNodes
  absl::StatusOr<v1::Entry> Root() override;
  absl::StatusOr<v1::Entry> LookupEntry(InodeId parent, std::string_view name) override;
  absl::StatusOr<std::string> ReadSymlink(InodeId inode) override { return ReadLink(inode); }
  // PlanSource
  absl::StatusOr<v1::FilePlan> GetPlan(InodeId inode, uint32_t from_index,
                                       Duration deadline) override;

  Duration Deadline() const { return clock_.Monotonic() + options_.timeout; }
  absl::StatusOr<v1::Entry> GetEntry(InodeId inode, Duration deadline);
  // What is kept of names, if it may be believed now; else null.
  const MetaCache* Believed() const { return master_->Believes() ? kept_.get() : nullptr; }
  MetaCache::Ticket Ticket() const { return kept_ ? kept_->Draw() : MetaCache::Ticket(); }
  // A change of ours that failed: perhaps it was made nevertheless, perhaps it
  // will be, and then its answer finds nobody waiting and drops what is kept.
  void AfterFailure(const absl::Status& status);
  void AfterChange(const absl::Status& status, const std::vector<InodeId>& inodes);
  absl::Status Remove(InodeId parent, std::string_view name, bool directory);
  std::shared_ptr<FileState> MakeState(InodeId inode, const v1::FilePlan* plan);
  OpenFiles::Hooks MakeHooks();
  void DropIdleBlocksLater(Executor& on);

  // Calls under the present session, and again under the next one if it turns
  // out to have expired.
  template <class Request>
  auto Call(Request request, Duration deadline);
  template <class Request>
  auto Mutate(Request request, Duration deadline);

  const ClientOptions options_;
  const SystemClock clock_;
  QueueBudget queue_budget_;
  ReadaheadBudget readahead_budget_;
  SequenceSource sequences_;
  std::unique_ptr<Executor> timers_;      // appenders' clocks
  std::unique_ptr<Executor> background_;  // what may block
  std::unique_ptr<MetaCache> kept_;       // null: nothing is
  std::unique_ptr<MasterClient> master_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<MasterLocks> locks_;
  std::unique_ptr<IoThreads> links_;  // threads of the data path
  std::unique_ptr<ChunkClient> chunks_;
  std::unique_ptr<AppendStreams> streams_;
  std::unique_ptr<ReplicaReader> replicas_;
  std::unique_ptr<StatusResolver> statuses_;
  std::unique_ptr<Appender::Shared> appenders_;
  std::unique_ptr<Reader::Shared> readers_;
  std::unique_ptr<FileImpl::Shared> handles_;
  std::unique_ptr<OpenFiles> files_;
};

}  // namespace appendfs
