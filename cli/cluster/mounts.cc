#include "cli/cluster/mounts.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_split.h"
#include "cli/cluster/process.h"
#include "common/mount_table.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

// Runs a helper program to its end; its output is not wanted.
void RunQuietly(const std::vector<std::string>& arguments) {
  absl::StatusOr<ProcessIdentity> helper = Spawn(arguments, "/dev/null");
  if (!helper.ok()) return;
  WaitUntil([&] { return StateOf(*helper) == ProcessState::kGone; }, std::chrono::seconds(10));
}

}  // namespace

bool HasFuseMount(std::string_view mountinfo, std::string_view mount_point) {
  std::istringstream lines{std::string(mountinfo)};
  std::string line;
  bool found = false;
  while (std::getline(lines, line)) {
    std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 10 || UnescapeMountField(fields[4]) != mount_point) continue;
    size_t dash = 6;
    while (dash < fields.size() && fields[dash] != "-") ++dash;
    // The last one listed is on top.
    found = dash + 1 < fields.size() && fields[dash + 1].rfind("fuse", 0) == 0;
  }
  return found;
}

bool IsFuseMounted(const std::string& mount_point) {
  std::ifstream file("/proc/self/mountinfo");
  std::stringstream text;
  text << file.rdbuf();
  return HasFuseMount(text.str(), mount_point);
}

absl::Status ForceUnmount(const std::string& mount_point) {
  if (!IsFuseMounted(mount_point)) return absl::OkStatus();
  if (umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
    RunQuietly({"/usr/bin/fusermount3", "-u", "-z", mount_point});
  if (!IsFuseMounted(mount_point)) return absl::OkStatus();
  return MakeError(v1::INPUT_OUTPUT,
                   StrCat(mount_point, ": still mounted; try: umount -l ", mount_point));
}

std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(path, error).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  // The parent only: a dead mount cannot be looked at.
  std::filesystem::path parent = std::filesystem::weakly_canonical(absolute.parent_path(), error);
  return (error ? absolute : parent / absolute.filename()).string();
}

absl::StatusOr<std::string> PrepareMountPoint(const std::string& path) {
  std::error_code error;
  std::string absolute = AbsolutePath(path);
  struct stat st {};
  if (stat(absolute.c_str(), &st) != 0 && errno == ENOTCONN)
    APPENDFS_RETURN_IF_ERROR(ForceUnmount(absolute));  // left over from a dead daemon
  std::filesystem::create_directories(absolute, error);
  if (error) return ErrnoError("make mount point", absolute, error.value());
  if (stat(absolute.c_str(), &st) != 0) return ErrnoError("stat", absolute, errno);
  if (!S_ISDIR(st.st_mode))
    return MakeError(v1::NOT_DIRECTORY, StrCat(absolute, ": a mount point must be a directory"));
  std::string real = std::filesystem::canonical(absolute, error).string();
  if (error) return ErrnoError("resolve", absolute, error.value());
  if (IsFuseMounted(real))
    return MakeError(v1::ENTRY_EXISTS,
                     StrCat(real, ": something is mounted there already; umount it first"));
  return real;
}

}  // namespace appendfs::cli
