#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/file_system.h"

namespace appendfs {

// A file system in memory whose power can fail. What was not synced may then
// be lost, in part or in whole: of bytes any set of 512-byte sectors survives,
// of names (made, moved, removed) any set of changes. It keeps to the contract
// of FileSystem and promises nothing beyond it.
//
// Faults are set per object; the same calls and seeds give the same outcome.
// Thread-safe.
class SimFileSystem final : public FileSystem {
 public:
  SimFileSystem();
  ~SimFileSystem() override;

  // --- Power.

  // The power fails during the `operations`-th changing operation from now
  // (1: the next). Everything fails from then on, until Crash.
  void FailPowerAfter(uint64_t operations);
  bool power_is_off() const;
  // Loses what the seed says, and turns the power on. Files opened before are
  // dead, locks are free.
  void Crash(uint64_t seed);
  // The process died, not the machine: as Crash, but nothing is lost, not even
  // what a later power failure may still lose.
  void Kill();
  // What would be there if the power failed now and nothing unsynced survived.
  std::unique_ptr<SimFileSystem> DurableCopy() const;
  // Changing operations so far: writes, truncations, syncs, and changes of names.
  uint64_t operations() const;

  // --- Faults.

  // The n-th sync of a file from now (1: the next) fails, once. As a kernel
  // does, it forsakes what it should have made durable: that can be read until
  // the power fails, and no later sync makes it durable; only writing it again
  // does.
  void FailSyncAfter(uint64_t syncs);
  // The n-th write from now fails, once, without effect.
  void FailWriteAfter(uint64_t writes);
  // Reads of this path fail.
  void FailReads(const std::string& path);
  // Files together may grow to so many bytes.
  void SetCapacity(uint64_t bytes);
  // Changes bytes behind everyone's back, durably.
  absl::Status FlipBit(const std::string& path, uint64_t offset, int bit);

  // --- FileSystem.

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<bool> Exists(const std::string& path) override;
  absl::StatusOr<Space> GetSpace(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) override;

 private:
  class SimFile;
  class SimLock;

  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  // A change of bytes: a write, or a cut to `offset`.
  struct ByteChange {
    uint64_t offset = 0;
    std::string bytes;
    bool cut = false;
    bool forsaken = false;  // a write whose sync failed
  };
  // A change of names; both halves or none.
  struct NameChange {
    std::string gone;  // empty: none
    std::string name;  // empty: none
    NodePtr node;      // what `name` stands for from then on
  };
  struct Node {
    bool is_directory = false;
    std::string bytes, durable_bytes;  // of a file
    std::vector<ByteChange> unsynced_bytes;
    std::map<std::string, NodePtr> names, durable_names;  // of a directory
    std::vector<NameChange> unsynced_names;
  };

  static NodePtr CopyDurable(const Node& node);
  static uint64_t UsedBy(const Node& node);
  static void ApplyBytes(const ByteChange& change, std::string& to);
  // Whether `change` leaves something else where `earlier` wrote.
  static bool Covers(const ByteChange& change, const ByteChange& earlier);
  static void ApplyNames(const NameChange& change, std::map<std::string, NodePtr>& to);

  // One changing operation. Error: the power is off. `fails_now`: it goes off
  // during this one, whose effect may or may not last.
  absl::Status Begin(bool& fails_now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status PowerError() const;
  absl::StatusOr<NodePtr> Find(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The directory a path is in, and the last part of the path.
  absl::StatusOr<std::pair<NodePtr, std::string>> Parent(const std::string& path) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Change(Node& directory, NameChange change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Restart() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseUnsynced(Node& node, std::mt19937_64& random) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Status Write(Node& node, const std::string& path, uint64_t offset,
                     std::span<const std::string_view> parts, uint64_t boot);
  absl::Status Sync(Node& node, const std::string& path, uint64_t boot);
  absl::Status Truncate(Node& node, const std::string& path, uint64_t length, uint64_t boot);
  absl::StatusOr<size_t> Read(const Node& node, const std::string& path, uint64_t offset,
                              char* into, size_t length, uint64_t boot) const;
  absl::StatusOr<uint64_t> Size(const Node& node, uint64_t boot) const;

  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  mutable absl::Mutex mutex_;
  NodePtr root_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> locks_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> unreadable_ ABSL_GUARDED_BY(mutex_);
  uint64_t boot_ ABSL_GUARDED_BY(mutex_) = 0;  // files of an earlier one are dead
  bool power_is_off_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t power_fails_at_ ABSL_GUARDED_BY(mutex_) = kNever;
  uint64_t syncs_left_ ABSL_GUARDED_BY(mutex_) = kNever;
  uint64_t writes_left_ ABSL_GUARDED_BY(mutex_) = kNever;
  uint64_t capacity_ ABSL_GUARDED_BY(mutex_) = uint64_t{1} << 40;
  uint64_t used_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace appendfs
