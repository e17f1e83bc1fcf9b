#include <glog/logging.h>

#include "common/str_cat.h"
#include "master/chunks/manager.h"
#include "master/layout.h"
#include "master/namespace/reads.h"
#include "master/namespace/tables.h"

namespace appendfs {
namespace {

constexpr int kForgetAtOnce = 1000;

std::string_view Name(RepairTask::Kind kind) {
  switch (kind) {
    case RepairTask::Kind::kConform: return "conform";
    case RepairTask::Kind::kCopy: return "copy";
    case RepairTask::Kind::kDelete: return "delete";
    case RepairTask::Kind::kSeal: return "seal";
  }
  return "";
}

}  // namespace

void Manager::Repair(Duration now) {
  for (RepairTask& task : repair_.Plan(now, safe_mode_)) RunRepair(std::move(task));
}

void Manager::RunRepair(RepairTask task) {
  if (task.kind != RepairTask::Kind::kConform)
    LOG(INFO) << "repair: " << Name(task.kind) << " chunk=" << task.handle
              << " server=" << task.server;
  if (task.kind == RepairTask::Kind::kDelete) {
    executor_->Post([this, target = Target(*servers_.Find(task.server)), task] {
      sender_->Delete(target, task.handle,
                      [this, task](absl::StatusOr<v1::DeleteChunksResponse::Item> result) {
                        FinishRepair(task, result.status());
                      });
    });
    return;
  }
  executor_->Post([this, task = std::move(task)] {
    absl::StatusOr<std::optional<v1::ChunkRecord>> record = GetChunk(*log_.Snapshot(), task.handle);
    if (task.kind == RepairTask::Kind::kSeal)
      SealParked(task, std::move(record));
    else
      ConformForRepair(task, std::move(record));
  });
}

// A parked chunk has no primary, and every member has promised its epoch: what
// the log holds of it is final as soon as the log says so.
void Manager::SealParked(const RepairTask& task,
                         absl::StatusOr<std::optional<v1::ChunkRecord>> record) {
  if (!record.ok()) return FinishRepair(task, record.status());
  if (!record->has_value() || (*record)->chunk().state() != v1::PARKED)
    return FinishRepair(
        task, MakeError(v1::NO_ENTRY, StrCat("chunk ", task.handle, " is parked no more")));
  const v1::Chunk& chunk = (*record)->chunk();
  v1::MetaOp op;
  v1::SealChunkOp& seal = *op.mutable_seal_chunk();
  seal.set_handle(chunk.handle());
  seal.set_epoch(chunk.epoch());
  seal.set_length(chunk.length());
  seal.set_crc32c(chunk.crc32c());
  *seal.mutable_memory() = LiveMemory(std::move(*(*record)->mutable_memory()));
  seal.set_mtime_ns((*record)->mtime_ns());
  absl::MutexLock lock(&mutex_);
  Propose(std::move(op), [this, task](absl::StatusOr<v1::MetaResult> result) {
    executor_->Post([this, task, status = result.status()] { FinishRepair(task, status); });
  });
}

void Manager::ConformForRepair(const RepairTask& task,
                               absl::StatusOr<std::optional<v1::ChunkRecord>> record) {
  if (!record.ok()) return FinishRepair(task, record.status());
  if (!record->has_value() || (*record)->chunk().state() != v1::SEALED)
    return FinishRepair(task, MakeError(v1::NO_ENTRY, StrCat("chunk ", task.handle, " is gone")));
  const v1::Chunk& chunk = (*record)->chunk();
  v1::ConformRequest::Item item;
  item.set_handle(chunk.handle());
  item.set_inode(chunk.inode());
  item.set_epoch(chunk.epoch());
  item.set_base_offset(chunk.base_offset());
  item.set_length(chunk.length());
  *item.mutable_memory() = std::move(*(*record)->mutable_memory());
  item.set_mtime_ns((*record)->mtime_ns());
  item.set_seal(true);
  item.set_check_crc(true);
  item.set_crc32c(chunk.crc32c());
  CommandTarget target;
  {
    absl::MutexLock lock(&mutex_);
    for (ServerId source : task.sources) *item.add_sources() = Address(source);
    target = Target(*servers_.Find(task.server));
  }
  sender_->Conform(target, std::move(item),
                   [this, task](absl::StatusOr<v1::ConformResponse::Item> result) {
                     FinishRepair(task, result.status());
                   });
}

void Manager::FinishRepair(const RepairTask& task, const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  const Duration now = Now();
  if (!status.ok()) {
    LOG(WARNING) << "repair fails: " << Name(task.kind) << " chunk=" << task.handle
                 << " server=" << task.server << ": " << status.message();
    if (HasReason(status, v1::UNREACHABLE)) servers_.Suspect(task.server, now, false);
  }
  repair_.OnDone(task, status, now);
  // The file was removed meanwhile, and a replica of it may just have been made.
  if (!chunks_.Knows(task.handle)) garbage_.Add(task.handle, {task.server}, false);
  Repair(now);
}

void Manager::AddGarbage(std::vector<ChunkHandle> handles) {
  if (handles.empty()) return;
  executor_->Post([this, handles = std::move(handles)] {
    std::unique_ptr<KeyValueReader> tables = log_.Snapshot();
    for (ChunkHandle handle : handles) {
      absl::StatusOr<std::optional<v1::GarbageRecord>> record =
          GetRecord<v1::GarbageRecord>(*tables, Table::kGarbage, layout::IdKey(handle));
      std::vector<ServerId> servers;
      bool logged = record.ok() && record->has_value();
      if (logged)
        for (uint64_t server : (*record)->servers()) servers.push_back(ServerId(server));
      absl::MutexLock lock(&mutex_);
      DropChunk(handle, std::move(servers), logged);
    }
  });
}

void Manager::DropChunk(ChunkHandle handle, std::vector<ServerId> servers, bool logged) {
  if (const SealedChunk* sealed = chunks_.FindSealed(handle))
    for (const SealedChunk::Replica& replica : sealed->replicas())
      servers.push_back(servers_.AtSlot(replica.server).id);
  InodeId inode;
  if (const OpenChunk* open = chunks_.FindOpen(handle)) {
    inode = open->inode();
    for (const OpenChunk::Member& member : open->members) servers.push_back(member.server);
  }
  CloseOpen(handle);
  chunks_.RemoveSealed(handle);
  garbage_.Add(handle, servers, logged);
  AnswerForced(handle, MakeError(v1::NO_ENTRY, StrCat("chunk ", handle, ": its file is removed")));
  if (inode) tails_.OnChunkSettled(inode, Now());
}

void Manager::JudgeUnknown(ChunkHandle handle, ServerId server, Duration now) {
  if (chunks_.Knows(handle) || in_making_.contains(handle)) return;
  if (handle.value() >= reserved_bound_) {
    LOG(ERROR) << "chunk=" << handle << " server=" << server
               << ": a handle this master has never given out; left alone";
    return;
  }
  if (safe_mode_) {
    unknown_.emplace_back(handle, server);
    return;
  }
  garbage_.Add(handle, {server}, false);
}

void Manager::CollectGarbage(Duration now) {
  if (safe_mode_) return;
  auto alive = [this](ServerId server)
                   ABSL_NO_THREAD_SAFETY_ANALYSIS { return servers_.IsAlive(server); };
  for (const GarbageCollector::Delete& due : garbage_.TakeDue(now, alive)) {
    executor_->Post([this, due, target = Target(*servers_.Find(due.server))] {
      sender_->Delete(target, due.handle,
                      [this, due](absl::StatusOr<v1::DeleteChunksResponse::Item> result) {
                        absl::MutexLock lock(&mutex_);
                        garbage_.OnDeleted(due, result.status(), Now());
                      });
    });
  }
  std::vector<ChunkHandle> finished = garbage_.TakeFinished();
  for (size_t i = 0; i < finished.size(); i += kForgetAtOnce) {
    v1::MetaOp op;
    for (size_t j = i; j < std::min(finished.size(), i + kForgetAtOnce); ++j)
      op.mutable_forget_garbage()->add_handles(finished[j].value());
    Propose(std::move(op), [](absl::StatusOr<v1::MetaResult> result) {
      if (!result.ok()) LOG(ERROR) << "garbage stays recorded: " << result.status().message();
    });
  }
}

}  // namespace appendfs
