#include "master/sessions/sessions.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/executor.h"
#include "common/str_cat.h"
#include "master/layout.h"

namespace appendfs {
namespace {

absl::Status Expired(ClientId client) {
  return MakeError(v1::SESSION_EXPIRED,
                   StrCat("client ", client, " has no session: open a new one"));
}

class LoggedSessions final : public Sessions {
 public:
  LoggedSessions(const SessionOptions& options, MetaLog& log, OpenInodes& open_inodes,
                 const Clock& clock)
      : options_(options), log_(log), open_inodes_(open_inodes), clock_(clock) {}

  absl::Status Load() {
    std::unique_ptr<KeyValueReader> tables = log_.Snapshot();
    Duration now = clock_.Monotonic();
    absl::MutexLock lock(&mutex_);
    APPENDFS_RETURN_IF_ERROR(
        tables->Scan(Table::kSessions, "", "",
                     [&](std::string_view key, std::string_view) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                       if (auto client = layout::DecodeIdKey<ClientId>(key)) {
                         sessions_[*client].heard = now;
                         open_inodes_.ExpectReclaim(*client);
                       }
                       return true;
                     }));
    return tables->Scan(Table::kOrphans, "", "", [&](std::string_view key, std::string_view) {
      if (auto inode = layout::DecodeIdKey<InodeId>(key)) open_inodes_.AddOrphan(*inode);
      return true;
    });
  }

  void OnEnd(EndListener listener) override { on_end_ = std::move(listener); }
  void Start(GarbageSink garbage, std::unique_ptr<Executor> executor) override {
    garbage_ = std::move(garbage);
    executor_ = std::move(executor);
    executor_->Post([this, &executor = *executor_] { Tick(executor); });
  }

  bool IsLive(ClientId client) const override {
    absl::MutexLock lock(&mutex_);
    auto found = sessions_.find(client);
    return found != sessions_.end() && !found->second.ending;
  }
  size_t count() const override {
    absl::MutexLock lock(&mutex_);
    return sessions_.size();
  }

  std::vector<ClientId> clients() const override {
    absl::MutexLock lock(&mutex_);
    std::vector<ClientId> clients;
    for (const auto& [client, session] : sessions_) clients.push_back(client);
    return clients;
  }

  void Open(const std::string& description, OpenDone done) override {
    v1::MetaOp op;
    op.set_now_ns(clock_.WallNanos());
    op.mutable_open_session()->set_description(description);
    log_.Propose(std::move(op), [this, description, done = std::move(done)](
                                    absl::StatusOr<v1::MetaResult> result) mutable {
      if (!result.ok()) return std::move(done)(result.status());
      if (result->has_error()) return std::move(done)(FromProto(result->error()));
      ClientId client(result->id());
      LOG(INFO) << "client=" << client << " session opened: " << description;
      {
        absl::MutexLock lock(&mutex_);
        sessions_[client].heard = clock_.Monotonic();
      }
      std::move(done)(client);
    });
  }

  void Close(ClientId client, CloseDone done) override {
    {
      absl::MutexLock lock(&mutex_);
      auto found = sessions_.find(client);
      if (found == sessions_.end() || found->second.ending)
        return std::move(done)(absl::OkStatus());
      found->second.ending = true;
    }
    End({client}, std::move(done));
  }

  absl::Status KeepAlive(ClientId client) override {
    absl::MutexLock lock(&mutex_);
    auto found = sessions_.find(client);
    if (found == sessions_.end() || found->second.ending) return Expired(client);
    found->second.heard = clock_.Monotonic();
    return absl::OkStatus();
  }

  absl::Status Reclaim(ClientId client, const std::vector<InodeId>& inodes) override {
    APPENDFS_RETURN_IF_ERROR(KeepAlive(client));
    open_inodes_.Reclaim(client, inodes);
    // If the session has ended just now, its files have been closed perhaps
    // before they were opened here.
    if (!IsLive(client)) {
      open_inodes_.CloseAll(client);
      return Expired(client);
    }
    PurgeOrphans();
    return absl::OkStatus();
  }

  absl::Status Check(ClientId client) const override {
    return IsLive(client) ? absl::OkStatus() : Expired(client);
  }

