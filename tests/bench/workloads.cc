#include "tests/bench/workloads.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <thread>

#include "tests/bench/posix.h"

namespace appendfs::bench {
namespace {

constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
constexpr size_t kLineBytes = 200;
constexpr size_t kBlockBytes = 1 << 20;

template <class Operation>
double Timed(Operation&& operation) {
  double begin = NowSeconds();
  operation();
  return NowSeconds() - begin;
}

// A log line that names its number, padded to kLineBytes.
std::string Line(uint64_t number) {
  std::string line = "line " + std::to_string(number) + " ";
  line.resize(kLineBytes - 1, '.');
  return line + '\n';
}

// Runs body(thread) on each thread and rethrows the first failure.
void OnThreads(int count, const std::function<void(int)>& body) {
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t)
    threads.emplace_back([&, t] {
      try {
        body(t);
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    });
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

std::vector<Result> Stream(const Place& place, const Scale& scale) {
  const uint64_t lines = scale.of(100'000);
  Descriptor file(place.directory / "log", kAppend);
  Meter meter;
  for (uint64_t i = 0; i < lines; ++i) {
    std::string line = Line(i);
    meter.Add(Timed([&] { file.Write(line); }));
  }
  file.Sync();
  return {meter.Finish("append, 1 writer", lines * kLineBytes)};
}

std::vector<Result> SyncedLines(const Place& place, int writers, uint64_t lines_each) {
  std::vector<std::vector<double>> latencies(writers);
  Meter meter;
  OnThreads(writers, [&](int writer) {
    Descriptor file(place.directory / std::to_string(writer), kAppend);
    for (uint64_t i = 0; i < lines_each; ++i) {
      std::string line = Line(i);
      latencies[writer].push_back(Timed([&] {
        file.Write(line);
        file.Sync();
      }));
    }
  });
  meter.Stop();
  for (const auto& part : latencies) meter.Merge(part);
  return {meter.Finish(
      "append+fsync, " + std::to_string(writers) + " writer" + (writers > 1 ? "s" : ""),
      writers * lines_each * kLineBytes)};
}

std::vector<Result> FanIn(const Place& place, const Scale& scale) {
  const uint64_t rounds = scale.of(20);
  std::vector<Descriptor> files;
  for (int f = 0; f < 1000; ++f) files.emplace_back(place.directory / std::to_string(f), kAppend);
  Meter meter;
  for (uint64_t i = 0; i < rounds; ++i) {
    std::string line = Line(i);
    for (const Descriptor& file : files) meter.Add(Timed([&] { file.Write(line); }));
  }
  for (const Descriptor& file : files) file.Sync();
  return {meter.Finish("append to 1000 files, fsync", rounds * files.size() * kLineBytes)};
}

// The word at `index` of block `number`; cheap, and different everywhere.
uint64_t Word(uint64_t number, size_t index) {
  return (number * (kBlockBytes / 8) + index) * 0x9e3779b97f4a7c15ull;
}

std::vector<Result> Bulk(const Place& place, const Scale& scale) {
  const uint64_t blocks = scale.of(1024);
  std::vector<uint64_t> block(kBlockBytes / 8);
  auto bytes = [&block] {
    return std::string_view(reinterpret_cast<const char*>(block.data()), kBlockBytes);
  };
  std::vector<Result> results;
  {
    Descriptor file(place.directory / "bulk", O_WRONLY | O_CREAT);
    Meter meter;
    for (uint64_t b = 0; b < blocks; ++b) {
      for (size_t w = 0; w < block.size(); ++w) block[w] = Word(b, w);
      meter.Add(Timed([&] { file.Write(bytes()); }));
    }
    file.Sync();
    results.push_back(meter.Finish("1 MiB writes, fsync", blocks * kBlockBytes));
  }
  ::sync();
  if (std::ofstream caches("/proc/sys/vm/drop_caches"); caches) caches << "3\n";
  {
    Descriptor file(place.directory / "bulk", O_RDONLY);
    Meter meter;
    for (uint64_t b = 0; b < blocks; ++b) {
      meter.Add(Timed([&] {
        for (size_t have = 0; have < kBlockBytes;) {
          size_t got =
              file.ReadAt(b * kBlockBytes + have, reinterpret_cast<char*>(block.data()) + have,
                          kBlockBytes - have);
          if (got == 0) throw std::runtime_error("bulk file ends early");
          have += got;
        }
      }));
      for (size_t w : {size_t{0}, block.size() / 2, block.size() - 1})
        if (block[w] != Word(b, w)) throw std::runtime_error("bulk file has wrong content");
    }
    results.push_back(meter.Finish("1 MiB reads, cold", blocks * kBlockBytes));
  }
  return results;
}

std::vector<Result> Names(const Place& place, const Scale& scale) {
  const uint64_t count = scale.of(5000);
  auto path = [&](uint64_t i, const char* prefix) {
    return place.directory / std::to_string(i % 10) / (prefix + std::to_string(i));
  };
  for (int d = 0; d < 10; ++d)
    std::filesystem::create_directory(place.directory / std::to_string(d));

  std::vector<Result> results;
  auto phase = [&](const std::string& name, auto&& operation) {
    Meter meter;
    for (uint64_t i = 0; i < count; ++i) meter.Add(Timed([&] { operation(i); }));
    results.push_back(meter.Finish(name));
  };
  struct stat status;
  phase("create", [&](uint64_t i) { Descriptor(path(i, "a"), O_WRONLY | O_CREAT | O_EXCL); });
  phase("stat", [&](uint64_t i) {
    if (::stat(path(i, "a").c_str(), &status) != 0) Fail("stat " + path(i, "a").string());
  });
  phase("rename", [&](uint64_t i) {
    if (::rename(path(i, "a").c_str(), path(i, "b").c_str()) != 0)
      Fail("rename " + path(i, "a").string());
  });
  phase("unlink", [&](uint64_t i) {
    if (::unlink(path(i, "b").c_str()) != 0) Fail("unlink " + path(i, "b").string());
  });
  return results;
}

// From the return of fsync on one mount to the moment a poll on the other one
// has read the line; a line read before fsync returned counts as 0.
std::vector<Result> Visibility(const Place& place, const Scale& scale) {
  const uint64_t lines = scale.of(500);
  Descriptor out(place.directory / "log", kAppend);
  Descriptor in(place.other_view / "log", O_RDONLY);
  std::vector<std::atomic<double>> synced(lines);
  std::vector<double> seen(lines);
  Meter meter;
  std::thread writer([&] {
    for (uint64_t i = 0; i < lines; ++i) {
      out.Write(Line(i));
      out.Sync();
      synced[i] = NowSeconds();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the load, not a wait
    }
  });
  std::string failure;
  std::array<char, kLineBytes> line;
  const double deadline = NowSeconds() + 60;
  for (uint64_t i = 0; i < lines && failure.empty();) {
    if (in.ReadAt(i * kLineBytes, line.data(), kLineBytes) == kLineBytes) {
      if (std::string_view(line.data(), kLineBytes) != Line(i)) failure = "torn line";
      seen[i++] = NowSeconds();
    } else if (NowSeconds() > deadline) {
      failure = "a synced line was not seen within a minute";
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  writer.join();
  if (!failure.empty()) throw std::runtime_error(failure);
  meter.Stop();
  for (uint64_t i = 0; i < lines; ++i) meter.Add(std::max(0.0, seen[i] - synced[i]));
  return {meter.Finish("fsync to seen on 2nd mount")};
}

}  // namespace

const std::vector<Workload>& Workloads() {
  static const auto& workloads = *new std::vector<Workload>{
      {"stream", "one writer, 200-byte lines, one fsync at the end", Stream},
      {"fsync-1", "one writer, fsync after every 200-byte line",
       [](const Place& p, const Scale& s) { return SyncedLines(p, 1, s.of(2000)); }},
      {"fsync-16", "16 writers to a file each, fsync after every 200-byte line",
       [](const Place& p, const Scale& s) { return SyncedLines(p, 16, s.of(500)); }},
      {"fan-in", "one writer, 200-byte lines to 1000 files in turn, then fsync of all", FanIn},
      {"bulk", "1 GiB written and read back", Bulk},
      {"names", "5000 files in 10 directories: create, stat, rename, unlink", Names},
      {"visibility", "how long until the second mount reads a synced line", Visibility},
  };
  return workloads;
}

}  // namespace appendfs::bench
