#include <rocksdb/file_system.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "master/rocksdb_env.h"
#include "master/rocksdb_logs.h"

namespace appendfs {
namespace {

using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// Bytes reach the file below with a sync. Closing writes them down too: what
// the kernel does sooner or later, and RocksDB reads its files again.
class LossyWritableFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  explicit LossyWritableFile(std::unique_ptr<FSWritableFile>&& base)
      : FSWritableFileOwnerWrapper(std::move(base)) {}

  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    std::lock_guard lock(mutex_);
    unsynced_.append(data.data(), data.size());
    return IOStatus::OK();
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* context) override {
    return Append(data, options, context);
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* context) override {
    std::lock_guard lock(mutex_);
    IOStatus status = WriteDown(options, context);
    return status.ok() ? FSWritableFileOwnerWrapper::Sync(options, context) : status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
    return Sync(options, context);
  }
  bool IsSyncThreadSafe() const override { return true; }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* context) override {
    std::lock_guard lock(mutex_);
    IOStatus status = WriteDown(options, context);
    return status.ok() ? FSWritableFileOwnerWrapper::Truncate(size, options, context) : status;
  }
  IOStatus Close(const IOOptions& options, IODebugContext* context) override {
    std::lock_guard lock(mutex_);
    IOStatus status = WriteDown(options, context);
    return status.ok() ? FSWritableFileOwnerWrapper::Close(options, context) : status;
  }
  uint64_t GetFileSize(const IOOptions& options, IODebugContext* context) override {
    std::lock_guard lock(mutex_);
    return FSWritableFileOwnerWrapper::GetFileSize(options, context) + unsynced_.size();
  }

 private:
  IOStatus WriteDown(const IOOptions& options, IODebugContext* context) {
    if (unsynced_.empty()) return IOStatus::OK();
    IOStatus status = FSWritableFileOwnerWrapper::Append(unsynced_, options, context);
    unsynced_.clear();
    return status;
  }

  std::mutex mutex_;  // RocksDB may sync while it appends
  std::string unsynced_;
};

class LossyRocksDbFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  LossyRocksDbFileSystem() : FileSystemWrapper(MakeLogsFileSystem()) {}
  const char* Name() const override { return "AppendFSLossy"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* file,
                           IODebugContext* context) override {
    return Wrap(FileSystemWrapper::NewWritableFile(path, options, file, context), *file);
  }
  IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<FSWritableFile>* file,
                              IODebugContext* context) override {
    return Wrap(FileSystemWrapper::ReopenWritableFile(path, options, file, context), *file);
  }
  IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                             const rocksdb::FileOptions& options,
                             std::unique_ptr<FSWritableFile>* file,
                             IODebugContext* context) override {
    return Wrap(FileSystemWrapper::ReuseWritableFile(path, old_path, options, file, context),
                *file);
  }

 private:
  static IOStatus Wrap(IOStatus status, std::unique_ptr<FSWritableFile>& file) {
    if (status.ok()) file = std::make_unique<LossyWritableFile>(std::move(file));
    return status;
  }
};

}  // namespace

// Names are the base's at once: only bytes are lost.
rocksdb::Env* TablesEnv() {
  static rocksdb::Env* const kEnv =
      rocksdb::NewCompositeEnv(std::make_shared<LossyRocksDbFileSystem>()).release();
  return kEnv;
}

}  // namespace appendfs
