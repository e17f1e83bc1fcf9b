#include "cli/context.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <utility>

#include "cli/json.h"
#include "cli/parse.h"

namespace appendfs::cli {

absl::StatusOr<ClientOptions> Context::Options() const {
  absl::StatusOr<std::chrono::milliseconds> bound = ParseDuration(timeout);
  if (!bound.ok())
    return MakeError(v1::INVALID, "--timeout: " + std::string(bound.status().message()));
  ClientOptions options;
  options.master = master;
  options.timeout = *bound;
  options.connect_timeout = std::min(options.connect_timeout, options.timeout);
  return options;
}

absl::StatusOr<std::unique_ptr<Client>> Context::Connect() const {
  APPENDFS_ASSIGN_OR_RETURN(ClientOptions options, Options());
  return Client::Connect(std::move(options));
}

Output Context::Stdout() const { return {std::cout, json}; }

ExitCode Context::Report(const absl::Status& status) const {
  if (status.ok()) return ExitCode::kDone;
  std::cout.flush();
  std::string message(status.message());
  if (message.empty()) message = std::string(ReasonName(ReasonOf(status)));
  if (json) {
    std::cerr << ToText(
                     {{"error", {{"reason", ReasonName(ReasonOf(status))}, {"message", message}}}})
              << std::endl;
  } else {
    std::cerr << "appendfs: " << message << std::endl;
  }
  return ExitCodeOf(status);
}

ExitCode Context::Run(const Verb& verb) const {
  auto client = Connect();
  if (!client.ok()) return Report(client.status());
  Output output = Stdout();
  ExitCode code = Report(verb(**client, output));
  output.out.flush();
  return code;
}

ExitCode Context::RunForEach(const std::vector<std::string>& paths, const PathVerb& verb) const {
  auto client = Connect();
  if (!client.ok()) return Report(client.status());
  Output output = Stdout();
  ExitCode first = ExitCode::kDone;
  for (const std::string& path : paths) {
    ExitCode code = Report(verb(**client, path, output));
    if (first == ExitCode::kDone) first = code;
  }
  output.out.flush();
  return first;
}

CLI::App* AddVerb(CLI::App& parent, Context& context, const std::string& name,
                  const std::string& help, std::function<ExitCode()> action) {
  CLI::App* verb = parent.add_subcommand(name, help);
  verb->fallthrough();
  verb->callback([&context, action = std::move(action)] { context.action = action; });
  return verb;
}

}  // namespace appendfs::cli
