#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/appendfs.h"
#include "client/master_client.h"
#include "common/ids.h"
#include "proto/master.pb.h"

namespace appendfs {

// Names and attributes as the master last told them, until it says that they
// have changed. Only what cannot change without the master is kept: not the
// attributes of a file that is being appended to. Whether any of it may be
// believed is for the caller to ask (MasterClient::Believes).
//
// An answer is kept only if nothing it is about has changed since its call
// began: that is what the ticket is for, which is drawn before. Thread-safe.
class MetaCache final : public MasterClient::Watcher {
 public:
  static constexpr size_t kMostNames = 200'000;  // and as many inodes; then it starts over

  struct Ticket {
    uint64_t drawn = 0;
  };
  Ticket Draw() const;

  // What a name means; its inode's entry; an empty entry: there is no such name.
  std::optional<v1::Entry> FindName(InodeId parent, std::string_view name) const;
  std::optional<v1::Entry> FindEntry(InodeId inode) const;

  // Answers of the master.
  void KeepName(Ticket ticket, InodeId parent, std::string_view name, const v1::Entry& entry);
  void KeepAbsence(Ticket ticket, InodeId parent, std::string_view name);
  void KeepEntry(Ticket ticket, const v1::Entry& entry);
  // A page with entries; `whole`: these are all names there are.
  void KeepPage(Ticket ticket, InodeId directory, const v1::ReadDirectoryResponse& page,
                bool whole);

  // Changes of this client's own, once they have been answered; `after`: what the
  // answer says of what else they have changed. Several may be under way.
  void Made(Ticket ticket, InodeId parent, std::string_view name, const v1::Entry& entry,
            const v1::AfterChange& after);
  void Removed(Ticket ticket, InodeId parent, std::string_view name, InodeId inode,
               const v1::AfterChange& after);
  void Renamed(Ticket ticket, InodeId from, std::string_view name, InodeId to,
               std::string_view new_name, InodeId inode, InodeId replaced, bool exchanged,
               const v1::AfterChange& after);

  // Whether what was learnt since then of an inode's attributes, or that the
  // name means the inode, is what is kept.
  bool KeepsEntry(Ticket since, InodeId inode) const;
  bool KeepsName(Ticket since, InodeId parent, std::string_view name, InodeId inode) const;
  // Is told after the cache, of what the master says; null: nobody, and no call is under way.
  void SetBorrower(Client::Borrower* borrower);

  // Changes of this client's own whose answers tell too little.
  void OnOwnChange(const std::vector<InodeId>& inodes);

  void OnChanged(const std::vector<InodeId>& inodes, absl::AnyInvocable<void() &&> heard) override;
  void OnRefused() override;
  void OnLost() override;

 private:
  struct Name {
    InodeId inode;       // none: not there
    uint64_t index = 0;  // of the own change that made it so; 0: it was read
  };
  struct Node {
    std::optional<v1::Entry> entry;
    uint64_t entry_index = 0;                      // the newest own change that told one
    absl::flat_hash_map<std::string, Name> names;  // of a directory
    bool whole = false;                            // what is not among them is not there
    uint64_t since = 0;       // of when the first of it is: it is watched since
    uint64_t read = 0;        // when the last name came from an answer to a read
    uint64_t entry_read = 0;  // the same of the entry
  };
  static constexpr size_t kShards = 1024;

  bool Unchanged(Ticket ticket, InodeId inode) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Nothing is known of it any more. Of what was told, or done, by others, or in
  // a way that is not known in detail; of a change of our own.
  void Change(InodeId inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetChanged(InodeId inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(InodeId inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Node& NodeOf(InodeId inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutEntry(const v1::Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutReadEntry(const v1::Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutName(InodeId parent, std::string_view name, const Name& meaning)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutReadName(InodeId parent, std::string_view name, InodeId inode)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The inode as this client has changed it; null if it has to be asked for again.
  Node* OwnChange(Ticket ticket, InodeId inode, const v1::AfterChange& after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex borrower_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  Client::Borrower* borrower_ ABSL_GUARDED_BY(borrower_mutex_) = nullptr;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<InodeId, Node> nodes_ ABSL_GUARDED_BY(mutex_);
  size_t names_ ABSL_GUARDED_BY(mutex_) = 0;  // about
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t all_changed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<uint64_t, kShards> changed_ ABSL_GUARDED_BY(mutex_) = {};  // when, by inode
  std::array<uint64_t, kShards> told_ ABSL_GUARDED_BY(mutex_) = {};     // but by us, in detail
};

}  // namespace appendfs
