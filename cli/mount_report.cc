#include <algorithm>
#include <iostream>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/mount_verbs.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

// "250us", "12.5ms", "31.0s", "2h3m".
std::string HumanTime(uint64_t micros) {
  if (micros < 1000) return StrCat(micros, "us");
  if (micros < 1'000'000) return absl::StrFormat("%.1fms", static_cast<double>(micros) / 1e3);
  if (micros < 60'000'000) return absl::StrFormat("%.1fs", static_cast<double>(micros) / 1e6);
  const absl::Duration whole = absl::Seconds(static_cast<int64_t>(micros / 1'000'000));
  return FormatDuration(whole < absl::Hours(1) ? whole : absl::Trunc(whole, absl::Minutes(1)));
}

Json ToJson(const MountReport& report) {
  Json json;
  AddBytes(json, "mountpoint", report.mount.mountpoint);
  json["source"] = report.mount.source;
  json["state"] = StateName(report.state);
  json["device"] = report.mount.device;
  json["owner"] = report.mount.owner;
  json["socket"] = SocketOf(report.mount);
  if (report.stats) {
    json["pid"] = report.stats->pid();
    json["uptime_ms"] = report.stats->uptime_ms();
    json["queued_bytes"] = report.stats->queued_bytes();
    json["waiting"] = report.stats->waiting_size();
  } else if (report.state == MountState::kSilent) {
    json["reason"] = std::string(report.why.message());
  }
  return json;
}

Json ToJson(const v1::GetMountStatsResponse& stats) {
  Json json;
  AddBytes(json, "mountpoint", stats.mountpoint());
  json.update({{"source", stats.source()},
               {"options", stats.options()},
               {"pid", stats.pid()},
               {"version", stats.program_version()},
               {"cluster_uuid", stats.cluster_uuid()},
               {"client_id", stats.client_id()},
               {"leaving", stats.leaving()},
               {"uptime_ms", stats.uptime_ms()},
               {"resident_bytes", stats.resident_bytes()},
               {"threads", stats.threads()},
               {"descriptors", stats.descriptors()},
               {"inodes", stats.inodes()},
               {"file_handles", stats.file_handles()},
               {"directory_handles", stats.directory_handles()},
               {"queued_records", stats.queued_records()},
               {"queued_bytes", stats.queued_bytes()}});
  json["calls"] = Json::object();
  for (const v1::MountCalls& calls : stats.calls())
    json["calls"][calls.name()] = {{"count", calls.count()},   {"in_flight", calls.in_flight()},
                                   {"p50_us", calls.p50_us()}, {"p99_us", calls.p99_us()},
                                   {"max_us", calls.max_us()}, {"total_us", calls.total_us()}};
  json["waiting"] = Json::array();
  for (const v1::MountWaiting& waiting : stats.waiting())
    json["waiting"].push_back({{"call", waiting.name()},
                               {"inode", waiting.inode()},
                               {"pid", waiting.pid()},
                               {"command", waiting.command()},
                               {"waiting_ms", waiting.waiting_ms()}});
  json["queues"] = Json::array();
  for (const v1::MountQueue& queue : stats.queues())
    json["queues"].push_back({{"inode", queue.inode()},
                              {"records", queue.records()},
                              {"bytes", queue.bytes()},
                              {"sent_batches", queue.sent_batches()},
                              {"waiting_ms", queue.waiting_ms()},
                              {"handle", queue.handle()},
                              {"epoch", queue.epoch()},
                              {"primary", queue.primary()},
                              {"failures", queue.failures()},
                              {"reason", queue.reason()}});
  return json;
}

std::string OrDash(std::string text) { return text.empty() ? "-" : text; }

