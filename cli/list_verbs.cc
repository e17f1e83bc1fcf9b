#include "cli/list_verbs.h"

#include <grp.h>
#include <pwd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/strings/str_format.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/paths.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr uint32_t kPage = 1000;

struct Listed {
  std::string name;
  FileStatus status;
  std::string target;  // symlinks
};

std::string UserName(uint32_t uid) {
  const passwd* user = getpwuid(uid);
  return user ? user->pw_name : StrCat(uid);
}

std::string GroupName(uint32_t gid) {
  const group* entry = getgrgid(gid);
  return entry ? entry->gr_name : StrCat(gid);
}

absl::StatusOr<std::vector<Listed>> ReadAll(Client& client, InodeId directory) {
  std::vector<Listed> all;
  std::string after;
  while (true) {
    APPENDFS_ASSIGN_OR_RETURN(DirectoryPage page,
                              client.ReadDirectory(directory, after, kPage, true));
    for (DirectoryEntry& entry : page.entries) {
      after = entry.name;
      if (!entry.status) {  // gone since, or left to be asked for
        absl::StatusOr<FileStatus> status = client.Stat(entry.inode);
        if (HasReason(status.status(), v1::NO_ENTRY)) continue;
        if (!status.ok()) return status.status();
        entry.status = *status;
      }
      all.push_back({std::move(entry.name), *entry.status, ""});
    }
    if (page.end || page.entries.empty()) return all;
  }
}

absl::Status AddTargets(Client& client, std::vector<Listed>& all) {
  for (Listed& one : all) {
    if (one.status.type != v1::SYMLINK) continue;
    absl::StatusOr<std::string> target = client.ReadLink(one.status.inode);
    if (target.ok())
      one.target = *std::move(target);
    else if (!HasReason(target.status(), v1::NO_ENTRY))
      return target.status();
  }
  return absl::OkStatus();
}

Json ToJson(const Listed& one) {
  Json json;
  AddBytes(json, "name", one.name);
  json.update(cli::ToJson(one.status));
  if (one.status.type == v1::SYMLINK) AddBytes(json, "target", one.target);
  return json;
}

std::string Details(const std::vector<Listed>& all) {
  Table table("lrllrll");
  for (const Listed& one : all) {
    std::string name = PrintableName(one.name);
    if (one.status.type == v1::SYMLINK) name += " -> " + PrintableName(one.target);
    table.Add({ModeString(one.status.type, one.status.mode), StrCat(one.status.nlink),
               UserName(one.status.uid), GroupName(one.status.gid), StrCat(one.status.size),
               LocalTime(one.status.mtime_ns), std::move(name)});
  }
  return table.Render();
}

}  // namespace

absl::Status List(Client& client, const std::string& path, bool details, Output& output) {
  APPENDFS_ASSIGN_OR_RETURN(Resolved resolved, Follow(client, path));
  std::vector<Listed> all;
  if (resolved.status.type == v1::DIRECTORY) {
    auto read = ReadAll(client, resolved.status.inode);
    if (!read.ok()) return About(path, read.status());
    all = *std::move(read);
  } else {
    all.push_back({path, resolved.status, ""});
  }
  if (details || output.json)
    if (absl::Status status = AddTargets(client, all); !status.ok()) return About(path, status);
  if (output.json) {
    Json list = Json::array();
    for (const Listed& one : all) list.push_back(ToJson(one));
    output.out << ToPrettyText(list) << "\n";
  } else if (details) {
    output.out << Details(all);
  } else {
    for (const Listed& one : all) output.out << PrintableName(one.name) << "\n";
  }
  return absl::OkStatus();
}

