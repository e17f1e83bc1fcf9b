#include "master/rocksdb_logs.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "common/file_system.h"
#include "master/log_end.h"
#include "master/log_file.h"

namespace appendfs {
namespace {

using rocksdb::FSSequentialFile;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus ToIoStatus(const absl::Status& status) {
  if (status.ok()) return IOStatus::OK();
  const std::string message(status.message());
  return ToErrno(status) == ENOSPC ? IOStatus::NoSpace(message) : IOStatus::IOError(message);
}

class WritableLog final : public FSWritableFile {
 public:
  explicit WritableLog(std::unique_ptr<LocalFile> file) : log_(std::move(file)) {}

  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    log_.Append({data.data(), data.size()});
    return IOStatus::OK();
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return ToIoStatus(log_.Sync()); }
  bool IsSyncThreadSafe() const override { return true; }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return ToIoStatus(log_.Close()); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return log_.size(); }

 private:
  LogFile log_;
};

class SequentialLog final : public FSSequentialFile {
 public:
  SequentialLog(std::unique_ptr<LocalFile> file, uint64_t end)
      : file_(std::move(file)), end_(end) {}

  IOStatus Read(size_t bytes, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    *result = Slice(scratch, 0);
    absl::StatusOr<size_t> read =
        file_->Read(offset_, scratch, std::min<uint64_t>(bytes, end_ - offset_));
    if (!read.ok()) return ToIoStatus(read.status());
    offset_ += *read;
    *result = Slice(scratch, *read);
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t bytes) override {
    offset_ += std::min(bytes, end_ - offset_);
    return IOStatus::OK();
  }

 private:
  const std::unique_ptr<LocalFile> file_;
  const uint64_t end_;
  uint64_t offset_ = 0;
};

absl::StatusOr<std::unique_ptr<FSWritableFile>> MakeLog(FileSystem& files,
                                                        const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(std::unique_ptr<LocalFile> file,
                            files.Open(path, FileSystem::OpenMode::kCreateOrOpen));
  APPENDFS_RETURN_IF_ERROR(file->Truncate(0));
  return std::make_unique<WritableLog>(std::move(file));
}

absl::StatusOr<std::unique_ptr<FSSequentialFile>> OpenLog(FileSystem& files,
                                                          const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(std::unique_ptr<LocalFile> file,
                            files.Open(path, FileSystem::OpenMode::kRead));
  APPENDFS_ASSIGN_OR_RETURN(const uint64_t end, FindLogEnd(*file, path));
  return std::make_unique<SequentialLog>(std::move(file), end);
}

bool IsLog(const std::string& path) { return path.ends_with(".log"); }

template <class File>
IOStatus Give(absl::StatusOr<std::unique_ptr<File>> made, std::unique_ptr<File>* to) {
  if (!made.ok()) return ToIoStatus(made.status());
  *to = *std::move(made);
  return IOStatus::OK();
}

class LogsFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  LogsFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "AppendFSLogs"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* file,
                           IODebugContext* context) override {
    if (IsLog(path)) return Give(MakeLog(*files_, path), file);
    return FileSystemWrapper::NewWritableFile(path, options, file, context);
  }
  IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                             std::unique_ptr<FSSequentialFile>* file,
                             IODebugContext* context) override {
    if (IsLog(path)) return Give(OpenLog(*files_, path), file);
    return FileSystemWrapper::NewSequentialFile(path, options, file, context);
  }

 private:
  const std::unique_ptr<appendfs::FileSystem> files_ = MakePosixFileSystem();
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> MakeLogsFileSystem() {
  return std::make_shared<LogsFileSystem>();
}

}  // namespace appendfs
