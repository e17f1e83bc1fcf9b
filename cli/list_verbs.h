#pragma once

#include <string>

#include "cli/context.h"

namespace appendfs::cli {

// ls, stat, df: what is there.
void AddListVerbs(CLI::App& app, Context& context);

// A directory's entries (or the file itself) by name; all of them, dot files
// too. With `details` as `ls -l` shows them; JSON is always detailed.
absl::Status List(Client& client, const std::string& path, bool details, Output& output);
// One file; a symlink itself, not what it points to.
absl::Status ShowStatus(Client& client, const std::string& path, Output& output);
absl::Status ShowSpace(Client& client, Output& output);

}  // namespace appendfs::cli
