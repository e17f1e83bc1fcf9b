#include "cli/name_verbs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/format.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/paths.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr uint32_t kPage = 1000;

// Everything in a directory. It is read from the start again after each page,
// so that names which come meanwhile are removed too.
absl::StatusOr<uint64_t> RemoveEntries(Client& client, InodeId directory, const std::string& path) {
  uint64_t removed = 0;
  while (true) {
    absl::StatusOr<DirectoryPage> page = client.ReadDirectory(directory, "", kPage, false);
    if (!page.ok()) return About(path, page.status());
    if (page->entries.empty()) return removed;
    for (const DirectoryEntry& entry : page->entries) {
      std::string child = Join(path, entry.name);
      absl::Status status;
      if (entry.type == v1::DIRECTORY) {
        APPENDFS_ASSIGN_OR_RETURN(uint64_t below, RemoveEntries(client, entry.inode, child));
        removed += below;
        status = client.RemoveDirectory(directory, entry.name);
      } else {
        status = client.Unlink(directory, entry.name);
      }
      if (!status.ok() && !HasReason(status, v1::NO_ENTRY)) return About(child, status);
      ++removed;
    }
  }
}

uint32_t Umask() {
  mode_t mask = umask(0);
  umask(mask);
  return mask;
}

absl::Status MakeOne(Client& client, const std::string& path, uint32_t mode) {
  APPENDFS_ASSIGN_OR_RETURN(Place place, FindPlace(client, path));
  NodeSpec spec{.type = v1::DIRECTORY, .mode = mode, .uid = geteuid(), .gid = getegid()};
  return About(path, client.MakeNode(place.parent, place.name, spec).status());
}

}  // namespace

absl::StatusOr<uint64_t> Remove(Client& client, const std::string& path, RemoveOptions options) {
  absl::StatusOr<Place> place = FindPlace(client, path);
  if (options.force && HasReason(place.status(), v1::NO_ENTRY)) return 0;
  if (!place.ok()) return place.status();
  absl::StatusOr<FileStatus> status = client.Lookup(place->parent, place->name);
  if (options.force && HasReason(status.status(), v1::NO_ENTRY)) return 0;
  if (!status.ok()) return About(path, status.status());
  if (status->type != v1::DIRECTORY) {
    APPENDFS_RETURN_IF_ERROR(About(path, client.Unlink(place->parent, place->name)));
    return 1;
  }
  if (!options.recursive)
    return MakeError(v1::IS_DIRECTORY, StrCat(PrintableName(path), ": is a directory; use rm -r"));
  APPENDFS_ASSIGN_OR_RETURN(uint64_t removed, RemoveEntries(client, status->inode,
                                                            Join(place->parent_path, place->name)));
  APPENDFS_RETURN_IF_ERROR(About(path, client.RemoveDirectory(place->parent, place->name)));
  return removed + 1;
}

absl::StatusOr<std::string> Move(Client& client, const std::string& from, const std::string& to,
                                 Client::RenameFlags flags) {
  APPENDFS_ASSIGN_OR_RETURN(Place source, FindPlace(client, from));
  absl::StatusOr<Resolved> there = Follow(client, to);
  if (!there.ok() && !HasReason(there.status(), v1::NO_ENTRY)) return there.status();
  Place target;
  if (there.ok() && there->status.type == v1::DIRECTORY && !flags.exchange) {
    target = {there->status.inode, there->path, source.name};
  } else {
    APPENDFS_ASSIGN_OR_RETURN(target, FindPlace(client, to));
  }
  absl::Status status =
      client.Rename(source.parent, source.name, target.parent, target.name, flags);
  if (HasReason(status, v1::NO_ENTRY)) return About(from, status);
  std::string path = Join(target.parent_path, target.name);
  if (!status.ok()) return About(path, status);
  return path;
}

