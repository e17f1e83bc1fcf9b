#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace appendfs {

// An open file. Writing and making durable are separate: bytes written are not
// durable before Sync returned OK, and after a Sync that failed nothing about
// the file is known any more (never sync again and believe the answer).
// Positional calls may come from several threads at once.
class LocalFile {
 public:
  virtual ~LocalFile() = default;

  // Writes all of the parts, one after the other, from `offset` on.
  virtual absl::Status Write(uint64_t offset, std::span<const std::string_view> parts) = 0;
  absl::Status Write(uint64_t offset, std::string_view bytes) {
    return Write(offset, std::span<const std::string_view>(&bytes, 1));
  }
  // Up to `length` bytes; fewer only at the end of the file.
  virtual absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const = 0;
  // Makes the bytes, and the length where it grew, durable. May fail if the
  // file has lost its name.
  virtual absl::Status Sync() = 0;
  // Write, then Sync, in the way that is quickest for the size. By one thread
  // at a time, and only below the end of the file.
  virtual absl::Status WriteDurably(uint64_t offset, std::span<const std::string_view> parts) {
    absl::Status status = Write(offset, parts);
    return status.ok() ? Sync() : status;
  }
  // As Write, of bytes that nobody is going to read soon: a long run of them
  // leaves no pages in the cache. By one thread at a time.
  virtual absl::Status WriteAside(uint64_t offset, std::span<const std::string_view> parts) {
    return Write(offset, parts);
  }
  virtual absl::StatusOr<uint64_t> Size() const = 0;
  virtual absl::Status Truncate(uint64_t length) = 0;
};

// The name within servers. (The client library's File is another class, and
// no program part sees both.)
using File = LocalFile;

// The file system below the servers. A name made, moved or removed is durable
// only after SyncDirectory of its directory. Paths are absolute or relative to
// the process; errors name the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  enum class OpenMode {
    kRead,       // must exist
    kReadWrite,  // must exist
    kCreate,     // must not exist
    kCreateOrOpen,
  };
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // OK if it exists already.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // Names (not paths), in no order, without "." and "..".
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;

  struct Space {
    uint64_t total_bytes = 0;
    uint64_t available_bytes = 0;
  };
  virtual absl::StatusOr<Space> GetSpace(const std::string& path) = 0;

  // Held until the returned object is destroyed; a second process that tries
  // gets NOT_READY, and is told who holds it.
  class Lock {
   public:
    virtual ~Lock() = default;
  };
  virtual absl::StatusOr<std::unique_ptr<Lock>> LockFile(const std::string& path) = 0;
};

// The real one.
std::unique_ptr<FileSystem> MakePosixFileSystem();

// Writes a whole small file so that after a crash either the old or the new
// content is there: temporary name, sync, rename, directory sync.
absl::Status ReplaceFile(FileSystem& fs, const std::string& path, std::string_view content);
absl::StatusOr<std::string> ReadWholeFile(FileSystem& fs, const std::string& path);

}  // namespace appendfs
