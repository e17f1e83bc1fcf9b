#include "common/mount_table.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr char kTable[] = "/proc/self/mountinfo";
constexpr std::string_view kType = "fuse.appendfs";

uid_t OwnerIn(const std::string& super_options) {
  constexpr std::string_view kOwner = "user_id=";
  for (absl::string_view option : absl::StrSplit(super_options, ',')) {
    uint32_t owner = 0;
    if (FromAbsl(option).starts_with(kOwner) &&
        absl::SimpleAtoi(option.substr(kOwner.size()), &owner))
      return owner;
  }
  return 0;
}

}  // namespace

std::string UnescapeMountField(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<MountEntry> ParseMountTable(std::string_view mountinfo) {
  std::vector<MountEntry> table;
  std::istringstream lines{std::string(mountinfo)};
  std::string line;
  while (std::getline(lines, line)) {
    // id parent device root mountpoint options optional... - type source super
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    const std::string mountpoint = UnescapeMountField(fields[4]);
    std::erase_if(table, [&](const MountEntry& below) { return below.mountpoint == mountpoint; });
    if (dash[1] != kType) continue;
    table.push_back({.device = fields[2],
                     .mountpoint = mountpoint,
                     .source = UnescapeMountField(dash[2]),
                     .options = fields[5],
                     .owner = OwnerIn(dash[3])});
  }
  return table;
}

absl::StatusOr<std::vector<MountEntry>> ReadMountTable() {
  std::ifstream file(kTable);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return ErrnoError("read", kTable, errno);
  return ParseMountTable(text.str());
}

std::optional<MountEntry> FindMount(const std::vector<MountEntry>& table,
                                    std::string_view mountpoint) {
  for (const MountEntry& mount : table)
    if (mount.mountpoint == mountpoint) return mount;
  return std::nullopt;
}

std::string RunDirectory(uid_t owner) {
  if (const char* chosen = std::getenv("APPENDFS_RUN_DIR"); chosen != nullptr && *chosen != 0)
    return chosen;
  if (owner == 0) return "/run/appendfs";
  const char* own = std::getenv("XDG_RUNTIME_DIR");
  if (owner == geteuid() && own != nullptr && *own != 0) return StrCat(own, "/appendfs");
  if (owner != geteuid()) {
    std::string usual = StrCat("/run/user/", owner, "/appendfs");
    if (access(usual.c_str(), F_OK) == 0) return usual;
  }
  return StrCat("/tmp/appendfs-", owner);
}

std::string ControlSocketOf(const std::string& run_directory, const MountEntry& mount) {
  std::string name = mount.device;
  std::replace(name.begin(), name.end(), ':', '-');
  return StrCat(run_directory, "/mount-", name, ".sock");
}

}  // namespace appendfs
