#include "master/sessions/open_inodes.h"

#include <algorithm>

#include "common/str_cat.h"
#include "master/namespace/removal.h"

namespace appendfs {

void OpenInodes::ExpectReclaim(ClientId client) {
  absl::MutexLock lock(&mutex_);
  to_reclaim_.insert(client);
}

void OpenInodes::AddOrphan(InodeId inode) {
  absl::MutexLock lock(&mutex_);
  orphans_.insert(inode);
}

absl::Status OpenInodes::Open(ClientId client, InodeId inode) {
  absl::MutexLock lock(&mutex_);
  auto decided = [this, inode]()
                     ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !deciding_.contains(inode); };
  mutex_.Await(absl::Condition(&decided));
  if (gone_.contains(inode))
    return MakeError(v1::NO_ENTRY, StrCat("inode ", inode, ": no such file or directory"));
  OpenLocked(client, inode);
  return absl::OkStatus();
}

void OpenInodes::Reclaim(ClientId client, const std::vector<InodeId>& inodes) {
  absl::MutexLock lock(&mutex_);
  for (InodeId inode : inodes) OpenLocked(client, inode);
  to_reclaim_.erase(client);
}

void OpenInodes::Close(ClientId client, InodeId inode) {
  absl::MutexLock lock(&mutex_);
  CloseLocked(client, inode);
}

void OpenInodes::CloseAll(ClientId client) {
  absl::MutexLock lock(&mutex_);
  to_reclaim_.erase(client);
  auto found = by_client_.find(client);
  if (found == by_client_.end()) return;
  std::vector<InodeId> inodes(found->second.begin(), found->second.end());
  for (InodeId inode : inodes) CloseLocked(client, inode);
}

std::vector<InodeId> OpenInodes::TakeOrphans() {
  absl::MutexLock lock(&mutex_);
  std::vector<InodeId> taken;
  if (orphans_.empty() || !to_reclaim_.empty()) return taken;
  for (InodeId inode : orphans_)
    if (!clients_.contains(inode)) taken.push_back(inode);
  for (InodeId inode : taken) orphans_.erase(inode);
  std::sort(taken.begin(), taken.end());
  return taken;
}

bool OpenInodes::IsOpen(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  return IsOpenLocked(inode);
}

absl::Status OpenInodes::Prepare(v1::MetaOp& op, const KeyValueReader& tables) {
  op.clear_open_inodes();
  APPENDFS_ASSIGN_OR_RETURN(std::vector<InodeId> losing, InodesLosingLastName(op, tables));
  if (losing.empty()) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  for (InodeId inode : losing) {
    if (IsOpenLocked(inode)) {
      op.add_open_inodes(inode.value());
      orphans_.insert(inode);
    } else {
      deciding_.insert(inode);
    }
  }
  return absl::OkStatus();
}

void OpenInodes::Applied(const v1::MetaOp& op, const v1::MetaResult& result) {
  absl::MutexLock lock(&mutex_);
  if (!result.has_error()) gone_.insert(deciding_.begin(), deciding_.end());
  deciding_.clear();
  if (op.make_node().open() && !result.has_error())
    OpenLocked(ClientId(op.make_node().mutation().client_id()),
               InodeId(result.make_node().entry().attributes().inode()));
}

void OpenInodes::Committed() {
  absl::MutexLock lock(&mutex_);
  gone_.clear();
}

bool OpenInodes::IsOpenLocked(InodeId inode) const {
  return !to_reclaim_.empty() || clients_.contains(inode);
}

void OpenInodes::OpenLocked(ClientId client, InodeId inode) {
  if (by_client_[client].insert(inode).second) ++clients_[inode];
}

void OpenInodes::CloseLocked(ClientId client, InodeId inode) {
  auto found = by_client_.find(client);
  if (found == by_client_.end() || found->second.erase(inode) == 0) return;
  if (found->second.empty()) by_client_.erase(found);
  if (--clients_[inode] == 0) clients_.erase(inode);
}

}  // namespace appendfs
