#include "client/path.h"

#include <deque>
#include <utility>
#include <vector>

#include "common/str_cat.h"

namespace appendfs {
namespace {

// Puts the components of `path` in front of what is still to be walked.
void PushFront(std::string_view path, std::deque<std::string>& todo) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  todo.insert(todo.begin(), parts.begin(), parts.end());
}

}  // namespace

absl::StatusOr<ResolvedPath> ResolvePath(PathNodes& nodes, std::string_view path,
                                         bool follow_last) {
  if (path.empty() || path.front() != '/')
    return MakeError(v1::INVALID, StrCat("'", path, "' is not an absolute path"));
  bool must_be_directory = path.back() == '/';
  APPENDFS_ASSIGN_OR_RETURN(v1::Entry root, nodes.Root());
  std::vector<v1::Entry> walked{root};  // directories from the root down
  std::deque<std::string> todo;
  PushFront(path, todo);
  int symlinks = 0;
  while (!todo.empty()) {
    std::string name = std::move(todo.front());
    todo.pop_front();
    if (name == "..") {
      if (walked.size() > 1) walked.pop_back();
      continue;
    }
    InodeId parent(walked.back().attributes().inode());
    absl::StatusOr<v1::Entry> entry = nodes.LookupEntry(parent, name);
    bool last = todo.empty();
    if (!entry.ok()) {
      if (last && HasReason(entry.status(), v1::NO_ENTRY))
        return ResolvedPath{std::nullopt, parent, std::move(name)};
      return entry.status();
    }
    v1::FileType type = entry->attributes().type();
    if (type == v1::SYMLINK && (!last || follow_last || must_be_directory)) {
      if (++symlinks > kMaxSymlinks)
        return MakeError(v1::INPUT_OUTPUT,
                         StrCat("'", path, "' has more than ", kMaxSymlinks, " symlinks"));
      APPENDFS_ASSIGN_OR_RETURN(std::string target,
                                nodes.ReadSymlink(InodeId(entry->attributes().inode())));
      if (!target.empty() && target.front() == '/') walked.resize(1);
      PushFront(target, todo);
      continue;
    }
    if (type != v1::DIRECTORY) {
      if (!last || must_be_directory)
        return MakeError(v1::NOT_DIRECTORY, StrCat("'", path, "': ", name, " is no directory"));
      return ResolvedPath{*std::move(entry), parent, std::move(name)};
    }
    if (last) return ResolvedPath{*std::move(entry), parent, std::move(name)};
    walked.push_back(*std::move(entry));
  }
  InodeId parent(walked.size() > 1 ? walked[walked.size() - 2].attributes().inode()
                                   : root.attributes().inode());
  return ResolvedPath{std::move(walked.back()), parent, ""};
}

}  // namespace appendfs
