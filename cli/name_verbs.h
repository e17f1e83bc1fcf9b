#pragma once

#include <string>

#include "cli/context.h"

namespace appendfs::cli {

// rm, mv, mkdir: names come, go and change.
void AddNameVerbs(CLI::App& app, Context& context);

struct RemoveOptions {
  bool recursive = false;
  bool force = false;  // what is not there is no error
};
// Returns how many names were removed.
absl::StatusOr<uint64_t> Remove(Client& client, const std::string& path, RemoveOptions options);

// Renames, or moves into an existing directory. Returns the new path.
absl::StatusOr<std::string> Move(Client& client, const std::string& from, const std::string& to,
                                 Client::RenameFlags flags);

struct MakeDirectoryOptions {
  uint32_t mode = 0755;
  bool parents = false;  // make what is missing on the way; an existing directory is fine
};
absl::Status MakeDirectory(Client& client, const std::string& path, MakeDirectoryOptions options);

}  // namespace appendfs::cli