absl::Status ShowStatus(Client& client, const std::string& path, Output& output) {
  APPENDFS_ASSIGN_OR_RETURN(std::string normalized, NormalizePath(path));
  SplitPath split = Split(normalized);
  if (!split.name.empty()) {
    // Symlinks on the way are followed, the last one is not.
    APPENDFS_ASSIGN_OR_RETURN(Place place, FindPlace(client, path));
    normalized = Join(place.parent_path, place.name);
  }
  absl::StatusOr<FileStatus> status = client.Resolve(normalized);
  if (!status.ok()) return About(path, status.status());
  std::string target;
  if (status->type == v1::SYMLINK) {
    absl::StatusOr<std::string> link = client.ReadLink(status->inode);
    if (!link.ok()) return About(path, link.status());
    target = *std::move(link);
  }
  if (output.json) {
    Json json;
    AddBytes(json, "path", normalized);
    json.update(ToJson(*status));
    if (status->type == v1::SYMLINK) AddBytes(json, "target", target);
    output.out << ToText(json) << "\n";
    return absl::OkStatus();
  }
  output.out << "  path: " << PrintableName(normalized)
             << (target.empty() ? "" : " -> " + PrintableName(target)) << "\n"
             << "  type: " << TypeName(status->type) << (status->growing ? ", growing" : "") << "\n"
             << "  size: " << status->size << "\n"
             << " inode: " << status->inode << "  links: " << status->nlink << "\n"
             << "  mode: " << absl::StrFormat("%04o", status->mode) << " "
             << ModeString(status->type, status->mode) << "\n"
             << " owner: " << status->uid << " " << UserName(status->uid)
             << "  group: " << status->gid << " " << GroupName(status->gid) << "\n"
             << "access: " << IsoTime(status->atime_ns) << "\n"
             << "modify: " << IsoTime(status->mtime_ns) << "\n"
             << "change: " << IsoTime(status->ctime_ns) << "\n";
  return absl::OkStatus();
}

absl::Status ShowSpace(Client& client, Output& output) {
  APPENDFS_ASSIGN_OR_RETURN(FileSystemStatus space, client.StatFs());
  uint64_t used = space.total_bytes - std::min(space.total_bytes, space.available_bytes);
  if (output.json) {
    output.out << ToPrettyText({{"total_bytes", space.total_bytes},
                                {"used_bytes", used},
                                {"available_bytes", space.available_bytes},
                                {"files", space.files}})
               << "\n";
    return absl::OkStatus();
  }
  Table table("rrrrr");
  table.Add({"Size", "Used", "Available", "Use%", "Files"});
  uint64_t percent = space.total_bytes ? used * 100 / space.total_bytes : 0;
  table.Add({HumanBytes(space.total_bytes), HumanBytes(used), HumanBytes(space.available_bytes),
             StrCat(percent, "%"), StrCat(space.files)});
  output.out << table.Render();
  return absl::OkStatus();
}

void AddListVerbs(CLI::App& app, Context& context) {
  struct Arguments {
    std::vector<std::string> paths;
    bool details = false;
  };
  auto ls = std::make_shared<Arguments>();
  CLI::App* verb = AddVerb(app, context, "ls", "List a directory", [&context, ls] {
    if (ls->paths.empty()) ls->paths = {"/"};
    return context.RunForEach(ls->paths,
                              [ls](Client& client, const std::string& path, Output& output) {
                                if (ls->paths.size() > 1 && !output.json)
                                  output.out << PrintableName(path) << ":\n";
                                return List(client, path, ls->details, output);
                              });
  });
  verb->add_flag("-l", ls->details, "Mode, links, owner, group, size, time, name");
  verb->add_option("PATH", ls->paths, "Directories or files (default: /)");

  auto stat = std::make_shared<Arguments>();
  verb = AddVerb(app, context, "stat", "Show a file's attributes",
                 [&context, stat] { return context.RunForEach(stat->paths, ShowStatus); });
  verb->add_option("PATH", stat->paths, "Files or directories")->required();

  AddVerb(app, context, "df", "Show how much room the cluster has",
          [&context] { return context.Run(ShowSpace); });
}

}  // namespace appendfs::cli
