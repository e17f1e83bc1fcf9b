#pragma once

#include <string>
#include <string_view>

#include "client/appendfs.h"

namespace appendfs::cli {

// A path in the namespace as the user wrote it, made absolute: "a//b/../c" is
// "/a/c". Dots are taken literally, before symlinks. Error: INVALID (empty, or
// a NUL in it).
absl::StatusOr<std::string> NormalizePath(std::string_view path);

// "/a/b" is "/a" and "b"; the root is "/" and "".
struct SplitPath {
  std::string parent, name;
};
SplitPath Split(std::string_view normalized);
std::string Join(std::string_view parent, std::string_view name);

// What a path means once every symlink is followed, the last one too.
struct Resolved {
  std::string path;
  FileStatus status;
};
// Errors: those of Client::Resolve; TOO_MANY_LINKS after 40 symlinks.
absl::StatusOr<Resolved> Follow(Client& client, std::string_view path);

// The directory a new or existing name stands in.
struct Place {
  InodeId parent;
  std::string parent_path, name;
};
// Errors: NO_ENTRY or NOT_DIRECTORY about the parent; INVALID for the root.
absl::StatusOr<Place> FindPlace(Client& client, std::string_view path);

// The same status with the path in front, unless its message names it already.
absl::Status About(std::string_view path, const absl::Status& status);

}  // namespace appendfs::cli
