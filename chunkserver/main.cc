// appendfs-chunkserver: keeps chunk replicas in data directories and orders the
// appends of the chunks it is primary of.
#include <glog/logging.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "chunkserver/check_program.h"
#include "chunkserver/chunkserver_process.h"
#include "common/program.h"
#include "common/str_cat.h"

int main(int argc, char** argv) {
  constexpr char kName[] = "appendfs-chunkserver";
  appendfs::ChunkserverOptions options;
  options.listen = "127.0.0.1:9410";
  options.master = "127.0.0.1:9400";
  appendfs::Program program(kName, "Keeps chunk replicas and orders appends to them.");
  std::vector<std::string> check;
  program
      .Add("--data-dir", options.data_dirs,
           "Directory of chunks, one per disk; several: given again, or separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("DIR")
      ->default_str("");
  program.app()
      .add_option("--check", check, "Verify directories that no server uses, and end")
      ->type_name("DIR");
  program.Add("--listen", options.listen, "HOST:PORT to serve on");
  program.Add("--advertise", options.advertise,
              "HOST:PORT under which clients and other servers reach it (default: --listen)");
  program.Add("--http", options.http,
              "HOST:PORT for /metrics, /healthz and /readyz; the port behind --listen if it is not "
              "given; 'none'");
  program.Add("--master", options.master, "HOST:PORT of the master");
  program.Add("--park-after", options.park_after,
              "Seconds without an append after which a chunk is parked");
  if (int code = program.Parse(argc, argv); code >= 0) return code;
  if (!check.empty()) return appendfs::CheckProgram(kName, check);
  if (options.data_dirs.empty()) {
    appendfs::PrintError(kName, "--data-dir is required (see appendfs-chunkserver --help)");
    return 2;
  }

  std::atomic<bool> refused{false};
  auto process = appendfs::ChunkserverProcess::Start(options, [&](absl::Status why) {
    appendfs::PrintError(kName, std::string(why.message()));
    refused = true;
    kill(getpid(), SIGTERM);
  });
  if (!process.ok()) {
    appendfs::PrintError(kName, std::string(process.status().message()));
    return 1;
  }
  LOG(INFO) << "serving " << options.data_dirs.size() << " data directories at "
            << (*process)->address();
  program.WaitForStop();
  LOG(INFO) << "stopping";
  process->reset();
  return refused ? 1 : 0;
}
