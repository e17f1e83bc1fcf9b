#pragma once

#include <string>
#include <vector>

#include "common/file_system.h"

namespace appendfs {

// What one file of a data directory is, in words.
struct FileExplanation {
  std::string path;
  std::string what;
  bool good = true;  // false: unreadable, or its own checksum is wrong
};

// Every file of a data directory, one by one, the top first. Looks at each for
// itself; CheckDirectory judges how they fit together. Changes nothing.
absl::StatusOr<std::vector<FileExplanation>> ExplainDirectory(FileSystem& fs,
                                                              const std::string& directory);

}  // namespace appendfs
