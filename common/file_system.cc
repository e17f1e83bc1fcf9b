#include "common/file_system.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

std::string DirectoryOf(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WriteNew(FileSystem& fs, const std::string& path, std::string_view content) {
  APPENDFS_ASSIGN_OR_RETURN(auto file, fs.Open(path, FileSystem::OpenMode::kCreateOrOpen));
  APPENDFS_RETURN_IF_ERROR(file->Truncate(0));
  APPENDFS_RETURN_IF_ERROR(file->Write(0, content));
  return file->Sync();
}

}  // namespace

absl::Status ReplaceFile(FileSystem& fs, const std::string& path, std::string_view content) {
  const std::string temporary = StrCat(path, ".tmp");
  absl::Status status = WriteNew(fs, temporary, content);
  if (status.ok()) status = fs.Rename(temporary, path);
  if (!status.ok()) {
    fs.Remove(temporary).IgnoreError();  // the first error is the one to tell
    return status;
  }
  return fs.SyncDirectory(DirectoryOf(path));
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem& fs, const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(auto file, fs.Open(path, FileSystem::OpenMode::kRead));
  APPENDFS_ASSIGN_OR_RETURN(uint64_t size, file->Size());
  std::string content(size, '\0');
  APPENDFS_ASSIGN_OR_RETURN(size_t read, file->Read(0, content.data(), content.size()));
  content.resize(read);
  return content;
}

}  // namespace appendfs