absl::Status MakeDirectory(Client& client, const std::string& path, MakeDirectoryOptions options) {
  if (!options.parents) return MakeOne(client, path, options.mode);
  APPENDFS_ASSIGN_OR_RETURN(std::string normalized, NormalizePath(path));
  // From the left: the first missing part and everything after it.
  for (size_t end = normalized.find('/', 1); end != 1; end = normalized.find('/', end + 1)) {
    std::string part = normalized.substr(0, end);
    absl::StatusOr<Resolved> there = Follow(client, part);
    if (there.ok() && there->status.type != v1::DIRECTORY)
      return MakeError(v1::NOT_DIRECTORY, StrCat(PrintableName(part), ": not a directory"));
    if (!there.ok()) {
      if (!HasReason(there.status(), v1::NO_ENTRY)) return there.status();
      bool last = end == normalized.npos;
      absl::Status made = MakeOne(client, part, last ? options.mode : 0777 & ~Umask());
      // Somebody else may have been quicker.
      if (!made.ok() && !HasReason(made, v1::ENTRY_EXISTS)) return made;
    }
    if (end == normalized.npos) break;
  }
  return absl::OkStatus();
}

void AddNameVerbs(CLI::App& app, Context& context) {
  struct Arguments {
    std::vector<std::string> paths;
    std::string from, to, mode;
    RemoveOptions remove;
    bool no_replace = false, exchange = false, parents = false;
  };
  auto rm = std::make_shared<Arguments>();
  CLI::App* verb =
      AddVerb(app, context, "rm", "Remove files, or directories with -r", [&context, rm] {
        return context.RunForEach(
            rm->paths,
            [rm](Client& client, const std::string& path, Output& output) -> absl::Status {
              APPENDFS_ASSIGN_OR_RETURN(uint64_t removed, Remove(client, path, rm->remove));
              Json json;
              AddBytes(json, "path", path);
              json["removed"] = removed;
              if (output.json) output.out << ToText(json) << "\n";
              return absl::OkStatus();
            });
      });
  verb->add_flag("-r,--recursive", rm->remove.recursive, "Directories and all that is in them");
  verb->add_flag("-f,--force", rm->remove.force, "What is not there is no error");
  verb->add_option("PATH", rm->paths, "What to remove")->required();

  auto mv = std::make_shared<Arguments>();
  verb = AddVerb(app, context, "mv", "Rename, or move into a directory", [&context, mv] {
    return context.Run([mv](Client& client, Output& output) -> absl::Status {
      APPENDFS_ASSIGN_OR_RETURN(std::string path,
                                Move(client, mv->from, mv->to, {mv->no_replace, mv->exchange}));
      Json json;
      AddBytes(json, "from", mv->from);
      AddBytes(json, "path", path);
      if (output.json) output.out << ToText(json) << "\n";
      return absl::OkStatus();
    });
  });
  CLI::Option* no_replace =
      verb->add_flag("-n,--no-replace", mv->no_replace, "Fail if the new name exists");
  verb->add_flag("--exchange", mv->exchange, "Swap the two names")->excludes(no_replace);
  verb->add_option("FROM", mv->from, "What to rename")->required();
  verb->add_option("TO", mv->to, "The new name, or a directory")->required();

  auto mkdir = std::make_shared<Arguments>();
  verb = AddVerb(app, context, "mkdir", "Make directories", [&context, mkdir] {
    MakeDirectoryOptions options{.mode = 0777 & ~Umask(), .parents = mkdir->parents};
    if (!mkdir->mode.empty()) {
      absl::StatusOr<uint32_t> mode = ParseMode(mkdir->mode);
      if (!mode.ok()) return context.Report(mode.status());
      options.mode = *mode;
    }
    return context.RunForEach(
        mkdir->paths,
        [options](Client& client, const std::string& path, Output& output) -> absl::Status {
          APPENDFS_RETURN_IF_ERROR(MakeDirectory(client, path, options));
          Json json;
          AddBytes(json, "path", path);
          if (output.json) output.out << ToText(json) << "\n";
          return absl::OkStatus();
        });
  });
  verb->add_flag("-p,--parents", mkdir->parents, "Also what is missing on the way; may exist");
  verb->add_option("-m,--mode", mkdir->mode, "Permissions, octal (default: 777 less the umask)");
  verb->add_option("PATH", mkdir->paths, "Directories to make")->required();
}

}  // namespace appendfs::cli
