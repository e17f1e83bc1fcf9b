#pragma once

#include <string>

#include "cli/context.h"

namespace appendfs::cli {

// append: standard input to the end of a file.
void AddAppendVerb(CLI::App& app, Context& context);

struct AppendOptions {
  bool whole = false;      // all input is one record; else each line is one
  bool no_create = false;  // a missing file is an error
  bool verbose = false;    // say each record's offset once it is durable
};

// Reads `fd` to its end and appends it. Each record is whole, once, and in
// order; returns when all are durable. An error means that the records before
// the one it names are in the file.
absl::Status AppendAll(Client& client, int fd, const std::string& path,
                       const AppendOptions& options, Output& output);

}  // namespace appendfs::cli