  absl::Status Admit(const v1::MutationId& mutation) override {
    ClientId client(mutation.client_id());
    absl::MutexLock lock(&mutex_);
    auto found = sessions_.find(client);
    if (found == sessions_.end() || found->second.ending) return Expired(client);
    if (mutation.sequence() == 0 || mutation.answered_below() > mutation.sequence())
      return MakeError(v1::INVALID, StrCat("client ", client, ": mutation ", mutation.sequence(),
                                           " with answers below ", mutation.answered_below()));
    Session& session = found->second;
    if (mutation.sequence() < session.answered_below)
      return MakeError(v1::SEQUENCE_FORGOTTEN, StrCat("client ", client, ": mutation ",
                                                      mutation.sequence(), " was answered before"));
    session.answered_below = std::max(session.answered_below, mutation.answered_below());
    return absl::OkStatus();
  }

  void PurgeOrphans() override {
    std::vector<InodeId> orphans = open_inodes_.TakeOrphans();
    if (orphans.empty()) return;
    v1::MetaOp op;
    op.set_now_ns(clock_.WallNanos());
    for (InodeId inode : orphans) op.mutable_purge_orphans()->add_inodes(inode.value());
    log_.Propose(std::move(op), [this](absl::StatusOr<v1::MetaResult> result) {
      if (!result.ok() || result->garbage().empty() || !garbage_) return;
      std::vector<ChunkHandle> handles;
      for (uint64_t handle : result->garbage()) handles.emplace_back(handle);
      garbage_(std::move(handles));
    });
  }

  Duration timeout() const override { return options_.timeout; }

 private:
  struct Session {
    Duration heard{};             // monotonic
    bool ending = false;          // being ended in the log
    uint64_t answered_below = 0;  // mutations
  };

  void Tick(Executor& executor) {
    std::vector<ClientId> late = TakeLate();
    if (!late.empty()) {
      for (ClientId client : late) LOG(WARNING) << "client=" << client << " session timed out";
      End(std::move(late), [](absl::Status) {});
    }
    PurgeOrphans();
    executor.PostAfter(options_.tick, [this, &executor] { Tick(executor); });
  }

  std::vector<ClientId> TakeLate() {
    absl::MutexLock lock(&mutex_);
    std::vector<ClientId> late;
    Duration now = clock_.Monotonic();
    for (auto& [client, session] : sessions_) {
      if (session.ending || now - session.heard < options_.timeout) continue;
      session.ending = true;
      late.push_back(client);
    }
    return late;
  }

  // Files stay open until the end is durable: otherwise a master that restarts
  // could know the session again, but not the file.
  void End(std::vector<ClientId> clients, CloseDone done) {
    v1::MetaOp op;
    op.set_now_ns(clock_.WallNanos());
    for (ClientId client : clients) op.mutable_end_sessions()->add_client_ids(client.value());
    log_.Propose(std::move(op), [this, clients = std::move(clients), done = std::move(done)](
                                    absl::StatusOr<v1::MetaResult> result) mutable {
      if (!result.ok()) return std::move(done)(result.status());
      {
        absl::MutexLock lock(&mutex_);
        for (ClientId client : clients) sessions_.erase(client);
      }
      for (ClientId client : clients) {
        open_inodes_.CloseAll(client);
        if (on_end_) on_end_(client);
      }
      PurgeOrphans();
      std::move(done)(absl::OkStatus());
    });
  }

  const SessionOptions options_;
  MetaLog& log_;
  OpenInodes& open_inodes_;
  const Clock& clock_;
  GarbageSink garbage_;  // set by Start
  EndListener on_end_;   // set before it

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<ClientId, Session> sessions_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<Executor> executor_;  // last to be made, first to end
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sessions>> Sessions::Create(const SessionOptions& options,
                                                           MetaLog& log, OpenInodes& open_inodes,
                                                           const Clock& clock) {
  auto sessions = std::make_unique<LoggedSessions>(options, log, open_inodes, clock);
  APPENDFS_RETURN_IF_ERROR(sessions->Load());
  return sessions;
}

}  // namespace appendfs
