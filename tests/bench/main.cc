// appendfs-bench: what AppendFS costs, next to a local directory on the same
// disk in the same run. Starts a one-machine cluster of its own, and stops it.

#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>

#include "tests/bench/workloads.h"

namespace fs = std::filesystem;

namespace appendfs::bench {
namespace {

struct Options {
  std::string stage = "build/stage";
  std::string scratch;  // default: a new directory below the temporary one
  std::string mount, mount2;
  std::vector<std::string> only;
  double scale = 1;
  int rounds = 1;
};

std::string Quoted(const fs::path& path) { return "'" + path.string() + "'"; }

// A cluster with two mounts, alive as long as this object.
class Cluster {
 public:
  Cluster(const fs::path& stage, const fs::path& directory)
      : command_(Quoted(stage / "bin" / "appendfs") + " cluster "),
        directory_(directory),
        mount(directory / "m1"),
        mount2(directory / "m2") {
    std::string start = command_ + "start --chunkservers 3 --port 0 --dir " + Quoted(directory_) +
                        " --mount " + Quoted(mount) + " --mount " + Quoted(mount2) + " >&2";
    if (std::system(start.c_str()) != 0) throw std::runtime_error("failed: " + start);
  }
  ~Cluster() {
    std::string stop = command_ + "stop --dir " + Quoted(directory_) + " >&2";
    if (std::system(stop.c_str()) != 0) std::cerr << "failed: " << stop << "\n";
  }

 private:
  const std::string command_;
  const fs::path directory_;

 public:
  const fs::path mount, mount2;
};

void PrintHeader() {
  std::printf("%-28s %-9s %11s %9s %10s %10s %10s %9s\n", "workload", "where", "ops/s", "MB/s",
              "p50 us", "p99 us", "max us", "cpu us/op");
}

void Print(const Result& result, const char* where, double ratio) {
  std::printf("%-28s %-9s %11.0f ", result.phase.c_str(), where, result.ops_per_second());
  result.bytes ? std::printf("%9.1f", result.megabytes_per_second()) : std::printf("%9s", "-");
  std::printf(" %10.0f %10.0f %10.0f %9.1f", result.p50_us, result.p99_us, result.max_us,
              result.cpu_us);
  ratio > 0 ? std::printf("   %.2f x local ops/s\n", ratio) : std::printf("\n");
  std::fflush(stdout);
}

void RunEverything(const Options& options, const Place& appendfs, const fs::path& local) {
  PrintHeader();
  const Scale scale{options.scale};
  for (int round = 0; round < options.rounds; ++round)
    for (const Workload& workload : Workloads()) {
      if (!options.only.empty() &&
          std::find(options.only.begin(), options.only.end(), workload.name) == options.only.end())
        continue;
      auto run = [&](const fs::path& base, const fs::path& other) {
        std::string name = workload.name + "-" + std::to_string(round);
        fs::create_directories(base / name);
        ::sync();  // what ran before is not this one's load
        std::vector<Result> results = workload.run({base / name, other / name}, scale);
        fs::remove_all(base / name);
        return results;
      };
      std::vector<Result> reference = run(local, local);
      std::vector<Result> results = run(appendfs.directory, appendfs.other_view);
      for (size_t i = 0; i < results.size(); ++i) {
        Print(reference[i], "local", 0);
        double base = reference[i].ops_per_second();
        Print(results[i], "appendfs", base > 0 ? results[i].ops_per_second() / base : 0);
      }
    }
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures AppendFS next to a local directory on the same disk.");
  app.add_option("--stage", options.stage, "Install tree to run")->capture_default_str();
  app.add_option("--scratch", options.scratch, "Directory for the cluster and the local files");
  app.add_option("--mount", options.mount, "Measure this mount instead of a new cluster");
  app.add_option("--mount2", options.mount2, "The same filesystem, mounted again");
  app.add_option("--only", options.only, "Run these workloads only");
  app.add_option("--scale", options.scale, "Fraction of the full size")->capture_default_str();
  app.add_option("--rounds", options.rounds, "Repeat everything")->capture_default_str();
  std::string about = "Workloads:\n";
  for (const Workload& workload : Workloads())
    about += "  " + workload.name + ": " + workload.about + "\n";
  app.footer(about);
  CLI11_PARSE(app, argc, argv);

  rlimit files;  // the fan-in keeps a thousand files open
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }

  std::string scratch = options.scratch;
  if (scratch.empty()) {
    scratch = (fs::temp_directory_path() / "appendfs-bench.XXXXXX").string();
    if (!mkdtemp(scratch.data())) throw std::runtime_error("cannot make " + scratch);
  }
  const fs::path local = fs::path(scratch) / "local";
  fs::create_directories(local);
  if (options.mount.empty()) {
    Cluster cluster(options.stage, fs::path(scratch) / "cluster");
    RunEverything(options, {cluster.mount, cluster.mount2}, local);
  } else {
    RunEverything(options, {options.mount, options.mount2.empty() ? options.mount : options.mount2},
                  local);
  }
  if (options.scratch.empty()) fs::remove_all(scratch);
  return 0;
}

}  // namespace
}  // namespace appendfs::bench

int main(int argc, char** argv) {
  try {
    return appendfs::bench::Main(argc, argv);
  } catch (const std::exception& failure) {
    std::cerr << "appendfs-bench: " << failure.what() << "\n";
    return 1;
  }
}
