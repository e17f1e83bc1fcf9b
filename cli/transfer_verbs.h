#pragma once

#include <string>

#include "cli/context.h"
#include "cli/local_io.h"

namespace appendfs::cli {

// put, get, getrange, cat: whole files and parts of them.
void AddTransferVerbs(CLI::App& app, Context& context);

struct Transferred {
  std::string path;  // in the namespace
  uint64_t bytes = 0;
};

// Copies a local file to a new one, or into a directory. The new file appears
// under its name when it is whole, and replaces nothing (ENTRY_EXISTS).
absl::StatusOr<Transferred> Put(Client& client, const std::string& local, const std::string& path,
                                bool show_progress);

// Bytes [offset, offset + length) as the file is now, fewer only at its end.
absl::StatusOr<Transferred> Fetch(Client& client, const std::string& path, uint64_t offset,
                                  uint64_t length, Sink sink, bool show_progress);

// A whole file, as it is now, to a local one, which is replaced when the copy
// is complete.
absl::StatusOr<Transferred> Get(Client& client, const std::string& path, const std::string& local,
                                bool show_progress);

}  // namespace appendfs::cli
