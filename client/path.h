#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/ids.h"
#include "common/status.h"
#include "proto/master.pb.h"

namespace appendfs {

inline constexpr int kMaxSymlinks = 40;

// The namespace as path resolution asks it.
class PathNodes {
 public:
  virtual ~PathNodes() = default;
  virtual absl::StatusOr<v1::Entry> Root() = 0;
  virtual absl::StatusOr<v1::Entry> LookupEntry(InodeId parent, std::string_view name) = 0;
  virtual absl::StatusOr<std::string> ReadSymlink(InodeId inode) = 0;
};

struct ResolvedPath {
  std::optional<v1::Entry> entry;  // nothing: only the last component is missing
  InodeId parent;                  // where the last component is, or would be
  std::string name;                // its name there; empty for "/" and ".."
};

// Walks an absolute path (path_resolution(7)): symlinks on the way are
// followed, the last component only with `follow_last`. Errors: INVALID (not
// absolute), NO_ENTRY (a directory on the way is missing), NOT_DIRECTORY,
// NAME_TOO_LONG, INPUT_OUTPUT (more than kMaxSymlinks).
absl::StatusOr<ResolvedPath> ResolvePath(PathNodes& nodes, std::string_view path, bool follow_last);

}  // namespace appendfs
