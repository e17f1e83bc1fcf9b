#include "master/group_meta_log.h"

#include <glog/logging.h>
#include <pthread.h>

#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "master/layout.h"
#include "master/namespace/format.h"
#include "master/overlay.h"

namespace appendfs {
namespace {

// A group is at most this long, so that the first answer in it does not wait
// for ever longer queues.
constexpr size_t kGroupLimit = 1024;

class GroupMetaLog final : public MetaLog {
 public:
  GroupMetaLog(std::unique_ptr<DurableTables> tables, uint64_t applied_index,
               MetaStateMachine& machine, MetaLogOptions options)
      : options_(std::move(options)),
        machine_(machine),
        tables_(std::move(tables)),
        index_(applied_index),
        thread_([this] { Run(); }) {}
  ~GroupMetaLog() override { Stop(); }

  void Propose(v1::MetaOp op, Done done) override {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    queue_.push_back({std::move(op), std::move(done), {}});
  }

  std::unique_ptr<KeyValueReader> Snapshot() const override { return tables_->Snapshot(); }

  void Stop() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    absl::MutexLock lock(&stop_mutex_);
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Proposal {
    v1::MetaOp op;
    Done done;
    v1::MetaResult result;
  };

  void Run() {
    pthread_setname_np(pthread_self(), "meta-log");
    while (true) {
      std::vector<Proposal> group = NextGroup();
      if (group.empty()) return;
      if (failure_.ok()) {
        failure_ = ApplyAndCommit(group);
        if (!failure_.ok()) ReportFailure();
      }
      for (Proposal& proposal : group) {
        if (failure_.ok())
          std::move(proposal.done)(std::move(proposal.result));
        else
          std::move(proposal.done)(failure_);
      }
    }
  }

  // Waits; empty: stopped, and the queue is empty.
  std::vector<Proposal> NextGroup() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &GroupMetaLog::SomethingToDo));
    std::vector<Proposal> group;
    if (queue_.size() <= kGroupLimit) {
      group.swap(queue_);
    } else {
      auto end = queue_.begin() + kGroupLimit;
      group.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
      queue_.erase(queue_.begin(), end);
    }
    return group;
  }
  bool SomethingToDo() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty();
  }

  absl::Status ApplyAndCommit(std::vector<Proposal>& group) {
    Overlay changes(tables_.get());
    for (Proposal& proposal : group) APPENDFS_RETURN_IF_ERROR(ApplyOne(proposal, changes));
    // A group of nothing but refusals and repetitions leaves nothing to sync.
    if (!changes.empty()) {
      changes.Put(Table::kMeta, layout::kAppliedIndexKey, layout::EncodeNumber(index_));
      APPENDFS_RETURN_IF_ERROR(tables_->Commit(changes));
    }
    if (options_.gate) options_.gate->Committed();
    return absl::OkStatus();
  }

  absl::Status ApplyOne(Proposal& proposal, Overlay& changes) {
    if (options_.gate) APPENDFS_RETURN_IF_ERROR(options_.gate->Prepare(proposal.op, changes));
    uint64_t before = changes.changes_made();
    APPENDFS_ASSIGN_OR_RETURN(proposal.result, machine_.Apply(proposal.op, changes));
    if (changes.changes_made() != before) ++index_;
    proposal.result.set_index(index_);
    if (options_.gate) options_.gate->Applied(proposal.op, proposal.result);
    return absl::OkStatus();
  }

  void ReportFailure() {
    LOG(ERROR) << "the metadata log has failed and takes nothing more: " << failure_.message();
    if (options_.on_failure) options_.on_failure(failure_);
  }

  const MetaLogOptions options_;
  MetaStateMachine& machine_;
  const std::unique_ptr<DurableTables> tables_;

  // The log's thread only.
  uint64_t index_;
  absl::Status failure_;

  absl::Mutex mutex_;
  std::vector<Proposal> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex stop_mutex_;
  std::thread thread_ ABSL_GUARDED_BY(stop_mutex_);  // last: it uses all of the above
};

absl::StatusOr<uint64_t> LogStart(MetaLog& log, const Clock& clock) {
  v1::MetaOp op;
  op.set_now_ns(clock.WallNanos());
  op.mutable_start_master();
  absl::StatusOr<v1::MetaResult> result;
  absl::Notification done;
  log.Propose(std::move(op), [&](absl::StatusOr<v1::MetaResult> r) {
    result = std::move(r);
    done.Notify();
  });
  done.WaitForNotification();
  APPENDFS_RETURN_IF_ERROR(result.status());
  return result->id();
}

}  // namespace

absl::StatusOr<OpenedMetaLog> OpenMetaLog(std::unique_ptr<DurableTables> tables,
                                          MetaStateMachine& machine, const Clock& clock,
                                          const MetaLogOptions& options) {
  OpenedMetaLog opened;
  Overlay changes(tables.get());
  APPENDFS_ASSIGN_OR_RETURN(opened.created, FormatIfEmpty(changes, clock.WallNanos()));
  if (opened.created) APPENDFS_RETURN_IF_ERROR(tables->Commit(changes));
  APPENDFS_ASSIGN_OR_RETURN(Identity identity, ReadIdentity(*tables));
  opened.cluster_uuid = std::move(identity.cluster_uuid);
  opened.log =
      std::make_unique<GroupMetaLog>(std::move(tables), identity.applied_index, machine, options);
  APPENDFS_ASSIGN_OR_RETURN(opened.incarnation, LogStart(*opened.log, clock));
  return opened;
}

}  // namespace appendfs
