#pragma once

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "common/ids.h"
#include "common/status.h"
#include "master/meta_log.h"

namespace appendfs {

// Which client has which inode open, and so whether an inode that loses its
// last name is purged or becomes an orphan. That is decided here, on the log's
// thread, at the moment the operation gets its place in the order: an Open that
// succeeded before protects the inode, an Open after it finds it gone.
//
// In memory only. After a restart every inode counts as open until each
// session of before has told what it has open (or has ended).
//
// Thread-safe; never calls out. Outlives the log it is the gate of.
class OpenInodes final : public MetaLogGate {
 public:
  // --- before the log serves anyone ------------------------------------------
  void ExpectReclaim(ClientId client);
  void AddOrphan(InodeId inode);

  // --- opens -----------------------------------------------------------------
  // NO_ENTRY if the inode is losing its last name now. OK does not mean that
  // the inode exists: look it up afterwards, and Close it again if it does not.
  absl::Status Open(ClientId client, InodeId inode);
  // Everything `client` has open, besides what it opened since.
  void Reclaim(ClientId client, const std::vector<InodeId>& inodes);
  void Close(ClientId client, InodeId inode);
  // The client's session has ended.
  void CloseAll(ClientId client);

  // Inodes without a name (or about to be) that nobody has open any more;
  // each is named once, until it is opened and closed again.
  std::vector<InodeId> TakeOrphans();
  bool IsOpen(InodeId inode) const;

  // --- the gate, on the log's thread -----------------------------------------
  absl::Status Prepare(v1::MetaOp& op, const KeyValueReader& tables) override;
  void Applied(const v1::MetaOp& op, const v1::MetaResult& result) override;
  void Committed() override;

 private:
  bool IsOpenLocked(InodeId inode) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void OpenLocked(ClientId client, InodeId inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseLocked(ClientId client, InodeId inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<ClientId, absl::flat_hash_set<InodeId>> by_client_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<InodeId, int> clients_ ABSL_GUARDED_BY(mutex_);  // how many have it open
  absl::flat_hash_set<ClientId> to_reclaim_ ABSL_GUARDED_BY(mutex_);
  // Known or suspected to have lost their last name while open.
  absl::flat_hash_set<InodeId> orphans_ ABSL_GUARDED_BY(mutex_);
  // Being decided by the operation that is applied now: an Open waits.
  absl::flat_hash_set<InodeId> deciding_ ABSL_GUARDED_BY(mutex_);
  // Purged by operations that do not show in snapshots yet.
  absl::flat_hash_set<InodeId> gone_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace appendfs
