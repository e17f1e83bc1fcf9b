#include "common/file_lock_proto.h"

#include "common/str_cat.h"

namespace appendfs {

v1::FileLockSpec ToProto(const FileLock& lock) {
  v1::FileLockSpec spec;
  spec.set_inode(lock.inode.value());
  spec.set_whole_file(lock.whole_file);
  spec.set_owner(lock.owner);
  spec.set_first(lock.span.first);
  spec.set_last(lock.span.last);
  spec.set_exclusive(lock.mode == LockMode::kExclusive);
  spec.set_pid(lock.pid);
  return spec;
}

absl::StatusOr<FileLock> FromProto(const v1::FileLockSpec& spec) {
  if (spec.last() < spec.first() || spec.inode() == 0)
    return MakeError(v1::INVALID, StrCat("a lock of inode ", spec.inode(), ", bytes ", spec.first(),
                                         " to ", spec.last()));
  return FileLock{.inode = InodeId(spec.inode()),
                  .whole_file = spec.whole_file(),
                  .owner = spec.owner(),
                  .span = {spec.first(), spec.last()},
                  .mode = spec.exclusive() ? LockMode::kExclusive : LockMode::kShared,
                  .pid = spec.pid()};
}

}  // namespace appendfs
