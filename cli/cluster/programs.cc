#include "cli/cluster/programs.h"

#include <unistd.h>

#include <filesystem>

#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

std::string ProgramName(const std::string& role) {
  if (role == "master") return "appendfs-master";
  return role == "chunkserver" ? "appendfs-chunkserver" : "mount.appendfs";
}

}  // namespace

absl::StatusOr<std::string> FindProgramFrom(const std::string& own_directory,
                                            const std::string& name) {
  std::string places;
  for (const char* relative : {"../sbin", ".", "../master", "../chunkserver", "../fuse"}) {
    std::string path =
        (std::filesystem::path(own_directory) / relative / name).lexically_normal().string();
    if (access(path.c_str(), X_OK) == 0) return path;
    places += (places.empty() ? "" : ", ") + path;
  }
  return MakeError(v1::NO_ENTRY, StrCat(name, ": program not found; looked at ", places));
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return ErrnoError("readlink", "/proc/self/exe", error.value());
  return FindProgramFrom(self.parent_path().string(), name);
}

absl::StatusOr<std::vector<std::string>> CommandLine(const ClusterProcess& process,
                                                     const std::string& master) {
  APPENDFS_ASSIGN_OR_RETURN(std::string program, FindProgram(ProgramName(process.role)));
  std::vector<std::string> line{std::move(program)};
  if (process.role == "mount") {
    line.insert(line.end(), {master, process.data_dir, "--foreground"});
  } else {
    line.insert(line.end(), {"--data-dir", process.data_dir, "--listen", process.address});
    if (process.role == "chunkserver") line.insert(line.end(), {"--master", master});
  }
  line.insert(line.end(), process.options.begin(), process.options.end());
  return line;
}

}  // namespace appendfs::cli
