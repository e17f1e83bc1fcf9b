#include "fuse/attributes.h"

namespace appendfs::fuse {
namespace {

// What stdio and cp take as buffer size: each of their writes is a record that
// travels to three servers, so the usual 4 KiB would be dear.
constexpr blksize_t kPreferredIoBytes = 128 << 10;

timespec ToTimespec(uint64_t ns) {
  return {.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
          .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
}

}  // namespace

mode_t EncodeType(v1::FileType type) {
  switch (type) {
    case v1::REGULAR: return S_IFREG;
    case v1::DIRECTORY: return S_IFDIR;
    case v1::SYMLINK: return S_IFLNK;
    case v1::FIFO: return S_IFIFO;
    case v1::SOCKET: return S_IFSOCK;
    default: return 0;
  }
}

v1::FileType DecodeType(mode_t mode) {
  switch (mode & S_IFMT) {
    case 0:  // mknod(2): the same as S_IFREG
    case S_IFREG: return v1::REGULAR;
    case S_IFDIR: return v1::DIRECTORY;
    case S_IFLNK: return v1::SYMLINK;
    case S_IFIFO: return v1::FIFO;
    case S_IFSOCK: return v1::SOCKET;
    default: return v1::FILE_TYPE_UNSPECIFIED;
  }
}

struct stat ToStat(const FileStatus& status) {
  struct stat result = {};
  result.st_ino = status.inode.value();
  result.st_mode = EncodeType(status.type) | (status.mode & 07777);
  result.st_nlink = status.nlink;
  result.st_uid = status.uid;
  result.st_gid = status.gid;
  result.st_size = static_cast<off_t>(status.size);
  result.st_blocks = static_cast<blkcnt_t>((status.size + 511) / 512);
  result.st_blksize = kPreferredIoBytes;
  result.st_atim = ToTimespec(status.atime_ns);
  result.st_mtim = ToTimespec(status.mtime_ns);
  result.st_ctim = ToTimespec(status.ctime_ns);
  return result;
}

}  // namespace appendfs::fuse
