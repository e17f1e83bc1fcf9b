#include <glog/logging.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "common/program.h"
#include "common/str_cat.h"
#include "master/master_process.h"

namespace {

constexpr char kName[] = "appendfs-master";
constexpr uint64_t kSmallestChunk = 64ull << 10;
constexpr uint64_t kLargestChunk = 1ull << 30;
constexpr uint64_t kShortestSession = 2;
constexpr uint64_t kLongestSession = 24 * 3600;

}  // namespace

int main(int argc, char** argv) {
  using namespace appendfs;
  MasterOptions options;
  Program program(kName, "The AppendFS master: keeps the namespace and directs the chunkservers.");
  program
      .Add("--data-dir", options.data_dir,
           "Where the namespace is kept; an empty or missing directory begins a new cluster")
      ->required();
  program.Add("--listen", options.listen, "Address to serve on, HOST:PORT");
  program.Add("--http", options.http,
              "HOST:PORT for /metrics, /healthz and /readyz; the port behind --listen if it is not "
              "given; 'none'");
  program.Add("--chunk-bytes", options.chunk_bytes, "Most bytes that a new chunk may hold")
      ->check(CLI::Range(kSmallestChunk, kLargestChunk));
  program
      .Add("--session-timeout", options.session_timeout_seconds,
           "Seconds after which a silent mount has lost its locks and what it has open")
      ->check(CLI::Range(kShortestSession, kLongestSession));
  if (int code = program.Parse(argc, argv); code >= 0) return code;

  // A master that cannot write must end: what it would answer is not durable.
  std::atomic<bool> failed{false};
  options.on_failure = [&failed](const absl::Status& why) {
    PrintError(kName, StrCat("the metadata log has failed, stopping: ", FromAbsl(why.message())));
    failed = true;
    ::kill(::getpid(), SIGTERM);
  };
  auto master = MasterProcess::Start(options);
  if (!master.ok()) {
    PrintError(kName, std::string(master.status().message()));
    return 1;
  }
  LOG(INFO) << "serving on " << options.listen << " port=" << (*master)->port()
            << " cluster=" << (*master)->cluster_uuid()
            << " incarnation=" << (*master)->incarnation() << " data=" << options.data_dir;
  int signal = program.WaitForStop();
  LOG(INFO) << "stopping on signal " << signal;
  master->reset();
  return failed ? 1 : 0;
}
