#pragma once

#include "common/file_lock.h"
#include "common/status.h"
#include "proto/locks.pb.h"

namespace appendfs {

v1::FileLockSpec ToProto(const FileLock& lock);
// INVALID if it names no bytes.
absl::StatusOr<FileLock> FromProto(const v1::FileLockSpec& spec);

}  // namespace appendfs
