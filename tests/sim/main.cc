// appendfs-sim: runs seeds, each in a process of its own, so that a seed does
// the same whichever came before it, and a crash or a hang is a failed seed.

#include <fcntl.h>
#include <glog/logging.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "common/planted.h"
#include "tests/sim/simulation.h"

namespace appendfs::sim {
namespace {

constexpr unsigned kSecondsPerSeed = 60;

struct Options {
  uint64_t seed = 0, seeds = 0, from = 1;
  bool planted = false, child = false, trace = false;
  std::string plant;
  unsigned jobs = 2;
};

// The product's log lines, among the simulator's.
class TraceSink final : public google::LogSink {
 public:
  void send(google::LogSeverity, const char*, const char*, int, const struct tm*,
            const char* message, size_t length) override {
    std::printf("            | %.*s\n", static_cast<int>(length), message);
  }
};

// The story is always told: telling it or not would move addresses, and with them
// the order of hash tables. Prints "count N name" lines, then "failure TEXT" if there is one.
int RunChild(const Options& options) {
  alarm(kSecondsPerSeed);
  google::InitGoogleLogging("appendfs-sim");
  for (int severity = 0; severity < google::NUM_SEVERITIES; ++severity)
    google::SetLogDestination(severity, "");
  FLAGS_stderrthreshold = google::FATAL;
  TraceSink sink;
  google::AddLogSink(&sink);
  if (!options.plant.empty()) Plant(options.plant);
  std::string failure;
  {
    auto simulation = std::make_unique<Simulation>(options.seed, true);
    failure = simulation->Run();
    for (const auto& [name, count] : simulation->counts())
      std::printf("count %llu %s\n", static_cast<unsigned long long>(count), name.c_str());
    if (!failure.empty()) std::printf("failure %s\n", failure.c_str());
    std::fflush(stdout);
    // What is left refers to each other in every way; the process ends here.
    _exit(failure.empty() ? 0 : 1);
  }
}

struct Outcome {
  std::string failure;  // empty: none
  std::map<std::string, uint64_t> counts;
  std::vector<std::string> trace;
};

class Child {
 public:
  Child(uint64_t seed, const std::string& plant) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    // The arguments are as long whatever the seed: addresses stay the same.
    char number[24];
    std::snprintf(number, sizeof(number), "%020llu", static_cast<unsigned long long>(seed));
    std::string name = plant;
    name.resize(40, ' ');
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], 1);
      const char* arguments[] = {"appendfs-sim", "--child", number, name.c_str(), nullptr};
      const char* environment[] = {nullptr};
      execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environment));
      _exit(127);
    }
    close(ends[1]);
    from_ = fdopen(ends[0], "r");
  }

  Outcome Wait() {
    Outcome outcome;
    char* line = nullptr;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, from_)) > 0;) {
      std::string text(line, line[n - 1] == '\n' ? n - 1 : n);
      unsigned long long count;
      int at = 0;
      if (std::sscanf(text.c_str(), "count %llu %n", &count, &at) == 1)
        outcome.counts[text.substr(at)] += count;
      else if (text.starts_with("failure "))
        outcome.failure = text.substr(8);
      else
        outcome.trace.push_back(std::move(text));
    }
    std::free(line);
    std::fclose(from_);
    int status = 0;
    waitpid(pid_, &status, 0);
    if (WIFSIGNALED(status))
      outcome.failure = WTERMSIG(status) == SIGALRM ? "does not end"
                                                    : StrCat("dies of signal ", WTERMSIG(status));
    else if (WEXITSTATUS(status) > 1)
      outcome.failure = StrCat("ends with ", WEXITSTATUS(status));
    return outcome;
  }

 private:
  pid_t pid_;
  FILE* from_;
};

// What of a trace has to do with the failure: faults, and lines that name the
// same chunk, file or record.
void PrintTrace(const Outcome& outcome, bool all) {
  std::vector<std::string> about;
  for (const char* key : {"inode=", "chunk="}) {
    size_t at = outcome.failure.find(key);
    if (at == std::string::npos) continue;
    size_t end = outcome.failure.find_first_not_of("0123456789", at + 6);
    about.push_back(outcome.failure.substr(at, end == std::string::npos ? end : end - at));
  }
  std::vector<std::string> shown;
  std::string time;
  for (const std::string& line : outcome.trace) {
    const bool product = line.starts_with("            |");
    bool matters = all || !product;
    if (!all && line.find(" acknowledged: ") != std::string::npos) matters = false;
    if (!all && line.find(" answer: ") != std::string::npos) matters = false;
    for (const std::string& what : about) {
      size_t at = line.find(what);
      if (at == std::string::npos) continue;
      matters |= at + what.size() >= line.size() || !std::isdigit(line[at + what.size()]);
    }
    if (matters) shown.push_back(line);
  }
  constexpr size_t kMost = 120;
  const size_t from = all || shown.size() <= kMost ? 0 : shown.size() - kMost;
  if (from > 0) std::printf("(%zu lines before; --trace shows all)\n", from);
  for (size_t i = from; i < shown.size(); ++i) std::printf("%s\n", shown[i].c_str());
}

