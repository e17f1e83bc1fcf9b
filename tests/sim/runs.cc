#include "tests/sim/runs.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "common/planted.h"
#include "common/str_cat.h"
#include "tests/sim/fixed_addresses.h"
#include "tests/sim/simulation.h"

namespace appendfs::sim {
namespace {

constexpr rlim_t kCpuSecondsPerSeed = 60;
constexpr char kCheck[] = "check ";

// The product's log lines, among the simulator's.
class TraceSink final : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char*, const char* file, int line, const struct tm*,
            const char* message, size_t length) override {
    std::printf("            | %.*s\n", static_cast<int>(length), message);
    if (severity != google::GLOG_FATAL) return;
    std::printf("%s%s:%d: %.*s\n", kCheck, file, line, static_cast<int>(length), message);
    std::fflush(stdout);
  }
};

class Child {
 public:
  Child(uint64_t seed, const std::string& plant) : seed_(seed) {
    int ends[2];
    PCHECK(pipe2(ends, O_CLOEXEC) == 0);
    // The arguments are as long whatever the seed: addresses stay the same.
    char number[24];
    std::snprintf(number, sizeof(number), "%020llu", static_cast<unsigned long long>(seed));
    std::string name = plant;
    name.resize(40, ' ');
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], 1);
      dup2(open("/dev/null", O_WRONLY), 2);  // what kills it is told on stdout
      const char* arguments[] = {"appendfs-sim", "--child", number, name.c_str(), nullptr};
      const char* environment[] = {nullptr};
      execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environment));
      _exit(127);
    }
    close(ends[1]);
    from_ = ends[0];
  }

  uint64_t seed() const { return seed_; }
  int fd() const { return from_; }

  // Takes what has come; false: that was all.
  bool Read() {
    char part[65536];
    const ssize_t n = read(from_, part, sizeof(part));
    if (n > 0) told_.append(part, static_cast<size_t>(n));
    return n > 0 || (n < 0 && errno == EINTR);
  }

  Outcome Wait() {
    close(from_);
    int status = 0;
    waitpid(pid_, &status, 0);
    Outcome outcome;
    std::string check;
    for (size_t at = 0; at < told_.size();) {
      const size_t end = std::min(told_.find('\n', at), told_.size());
      std::string line = told_.substr(at, end - at);
      at = end + 1;
      unsigned long long count;
      int name = 0;
      if (std::sscanf(line.c_str(), "count %llu %n", &count, &name) == 1)
        outcome.counts[line.substr(static_cast<size_t>(name))] += count;
      else if (std::sscanf(line.c_str(), "recoveries %llu", &count) == 1)
        outcome.recoveries = count;
      else if (line.starts_with("failure "))
        outcome.failure = line.substr(8);
      else if (line.starts_with(kCheck))
        check = line.substr(sizeof(kCheck) - 1);
      else
        outcome.trace.push_back(std::move(line));
    }
    if (!outcome.failure.empty()) {
      outcome.end = Outcome::End::kViolated;
    } else if (!check.empty()) {
      outcome.end = Outcome::End::kViolated;
      outcome.failure = StrCat("the product's own invariant: ", check);
    } else if (WIFSIGNALED(status)) {
      outcome.end = Outcome::End::kCrashed;
      outcome.failure = WTERMSIG(status) == SIGXCPU ? "does not end"
                                                    : StrCat("dies of signal ", WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
      outcome.end = Outcome::End::kCrashed;
      outcome.failure = StrCat("ends with ", WEXITSTATUS(status));
    }
    return outcome;
  }

 private:
  const uint64_t seed_;
  pid_t pid_;
  int from_;
  std::string told_;
};

// "key=17" of a failure, as it stands there; empty: not there.
std::string Named(const std::string& failure, const std::string& key) {
  const size_t at = failure.find(key);
  if (at == std::string::npos) return "";
  size_t end = at + key.size();
  while (end < failure.size() && std::isdigit(static_cast<unsigned char>(failure[end]))) ++end;
  return failure.substr(at, end - at);
}

bool Names(const std::string& line, const std::string& what) {
  if (what.empty()) return false;
  for (size_t at = line.find(what); at != std::string::npos; at = line.find(what, at + 1))
    if (at + what.size() >= line.size() ||
        !std::isdigit(static_cast<unsigned char>(line[at + what.size()])))
      return true;
  return false;
}

}  // namespace

