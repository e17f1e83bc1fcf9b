#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/file_system.h"

namespace appendfs {

// A file system over another that keeps in memory what was not synced: bytes
// until their file is, names until their directory is. A process that is killed
// thereby loses all of it, as when the power fails in the worst moment; kill -9
// alone proves nothing about syncs, because the kernel keeps what was written.
//
// Directories made or removed, and locks, are the base's at once. Not for
// production: locks are held across I/O, unsynced bytes are not bounded, a full
// disk shows at the sync. A directory may be changed through one such object
// only. Thread-safe.
class LossyFileSystem final : public FileSystem {
 public:
  explicit LossyFileSystem(std::unique_ptr<FileSystem> base) : base_(std::move(base)) {}

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
  class Node;
  using NodePtr = std::shared_ptr<Node>;
  using Names = std::map<std::string, NodePtr>;
  struct Directory {
    Names visible;  // what the process sees
    Names durable;  // what the base has
  };
  struct Place {
    Directory* directory;
    std::string parent, name;
  };

  absl::StatusOr<Directory*> Load(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Place> Find(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RemoveDirectory(const Place& place, const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsVisible(const NodePtr& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Unnamed(const std::string& parent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes the durable name away from the node that has it.
  absl::Status Displace(const std::string& parent, Directory& directory, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status MakeDurable(const std::string& parent, Directory& directory, const std::string& name,
                           const NodePtr& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<FileSystem> base_;

  absl::Mutex mutex_;
  std::map<std::string, Directory> directories_ ABSL_GUARDED_BY(mutex_);  // those touched
  uint64_t unnamed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace appendfs
