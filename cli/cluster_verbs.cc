#include "cli/cluster_verbs.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "cli/format.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

struct Arguments {
  std::string dir, name, signal = "KILL", wait = "60s", chunk_bytes;
  int chunkservers = 0;
  StartOptions start;
};

std::string AbsoluteDir(const std::string& dir) {
  std::error_code error;
  std::filesystem::path canonical = std::filesystem::canonical(dir, error);
  return error ? dir : canonical.string();
}

// Shows the cluster after a change; the exit code speaks for the change.
ExitCode Show(const Context& context, const std::string& dir, absl::Status changed) {
  absl::StatusOr<std::vector<ProcessReport>> reports = ReportCluster(dir);
  if (!changed.ok() || !reports.ok())
    return context.Report(changed.ok() ? reports.status() : changed);
  Output output = context.Stdout();
  PrintCluster(dir, *reports, output);
  output.out.flush();
  return ExitCode::kDone;
}

// Locks the directory, changes what runs there, shows the outcome.
ExitCode Change(const Context& context, const Arguments& arguments, bool create,
                const std::function<absl::Status(Cluster&)>& change) {
  absl::StatusOr<std::chrono::milliseconds> wait = ParseDuration(arguments.wait);
  if (!wait.ok()) return context.Report(wait.status());
  absl::StatusOr<Cluster> cluster = Cluster::Lock(arguments.dir, create, *wait);
  if (!cluster.ok()) return context.Report(cluster.status());
  return Show(context, cluster->dir(), change(*cluster));
}

absl::StatusOr<StartOptions> ToStartOptions(const Arguments& arguments, bool has_chunkservers) {
  StartOptions options = arguments.start;
  if (has_chunkservers) options.chunkservers = arguments.chunkservers;
  if (!arguments.chunk_bytes.empty()) {
    APPENDFS_ASSIGN_OR_RETURN(options.chunk_bytes, ParseBytes(arguments.chunk_bytes));
  }
  return options;
}

void AddStart(CLI::App& cluster, Context& context) {
  auto start = std::make_shared<Arguments>();
  auto given = std::make_shared<CLI::Option*>(nullptr);
  CLI::App* verb = AddVerb(
      cluster, context, "start", "Make a cluster, or start one again", [&context, start, given] {
        absl::StatusOr<StartOptions> options = ToStartOptions(*start, !(*given)->empty());
        if (!options.ok()) return context.Report(options.status());
        return Change(context, *start, true,
                      [&options](Cluster& locked) { return locked.Start(*options); });
      });
  verb->add_option("--dir", start->dir, "Where the cluster lives")->required();
  *given = verb->add_option("--chunkservers", start->chunkservers,
                            "How many (default: 3, or as many as there are)")
               ->check(CLI::Range(1, 100));
  verb->add_option("--disks", start->start.disks, "Data directories of each new chunkserver")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  verb->add_option("--mount", start->start.mounts, "Mount it here; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("-o,--mount-options", start->start.mount_options,
                   "Options of new mounts, as of mount.appendfs -o");
  verb->add_option("--port", start->start.port, "First port of a new cluster; 0 takes free ones")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  verb->add_option("--chunk-bytes", start->chunk_bytes, "Size of a new cluster's chunks: 64M");
  verb->add_option("--wait", start->wait, "How long one process may take to be ready")
      ->capture_default_str();
}

}  // namespace

absl::StatusOr<int> ParseSignal(std::string_view text) {
  std::string name(text);
  if (name.rfind("SIG", 0) == 0) name.erase(0, 3);
  for (int number = 1; number < NSIG; ++number) {
    const char* known = sigabbrev_np(number);
    if ((known && name == known) || name == std::to_string(number)) return number;
  }
  return MakeError(v1::INVALID, StrCat("'", text,
                                       "' is not a signal: write KILL, TERM, STOP, CONT "
                                       "or a number"));
}

ExitCode PrintCluster(const std::string& dir, const std::vector<ProcessReport>& reports,
                      Output& output) {
  bool all_running = true;
  Json json{{"dir", dir}, {"processes", Json::array()}};
  Table table("lrlll");
  table.Add({"NAME", "PID", "ADDRESS", "STATE", "DIRECTORY"});
  for (const auto& [process, state] : reports) {
    all_running = all_running && state == "running";
    bool there = state != "dead" && state != "stopped";
    if (process.role == "master") json["master"] = process.address;
    json["processes"].push_back({{"name", process.name},
                                 {"role", process.role},
                                 {"pid", there ? Json(process.pid) : Json(nullptr)},
                                 {"address", process.address},
                                 {"data_dir", process.data_dir},
                                 {"log", LogPath(dir, process.name)},
                                 {"state", state}});
    table.Add({process.name, there ? StrCat(process.pid) : "-",
               process.address.empty() ? "-" : process.address, state,
               PrintableName(process.data_dir)});
  }
  json["running"] = all_running;
  output.out << (output.json ? ToPrettyText(json) + "\n" : table.Render());
  return all_running ? ExitCode::kDone : ExitCode::kUnhealthy;
}

void AddClusterVerbs(CLI::App& app, Context& context) {
  CLI::App* cluster = app.add_subcommand("cluster", "Run a whole cluster on this machine");
  cluster->fallthrough();
  cluster->require_subcommand(1);
  AddStart(*cluster, context);

  auto add_dir = [](CLI::App* verb, std::shared_ptr<Arguments> arguments) {
    verb->add_option("--dir", arguments->dir, "Where the cluster lives")->required();
  };
  auto add_name = [](CLI::App* verb, std::shared_ptr<Arguments> arguments) {
    verb->add_option("NAME", arguments->name, "master, cs1 ..., mount1 ...")->required();
  };

  auto stop = std::make_shared<Arguments>();
  add_dir(AddVerb(*cluster, context, "stop", "Unmount and stop everything",
                  [&context, stop] {
                    return Change(context, *stop, false,
                                  [](Cluster& locked) { return locked.Stop(); });
                  }),
          stop);

  auto status = std::make_shared<Arguments>();
  add_dir(AddVerb(*cluster, context, "status", "Show what runs",
                  [&context, status] {
                    std::string dir = AbsoluteDir(status->dir);
                    absl::StatusOr<std::vector<ProcessReport>> reports = ReportCluster(dir);
                    if (!reports.ok()) return context.Report(reports.status());
                    Output output = context.Stdout();
                    ExitCode code = PrintCluster(dir, *reports, output);
                    output.out.flush();
                    return code;
                  }),
          status);

  auto kill = std::make_shared<Arguments>();
  CLI::App* verb = AddVerb(*cluster, context, "kill", "Send a process a signal", [&context, kill] {
    absl::StatusOr<int> signal_number = ParseSignal(kill->signal);
    if (!signal_number.ok()) return context.Report(signal_number.status());
    return Change(context, *kill, false,
                  [&](Cluster& locked) { return locked.Signal(kill->name, *signal_number); });
  });
  add_dir(verb, kill);
  add_name(verb, kill);
  verb->add_option("--signal", kill->signal, "KILL, TERM, STOP, CONT ...")->capture_default_str();

  auto restart = std::make_shared<Arguments>();
  verb = AddVerb(
      *cluster, context, "restart", "Stop a process if it runs, and start it", [&context, restart] {
        return Change(context, *restart, false,
                      [restart](Cluster& locked) { return locked.Restart(restart->name); });
      });
  add_dir(verb, restart);
  add_name(verb, restart);
  verb->add_option("--wait", restart->wait, "How long it may take to be ready")
      ->capture_default_str();
}

}  // namespace appendfs::cli