void RunChild(uint64_t seed, const std::string& plant) {
  const rlimit limit{kCpuSecondsPerSeed, kCpuSecondsPerSeed};
  setrlimit(RLIMIT_CPU, &limit);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (!FixAddresses()) std::printf("addresses are not fixed\n");
  google::InitGoogleLogging("appendfs-sim");
  for (int severity = 0; severity < google::NUM_SEVERITIES; ++severity)
    google::SetLogDestination(severity, "");
  FLAGS_stderrthreshold = google::FATAL;
  TraceSink sink;
  google::AddLogSink(&sink);
  // A tenth of a run otherwise; the unit tests look for lock cycles.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (!plant.empty()) Plant(plant);
  auto simulation = std::make_unique<Simulation>(seed, true);
  const std::string failure = simulation->Run();
  for (const auto& [name, count] : simulation->counts())
    std::printf("count %llu %s\n", static_cast<unsigned long long>(count), name.c_str());
  if (!failure.empty())
    std::printf("recoveries %llu\nfailure %s\n",
                static_cast<unsigned long long>(simulation->RecoveriesBeforeFailure()),
                failure.c_str());
  std::fflush(stdout);
  // What is left refers to each other in every way; the process ends here.
  _exit(0);
}

void Sum::Add(const Sum& other) {
  seeds += other.seeds;
  violated.insert(violated.end(), other.violated.begin(), other.violated.end());
  crashed.insert(crashed.end(), other.crashed.begin(), other.crashed.end());
  for (const auto& [name, count] : other.counts) counts[name] += count;
}

Outcome RunSeed(uint64_t seed, const std::string& plant) {
  Child child(seed, plant);
  while (child.Read()) {
  }
  return child.Wait();
}

Sum RunSeeds(const Batch& batch) {
  const auto begun = std::chrono::steady_clock::now();
  auto in_time = [&] {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun;
    return passed.count() < batch.seconds;
  };
  Sum sum;
  std::vector<std::unique_ptr<Child>> running;
  uint64_t begun_seeds = 0;
  while (true) {
    while (begun_seeds < batch.seeds && running.size() < batch.jobs &&
           sum.failed() < batch.stop_after && in_time())
      running.push_back(
          std::make_unique<Child>(batch.from + batch.step * begun_seeds++, batch.plant));
    if (running.empty()) return sum;
    std::vector<pollfd> polls;
    for (const auto& child : running) polls.push_back({child->fd(), POLLIN, 0});
    poll(polls.data(), polls.size(), -1);
    for (size_t i = polls.size(); i-- > 0;) {
      if (polls[i].revents == 0 || running[i]->Read()) continue;
      const Outcome outcome = running[i]->Wait();
      ++sum.seeds;
      for (const auto& [name, count] : outcome.counts) sum.counts[name] += count;
      if (outcome.end != Outcome::End::kPassed)
        (outcome.end == Outcome::End::kViolated ? sum.violated : sum.crashed)
            .push_back({running[i]->seed(), outcome.failure, outcome.recoveries});
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      if (batch.progress) batch.progress(sum);
    }
  }
}

void PrintTrace(const Outcome& outcome, bool all) {
  const std::string chunk = Named(outcome.failure, "chunk="),
                    inode = Named(outcome.failure, "inode=");
  std::vector<std::string> shown;
  for (const std::string& line : outcome.trace) {
    const bool product = line.starts_with("            |");
    // Of a file's records only those that are named; there are many.
    const bool record = line.find(": record ") != std::string::npos;
    const bool about = Names(line, chunk) || (chunk.empty() && Names(line, inode));
    const bool fault = !product && !record && line.find("chunk=") == std::string::npos;
    if (all || about || fault) shown.push_back(line);
  }
  constexpr size_t kMost = 80;
  const size_t from = all || shown.size() <= kMost ? 0 : shown.size() - kMost;
  if (from > 0) std::printf("(%zu lines before; --trace shows all)\n", from);
  for (size_t i = from; i < shown.size(); ++i) std::printf("%s\n", shown[i].c_str());
}

void PrintCounts(const std::map<std::string, uint64_t>& counts) {
  for (const auto& [name, count] : counts)
    std::printf("%12llu %s\n", static_cast<unsigned long long>(count), name.c_str());
}

}  // namespace appendfs::sim
