#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "client/appendfs.h"

namespace CLI {
class App;
}

namespace appendfs::cli {

// Where a verb prints, and how.
struct Output {
  std::ostream& out;
  bool json = false;
};

// The global options, and the verb the command line chose. Lives in main; used
// from its thread only.
struct Context {
  std::string master = "localhost:9400";
  std::string timeout = "30s";
  bool json = false;
  // Set by the chosen verb while the command line is parsed, run afterwards.
  std::function<ExitCode()> action;

  // Error: INVALID for a --timeout that is none; those of Client::Connect.
  absl::StatusOr<ClientOptions> Options() const;
  absl::StatusOr<std::unique_ptr<Client>> Connect() const;
  Output Stdout() const;

  // One line on standard error: the message, or a JSON object.
  ExitCode Report(const absl::Status& status) const;

  // What most verbs are: connect, do, report.
  using Verb = std::function<absl::Status(Client&, Output&)>;
  ExitCode Run(const Verb& verb) const;
  // The same for each path, going on after errors; the first error's code.
  using PathVerb = std::function<absl::Status(Client&, const std::string&, Output&)>;
  ExitCode RunForEach(const std::vector<std::string>& paths, const PathVerb& verb) const;
};

// A subcommand that sees the global options wherever they stand, and whose
// `action` is chosen when the command line names it.
CLI::App* AddVerb(CLI::App& parent, Context& context, const std::string& name,
                  const std::string& help, std::function<ExitCode()> action);

}  // namespace appendfs::cli
