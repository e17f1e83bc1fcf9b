#include "cli/paths.h"

#include <algorithm>
#include <vector>

#include "cli/format.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr int kMostSymlinks = 40;  // as path_resolution(7)

}  // namespace

absl::StatusOr<std::string> NormalizePath(std::string_view path) {
  if (path.empty()) return MakeError(v1::INVALID, "the path is empty: write /DIR/FILE");
  if (path.find('\0') != path.npos) return MakeError(v1::INVALID, "the path has a NUL byte in it");
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string normalized;
  for (std::string_view part : parts) normalized += StrCat("/", part);
  return normalized.empty() ? "/" : normalized;
}

SplitPath Split(std::string_view normalized) {
  size_t slash = normalized.rfind('/');
  return {std::string(slash == 0 ? "/" : normalized.substr(0, slash)),
          std::string(normalized.substr(slash + 1))};
}

std::string Join(std::string_view parent, std::string_view name) {
  return StrCat(parent, parent.ends_with('/') ? "" : "/", name);
}

absl::StatusOr<Resolved> Follow(Client& client, std::string_view path) {
  APPENDFS_ASSIGN_OR_RETURN(std::string current, NormalizePath(path));
  for (int links = 0; links <= kMostSymlinks; ++links) {
    absl::StatusOr<FileStatus> status = client.Resolve(current);
    if (!status.ok()) return About(path, status.status());
    if (status->type != v1::SYMLINK) return Resolved{std::move(current), *std::move(status)};
    absl::StatusOr<std::string> target = client.ReadLink(status->inode);
    if (!target.ok()) return About(path, target.status());
    if (!target->starts_with('/')) target = Join(Split(current).parent, *target);
    APPENDFS_ASSIGN_OR_RETURN(current, NormalizePath(*target));
  }
  return About(path, MakeError(v1::TOO_MANY_LINKS, "more than 40 symbolic links on the way"));
}

absl::StatusOr<Place> FindPlace(Client& client, std::string_view path) {
  APPENDFS_ASSIGN_OR_RETURN(std::string normalized, NormalizePath(path));
  SplitPath split = Split(normalized);
  if (split.name.empty()) return About(path, MakeError(v1::INVALID, "is the root directory"));
  APPENDFS_ASSIGN_OR_RETURN(Resolved parent, Follow(client, split.parent));
  if (parent.status.type != v1::DIRECTORY)
    return MakeError(v1::NOT_DIRECTORY, StrCat(PrintableName(split.parent), ": not a directory"));
  return Place{parent.status.inode, std::move(parent.path), std::move(split.name)};
}

absl::Status About(std::string_view path, const absl::Status& status) {
  if (status.ok()) return status;
  std::string printable = PrintableName(path);
  if (FromAbsl(status.message()).find(printable) != std::string_view::npos) return status;
  return MakeError(ReasonOf(status), StrCat(printable, ": ", status.message()));
}

}  // namespace appendfs::cli
