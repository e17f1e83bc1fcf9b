#include "fuse/mount_report.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/protocol.h"
#include "common/str_cat.h"
#include "common/utf8.h"

namespace appendfs::fuse {
namespace {

constexpr size_t kMostListed = 100;

uint64_t Micros(Duration time) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}
uint64_t Millis(Duration time) { return Micros(time) / 1000; }

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

uint64_t CountEntries(const char* directory) {
  std::error_code error;
  uint64_t count = 0;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error))
    ++count;
  return count;
}

uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void AddCalls(const MountState& state, v1::GetMountStatsResponse& report) {
  for (const CallStats::Summary& summary : state.calls->stats().GetAll()) {
    v1::MountCalls& calls = *report.add_calls();
    calls.set_name(std::string(CallName(summary.kind)));
    calls.set_count(summary.count);
    calls.set_in_flight(summary.in_flight);
    calls.set_p50_us(Micros(summary.p50));
    calls.set_p99_us(Micros(summary.p99));
    calls.set_max_us(Micros(summary.max));
    calls.set_total_us(Micros(summary.total));
  }
}

void AddWaiting(const MountState& state, v1::GetMountStatsResponse& report) {
  std::vector<std::shared_ptr<Call>> under_way = state.calls->UnderWay();
  std::sort(under_way.begin(), under_way.end(),
            [](const auto& a, const auto& b) { return a->begun < b->begun; });
  if (under_way.size() > kMostListed) under_way.resize(kMostListed);
  const Duration now = state.calls->Now();
  for (const std::shared_ptr<Call>& call : under_way) {
    v1::MountWaiting& waiting = *report.add_waiting();
    waiting.set_name(std::string(CallName(call->kind)));
    waiting.set_inode(call->inode.value());
    waiting.set_pid(call->caller);
    if (call->caller > 0) waiting.set_command(FirstLine(StrCat("/proc/", call->caller, "/comm")));
    waiting.set_waiting_ms(Millis(now - call->begun));
  }
}

void AddQueues(MountState& state, v1::GetMountStatsResponse& report) {
  uint64_t records = 0, bytes = 0;
  for (const AppendQueueReport& queue : state.client.AppendQueues()) {
    records += queue.records;
    bytes += queue.bytes;
    if (static_cast<size_t>(report.queues_size()) >= kMostListed) continue;
    v1::MountQueue& listed = *report.add_queues();
    listed.set_inode(queue.inode.value());
    listed.set_records(queue.records);
    listed.set_bytes(queue.bytes);
    listed.set_sent_batches(queue.sent_batches);
    listed.set_waiting_ms(static_cast<uint64_t>(queue.waiting.count()));
    listed.set_handle(queue.chunk.value());
    listed.set_epoch(queue.epoch.value());
    listed.set_primary(queue.primary);
    listed.set_failures(static_cast<uint32_t>(queue.failures));
    listed.set_reason(ToValidUtf8(queue.reason));
  }
  report.set_queued_records(records);
  report.set_queued_bytes(bytes);
}

}  // namespace

std::string DescribeOptions(const MountOptions& options) {
  std::string list = StrCat(
      options.read_only ? "ro" : "rw", ",ack=", options.ack == Ack::kCommit ? "commit" : "buffered",
      ",timeout=", FromAbsl(absl::FormatDuration(absl::FromChrono(options.timeout))));
  if (options.entry_timeout_seconds)
    list += StrCat(",entry_timeout=", *options.entry_timeout_seconds);
  if (options.attr_timeout_seconds) list += StrCat(",attr_timeout=", *options.attr_timeout_seconds);
  if (options.queue_bytes) list += StrCat(",queue=", *options.queue_bytes);
  if (options.readahead_bytes) list += StrCat(",readahead=", *options.readahead_bytes);
  if (!options.cluster_uuid.empty()) list += StrCat(",cluster=", options.cluster_uuid);
  if (options.allow_other) list += *options.allow_other ? ",allow_other" : ",noallow_other";
  for (const std::string& option : options.kernel_options) list += StrCat(",", option);
  return list;
}

v1::GetMountStatsResponse ReportOf(MountState& state) {
  v1::GetMountStatsResponse report;
  *report.mutable_version() = OurProtocol();
  report.set_source(state.options.source);
  report.set_mountpoint(state.options.mountpoint);
  report.set_options(DescribeOptions(state.options));
  report.set_pid(getpid());
  report.set_program_version(APPENDFS_VERSION);
  report.set_cluster_uuid(state.client.cluster_uuid());
  report.set_client_id(state.client.id().value());
  report.set_uptime_ms(Millis(state.calls->Now() - state.begun));
  report.set_resident_bytes(ResidentBytes());
  report.set_threads(CountEntries("/proc/self/task"));
  report.set_descriptors(CountEntries("/proc/self/fd"));
  report.set_inodes(state.inodes.size());
  report.set_file_handles(state.files.size());
  report.set_directory_handles(state.directories.size());
  report.set_leaving(state.leaving);
  AddCalls(state, report);
  AddWaiting(state, report);
  AddQueues(state, report);
  return report;
}

v1::AbortMountResponse AbortAll(MountState& state) {
  // Programs repeat what fails with EINTR; that would not free them.
  const absl::Status why = WithErrnoOf(
      v1::INPUT_OUTPUT, MakeError(v1::INTERRUPTED, "given up by an operator (appendfs abort)"));
  v1::AbortMountResponse response;
  *response.mutable_version() = OurProtocol();
  const std::vector<std::shared_ptr<Call>> under_way = state.calls->UnderWay();
  const AppendsGivenUp given_up = state.client.GiveUpAppends(why);
  for (const std::shared_ptr<Call>& call : under_way) call->interruption.Fire(why);
  response.set_calls(under_way.size());
  response.set_files(given_up.files);
  response.set_records(given_up.records);
  response.set_bytes(given_up.bytes);
  return response;
}

}  // namespace appendfs::fuse