struct Sum {
  uint64_t seeds = 0;
  std::vector<std::pair<uint64_t, std::string>> failed;
  std::map<std::string, uint64_t> counts;
};

Sum RunSeeds(const Options& options, const std::string& plant, uint64_t stop_after) {
  Sum sum;
  std::vector<std::pair<uint64_t, std::unique_ptr<Child>>> running;
  uint64_t next = options.from;
  const uint64_t end = options.from + options.seeds;
  while (next < end || !running.empty()) {
    while (next < end && running.size() < options.jobs && sum.failed.size() < stop_after) {
      running.emplace_back(next, std::make_unique<Child>(next, plant));
      ++next;
    }
    if (running.empty()) break;
    Outcome outcome = running.front().second->Wait();
    ++sum.seeds;
    for (const auto& [name, count] : outcome.counts) sum.counts[name] += count;
    if (!outcome.failure.empty()) sum.failed.emplace_back(running.front().first, outcome.failure);
    running.erase(running.begin());
  }
  return sum;
}

int RunPlanted(Options options) {
  if (!kPlantedBuild) {
    std::fprintf(stderr, "this build has no planted bugs; configure with -Dplanted=true\n");
    return 2;
  }
  int missed = 0;
  std::printf("%-34s %-8s %s\n", "planted bug", "", "seeds that catch it, and how the first does");
  for (const PlantedBug& bug : kPlantedBugs) {
    Sum sum = RunSeeds(options, bug.name, 3);
    const bool caught = !sum.failed.empty();
    missed += caught ? 0 : 1;
    std::printf("%-34s %-8s %zu of %llu%s%s\n", bug.name, caught ? "caught" : "MISSED",
                sum.failed.size(), static_cast<unsigned long long>(sum.seeds), caught ? ": " : "",
                caught ? sum.failed.front().second.substr(0, 110).c_str() : "");
    std::fflush(stdout);
  }
  if (missed > 0) std::printf("%d planted bugs were missed\n", missed);
  return missed > 0 ? 1 : 0;
}

int RunMany(const Options& options) {
  Sum sum = RunSeeds(options, options.plant, 5);
  for (const auto& [seed, failure] : sum.failed)
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), failure.c_str());
  std::printf("%llu seeds, %zu failed; explored:\n", static_cast<unsigned long long>(sum.seeds),
              sum.failed.size());
  for (const auto& [name, count] : sum.counts)
    std::printf("%12llu %s\n", static_cast<unsigned long long>(count), name.c_str());
  if (!sum.failed.empty())
    std::printf("replay with --seed %llu\n",
                static_cast<unsigned long long>(sum.failed.front().first));
  return sum.failed.empty() ? 0 : 1;
}

int RunOne(const Options& options) {
  Outcome outcome = Child(options.seed, options.plant).Wait();
  if (options.trace || !outcome.failure.empty()) PrintTrace(outcome, options.trace);
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(options.seed),
              outcome.failure.empty() ? "nothing violated" : outcome.failure.c_str());
  for (const auto& [name, count] : outcome.counts)
    std::printf("%12llu %s\n", static_cast<unsigned long long>(count), name.c_str());
  return outcome.failure.empty() ? 0 : 1;
}

}  // namespace

int Main(int argc, char** argv) {
  Options options;
  if (argc == 4 && std::strcmp(argv[1], "--child") == 0) {
    options.seed = std::strtoull(argv[2], nullptr, 10);
    options.plant = argv[3];
    options.plant.erase(options.plant.find_last_not_of(' ') + 1);
    return RunChild(options);
  }
  // Hash tables go by addresses.
  if (personality(ADDR_NO_RANDOMIZE) == -1) std::perror("appendfs-sim: addresses stay random");
  CLI::App app("Simulates whole clusters under faults, and checks what must always hold.");
  app.add_option("--seed", options.seed, "run this one, and tell how it went");
  app.add_option("--seeds", options.seeds, "run so many");
  app.add_option("--from", options.from, "the first of them");
  app.add_option("--jobs", options.jobs, "at once");
  app.add_option("--plant", options.plant, "with this bug");
  app.add_flag("--planted", options.planted, "with every bug in turn: each must be caught");
  app.add_flag("--trace", options.trace, "the whole story of --seed");
  CLI11_PARSE(app, argc, argv);
  if (!options.plant.empty() && !kPlantedBuild) {
    std::fprintf(stderr, "this build has no planted bugs; configure with -Dplanted=true\n");
    return 2;
  }
  if (options.seeds == 0) options.seeds = options.planted ? 60 : 100;
  if (options.planted) return RunPlanted(options);
  return options.seed != 0 ? RunOne(options) : RunMany(options);
}

}  // namespace appendfs::sim

int main(int argc, char** argv) { return appendfs::sim::Main(argc, argv); }
