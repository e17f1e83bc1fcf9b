#pragma once

#include <sys/stat.h>

#include "client/appendfs.h"

namespace appendfs::fuse {

// The type bits of st_mode, and back. DecodeType gives FILE_TYPE_UNSPECIFIED
// for what the namespace cannot hold (devices).
mode_t EncodeType(v1::FileType type);
v1::FileType DecodeType(mode_t mode);

// stat(2)'s form of a status.
struct stat ToStat(const FileStatus& status);

}  // namespace appendfs::fuse
