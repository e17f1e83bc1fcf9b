#pragma once

#include <string_view>

#include "common/ids.h"
#include "master/namespace/operation.h"

namespace appendfs {

// What a directory entry means.
struct Target {
  InodeId inode;
  v1::FileType type = v1::FILE_TYPE_UNSPECIFIED;
};

// Changes of one directory entry, with what they mean for the directory that
// holds it: its times, its count of entries, and its nlink, which counts
// subdirectories. The directory must exist.
absl::Status AddName(Operation& operation, InodeId parent, std::string_view name, Target target);
absl::Status RemoveName(Operation& operation, InodeId parent, std::string_view name, Target target);
absl::Status ReplaceName(Operation& operation, InodeId parent, std::string_view name, Target before,
                         Target after);

}  // namespace appendfs
