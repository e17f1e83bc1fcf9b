#include "cli/cluster/layout.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "cli/json.h"
#include "cli/local_io.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr int kFormat = 1;

}  // namespace

const ClusterProcess* ClusterLayout::Find(std::string_view name) const {
  auto it = std::find_if(processes.begin(), processes.end(),
                         [&](const ClusterProcess& process) { return process.name == name; });
  return it == processes.end() ? nullptr : &*it;
}

ClusterProcess* ClusterLayout::Find(std::string_view name) {
  return const_cast<ClusterProcess*>(std::as_const(*this).Find(name));
}

std::string ClusterLayout::Names() const {
  std::string names;
  for (const ClusterProcess& process : processes)
    names += (names.empty() ? "" : ", ") + process.name;
  return names;
}

int ClusterLayout::Count(std::string_view role) const {
  return static_cast<int>(
      std::count_if(processes.begin(), processes.end(),
                    [&](const ClusterProcess& process) { return process.role == role; }));
}

std::string LayoutPath(const std::string& dir) { return dir + "/cluster.json"; }

std::string LogPath(const std::string& dir, std::string_view name) {
  return StrCat(dir, "/log/", name, ".log");
}

std::string ToText(const ClusterLayout& layout) {
  Json json{{"format", kFormat}, {"processes", Json::array()}};
  for (const ClusterProcess& process : layout.processes)
    json["processes"].push_back({{"name", process.name},
                                 {"role", process.role},
                                 {"address", process.address},
                                 {"data_dir", process.data_dir},
                                 {"options", process.options},
                                 {"pid", process.pid},
                                 {"start_time", process.start_time}});
  return ToPrettyText(json) + "\n";
}

absl::StatusOr<ClusterLayout> ParseLayout(std::string_view text, const std::string& path) {
  auto bad = [&path](std::string_view what) {
    return MakeError(v1::INVALID, StrCat(path, ": ", what,
                                         "; if no process of it runs, remove the file and "
                                         "start again"));
  };
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) return bad("not a JSON object");
  if (json.value("format", 0) != kFormat) return bad("not of format 1");
  if (!json.contains("processes") || !json["processes"].is_array()) return bad("has no processes");
  ClusterLayout layout;
  for (const Json& entry : json["processes"]) {
    ClusterProcess process;
    try {  // the library reports a value of the wrong type in no other way
      entry.at("name").get_to(process.name);
      entry.at("role").get_to(process.role);
      entry.at("address").get_to(process.address);
      entry.at("data_dir").get_to(process.data_dir);
      entry.at("options").get_to(process.options);
      entry.at("pid").get_to(process.pid);
      entry.at("start_time").get_to(process.start_time);
    } catch (const Json::exception& error) {
      return bad(StrCat("a process is malformed (", error.what(), ")"));
    }
    if (process.name.empty() || layout.Find(process.name))
      return bad(StrCat("a process name is missing or there twice: '", process.name, "'"));
    if (process.pid < 0) return bad(StrCat(process.name, " has a negative pid"));
    layout.processes.push_back(std::move(process));
  }
  return layout;
}

absl::StatusOr<ClusterLayout> LoadLayout(const std::string& dir) {
  std::string path = LayoutPath(dir);
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return MakeError(v1::NO_ENTRY, StrCat(dir, ": no cluster here (", path,
                                          " is missing); make one with: appendfs cluster start "
                                          "--dir ",
                                          dir));
  std::stringstream text;
  text << file.rdbuf();
  return ParseLayout(text.str(), path);
}

absl::Status SaveLayout(const std::string& dir, const ClusterLayout& layout) {
  std::string path = LayoutPath(dir), temporary = path + ".new";
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError("create", temporary, errno);
  absl::Status status = WriteAll(fd, ToText(layout), temporary);
  if (status.ok() && fsync(fd) != 0) status = ErrnoError("fsync", temporary, errno);
  close(fd);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0)
    status = ErrnoError("rename to", path, errno);
  return status;
}

}  // namespace appendfs::cli
