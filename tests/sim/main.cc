// appendfs-sim: one seed, many seeds, or every planted bug in turn.

#include <sys/personality.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "common/planted.h"
#include "common/str_cat.h"
#include "tests/sim/faults.h"
#include "tests/sim/planted.h"
#include "tests/sim/runs.h"

namespace appendfs::sim {
namespace {

struct Options {
  uint64_t seed = 0, seeds = 0, from = 1, step = 1, fresh = 0, catches = 3;
  double fresh_seconds = 0;
  bool planted = false, trace = false;
  std::string plant, junit;
  unsigned jobs = 0;
};

using Clock = std::chrono::steady_clock;

unsigned long long Long(uint64_t number) { return number; }

double SecondsSince(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

Batch MakeBatch(const Options& options, const std::string& plant) {
  Batch batch;
  batch.from = options.from;
  batch.seeds = options.seeds;
  batch.step = options.step;
  batch.jobs = options.jobs;
  batch.plant = plant;
  return batch;
}

// On a terminal only.
void ShowProgress(Batch& batch, const std::string& what) {
  if (isatty(2) == 0) return;
  batch.progress = [what, of = batch.seeds, begun = Clock::now()](const Sum& sum) {
    std::fprintf(stderr, "\r%s: %llu of %llu seeds, %llu failed, %.0f s ", what.c_str(),
                 Long(sum.seeds), Long(of), Long(sum.failed()), SecondsSince(begun));
    if (sum.seeds == of) std::fprintf(stderr, "\n");
  };
}

void PrintFailures(const Sum& sum, const std::string& plant) {
  for (const auto* failed : {&sum.violated, &sum.crashed})
    for (const Failure& failure : *failed)
      std::printf("seed %llu: %s\n", Long(failure.seed), failure.what.c_str());
  for (const auto* failed : {&sum.violated, &sum.crashed})
    if (!failed->empty()) {
      std::printf("replay with ./dev sim --seed %llu%s\n", Long(failed->front().seed),
                  plant.empty() ? "" : StrCat(" --plant ", plant).c_str());
      return;
    }
}

struct Case {
  std::string name;
  double seconds;
  const Sum& sum;
};

void WriteJunit(const std::string& path, std::initializer_list<Case> cases) {
  auto escape = [](const std::string& text) {
    std::string escaped;
    for (char c : text) {
      if (c == '<')
        escaped += "&lt;";
      else if (c == '&')
        escaped += "&amp;";
      else if (c == '"')
        escaped += "&quot;";
      else
        escaped += c;
    }
    return escaped;
  };
  std::ofstream out(path);
  out << "<testsuites><testsuite name=\"simulation\">\n";
  for (const Case& one : cases) {
    out << "<testcase classname=\"simulation\" name=\"" << escape(one.name) << "\" time=\""
        << one.seconds << "\">";
    for (const auto* failed : {&one.sum.violated, &one.sum.crashed})
      for (const Failure& failure : *failed)
        out << "<failure message=\"seed " << failure.seed << ": " << escape(failure.what) << "\"/>";
    out << "</testcase>\n";
  }
  out << "</testsuite></testsuites>\n";
}

int RunPlanted(const Options& options) {
  PlantedHunt hunt;
  hunt.only = options.plant;
  hunt.from = options.from;
  hunt.seeds = options.seeds;
  hunt.catches = options.catches;
  hunt.jobs = options.jobs;
  return HuntPlanted(hunt);
}

int RunMany(const Options& options) {
  auto begun = Clock::now();
  Batch batch = MakeBatch(options, options.plant);
  ShowProgress(batch, "seeds");
  const Sum fixed = RunSeeds(batch);
  const double fixed_seconds = SecondsSince(begun);
  Sum fresh;
  begun = Clock::now();
  if (options.fresh_seconds > 0) {
    batch.from =
        options.fresh != 0 ? options.fresh : 1'000'000 + std::random_device()() % 1'000'000'000ull;
    batch.seeds = 1'000'000;
    batch.seconds = options.fresh_seconds;
    std::printf("fresh seeds from %llu on, for %.0f s\n", Long(batch.from), batch.seconds);
    std::fflush(stdout);
    ShowProgress(batch, "fresh");
    fresh = RunSeeds(batch);
  }
  Sum sum = fixed;
  sum.Add(fresh);
  std::printf("%llu seeds, %llu failed, %.0f s; explored:\n", Long(sum.seeds), Long(sum.failed()),
              fixed_seconds + SecondsSince(begun));
  PrintCounts(sum.counts);
  PrintFailures(sum, options.plant);
  if (!options.junit.empty())
    WriteJunit(options.junit, {{StrCat(fixed.seeds, " fixed seeds"), fixed_seconds, fixed},
                               {StrCat(fresh.seeds, " fresh seeds"), SecondsSince(begun), fresh}});
  return sum.passed() ? 0 : 1;
}

int RunOne(const Options& options) {
  const Outcome outcome = RunSeed(options.seed, options.plant);
  if (options.trace || outcome.end != Outcome::End::kPassed) PrintTrace(outcome, options.trace);
  std::printf("seed %llu: %s\n", Long(options.seed),
              outcome.failure.empty() ? "nothing violated" : outcome.failure.c_str());
  PrintCounts(outcome.counts);
  return outcome.end == Outcome::End::kPassed ? 0 : 1;
}

}  // namespace

int Main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "--child") == 0) {
    std::string plant = argv[3];
    plant.erase(plant.find_last_not_of(' ') + 1);
    RunChild(std::strtoull(argv[2], nullptr, 10), plant);
  }
  // Where they cannot be fixed (fixed_addresses.h), they are the same each time at least.
  if (personality(ADDR_NO_RANDOMIZE) == -1) std::perror("appendfs-sim: addresses stay random");
  Options options;
  options.jobs = std::max(1u, std::thread::hardware_concurrency());
  CLI::App app("Simulates whole clusters under faults, and checks what must always hold.");
  app.add_option("--seed", options.seed, "run this one, and tell how it went");
  app.add_option("--seeds", options.seeds, "run so many");
  app.add_option("--from", options.from, "the first of them");
  app.add_option("--step", options.step,
                 StrCat("from one to the next: ", Faults::Plots(), " keeps to one plot"));
  app.add_option("--fresh-seconds", options.fresh_seconds, "then new ones for so long");
  app.add_option("--fresh-from", options.fresh, "the first of these; otherwise drawn");
  app.add_option("--jobs", options.jobs, "at once");
  app.add_option("--plant", options.plant, "with this bug");
  app.add_flag("--planted", options.planted, "with every bug in turn: each must be caught");
  app.add_option("--catches", options.catches, "go on to the next bug after so many");
  app.add_flag("--trace", options.trace, "the whole story of --seed");
  app.add_option("--junit", options.junit, "write the result there as well");
  CLI11_PARSE(app, argc, argv);
  if ((options.planted || !options.plant.empty()) && !kPlantedBuild) {
    std::fprintf(stderr, "this build has no planted bugs; configure with -Dplanted=true\n");
    return 2;
  }
  if (options.seeds == 0) options.seeds = options.planted ? 200 : 100;
  if (options.planted) return RunPlanted(options);
  return options.seed != 0 ? RunOne(options) : RunMany(options);
}

}  // namespace appendfs::sim

int main(int argc, char** argv) { return appendfs::sim::Main(argc, argv); }
