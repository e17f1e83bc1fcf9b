#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/appendfs.h"
#include "fuse/inode_map.h"

namespace appendfs::fuse {

// What the kernel was told that it may keep of names and attributes, and how it
// is made to forget. Whoever changed them elsewhere is answered when the kernel
// has forgotten: attributes always; names unless that takes longer than
// kNamesBound while a change of this mount's own is under way, which may hold
// their directory's lock in the kernel and itself be waiting for the other mount.
//
// Loans may be taken from any thread. The kernel is told from two threads of
// this, the one that names may block apart from the other, with no lock held.
class Lending final : public Client::Borrower {
 public:
  static constexpr std::chrono::milliseconds kNamesBound{20};

  // 0 or -errno; -ENOENT: it knows nothing of the kind.
  struct Kernel {
    std::function<int(uint64_t node)> forget_attributes;
    std::function<int(uint64_t parent, const std::string& name)> forget_name;
  };

  Lending(Client& client, const InodeMap& inodes) : client_(client), inodes_(inodes) {}
  ~Lending() override;

  // Nothing is lent before.
  void Start(Kernel kernel);
  // Names are lent only where the kernel can be made to forget them without
  // detaching what is mounted below.
  void LendNames() { names_too_ = true; }
  bool lends_names() const { return names_too_; }
  // The kernel is told nothing any more.
  void Stop();

  // Around a change of this mount's own, as long as it may hold locks in the kernel.
  class OwnChange {
   public:
    explicit OwnChange(Lending& lending) : lending_(lending) { ++lending_.own_changes_; }
    ~OwnChange() { --lending_.own_changes_; }
    OwnChange(const OwnChange&) = delete;
    OwnChange& operator=(const OwnChange&) = delete;

   private:
    Lending& lending_;
  };

  // For how many seconds the kernel may believe what it is told, which must
  // have been written to it when the loan ends.
  class Loan {
   public:
    explicit Loan(Lending& lending) : lending_(lending), lock_(&lending.gate_) {}
    double Attributes(uint64_t ticket, InodeId inode);
    double Name(uint64_t ticket, InodeId parent, std::string_view name, InodeId inode);

   private:
    Lending& lending_;
    absl::ReaderMutexLock lock_;
  };

  void OnChanged(const std::vector<InodeId>& inodes,
                 absl::AnyInvocable<void() &&> taken_back) override;
  void OnLost() override;

 private:
  using Done = absl::AnyInvocable<void() &&>;
  using Names = std::vector<std::pair<InodeId, std::string>>;
  struct Lent {
    absl::flat_hash_set<InodeId> attributes;
    absl::flat_hash_map<InodeId, absl::flat_hash_set<std::string>> names;
  };
  struct Change {
    std::vector<InodeId> inodes;
    bool everything = false;
    Done done;
  };
  struct Naming {
    Names names;
    absl::Time bound;
    Done done;  // null: has been called
  };

  void Note(const std::function<void(Lent&)>& note);
  std::pair<std::vector<InodeId>, Names> TakeLent(const Change& change);
  void ForgetAttributes(InodeId inode);
  void RunChanges();
  void RunNames();
  std::vector<Done> TakeOverdue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time NextBound() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  Client& client_;
  const InodeMap& inodes_;
  Kernel kernel_;
  std::atomic<bool> names_too_ = false;
  std::atomic<bool> stopped_ = true;
  std::atomic<int> own_changes_ = 0;

  absl::Mutex gate_;  // shared by loans; taken alone to see that earlier ones have ended

  absl::Mutex lent_mutex_;
  // Of the last second or two, and before; older ones are believed no more.
  Lent lent_ ABSL_GUARDED_BY(lent_mutex_), lent_before_ ABSL_GUARDED_BY(lent_mutex_);
  absl::Time turned_ ABSL_GUARDED_BY(lent_mutex_) = absl::InfinitePast();

  absl::Mutex mutex_;
  std::deque<Change> changes_ ABSL_GUARDED_BY(mutex_);
  std::deque<Naming> naming_ ABSL_GUARDED_BY(mutex_);  // the first is being done
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread changes_thread_, names_thread_;
};

}  // namespace appendfs::fuse