void PrintTables(const v1::GetMountStatsResponse& stats, Output& output) {
  if (stats.calls_size() > 0) {
    Table calls("lrrrrr");
    calls.Add({"CALL", "COUNT", "NOW", "P50", "P99", "MAX"});
    for (const v1::MountCalls& one : stats.calls())
      calls.Add({one.name(), StrCat(one.count()), StrCat(one.in_flight()), HumanTime(one.p50_us()),
                 HumanTime(one.p99_us()), HumanTime(one.max_us())});
    output.out << "\n" << calls.Render();
  }
  if (stats.waiting_size() > 0) {
    Table waiting("rlrlr");
    waiting.Add({"WAITING", "CALL", "INODE", "COMMAND", "PID"});
    for (const v1::MountWaiting& one : stats.waiting())
      waiting.Add({HumanTime(one.waiting_ms() * 1000), one.name(),
                   one.inode() == 0 ? "-" : StrCat(one.inode()),
                   OrDash(PrintableName(one.command())), one.pid() == 0 ? "-" : StrCat(one.pid())});
    output.out << "\n" << waiting.Render();
  }
  if (stats.queues_size() > 0) {
    Table queues("rrrrrll");
    queues.Add({"QUEUED", "INODE", "RECORDS", "BYTES", "CHUNK", "PRIMARY", "TRIED AGAIN BECAUSE"});
    for (const v1::MountQueue& one : stats.queues())
      queues.Add({HumanTime(one.waiting_ms() * 1000), StrCat(one.inode()), StrCat(one.records()),
                  HumanBytes(one.bytes()), one.handle() == 0 ? "-" : StrCat(one.handle()),
                  OrDash(one.primary()), OrDash(PrintableName(one.reason()))});
    output.out << "\n" << queues.Render();
  }
}

}  // namespace

ExitCode PrintMounts(const std::vector<MountReport>& mounts, Output& output) {
  const bool all_serve = std::all_of(mounts.begin(), mounts.end(), [](const MountReport& mount) {
    return mount.state == MountState::kServing;
  });
  if (output.json) {
    Json list = Json::array();
    for (const MountReport& mount : mounts) list.push_back(ToJson(mount));
    output.out << ToPrettyText(list) << "\n";
  } else if (!mounts.empty()) {
    Table table("lllrrr");
    table.Add({"MOUNT POINT", "SOURCE", "STATE", "PID", "UP", "QUEUED"});
    for (const MountReport& mount : mounts)
      table.Add({PrintableName(mount.mount.mountpoint), PrintableName(mount.mount.source),
                 std::string(StateName(mount.state)),
                 mount.stats ? StrCat(mount.stats->pid()) : "-",
                 mount.stats ? HumanTime(mount.stats->uptime_ms() * 1000) : "-",
                 mount.stats ? HumanBytes(mount.stats->queued_bytes()) : "-"});
    output.out << table.Render();
  }
  return all_serve ? ExitCode::kDone : ExitCode::kUnhealthy;
}

void PrintMountStats(const v1::GetMountStatsResponse& stats, bool one_line, Output& output) {
  if (output.json) {
    output.out << (one_line ? ToText(ToJson(stats)) : ToPrettyText(ToJson(stats))) << "\n";
    return;
  }
  output.out << PrintableName(stats.mountpoint()) << ": " << PrintableName(stats.source()) << " ("
             << stats.options() << ")" << (stats.leaving() ? ", leaving" : "") << "\n"
             << "daemon:  pid " << stats.pid() << ", version " << stats.program_version() << ", up "
             << HumanTime(stats.uptime_ms() * 1000) << ", client " << stats.client_id()
             << " of cluster " << stats.cluster_uuid() << "\n"
             << "holds:   " << HumanBytes(stats.resident_bytes()) << " of memory, "
             << stats.threads() << " threads, " << stats.descriptors() << " descriptors\n"
             << "open:    " << stats.file_handles() << " files, " << stats.directory_handles()
             << " directories; " << stats.inodes() << " inodes known\n"
             << "queued:  " << stats.queued_records() << " records, "
             << HumanBytes(stats.queued_bytes()) << "\n";
  PrintTables(stats, output);
}

}  // namespace appendfs::cli
