#include "cli/transfer_verbs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <limits>

#include "cli/format.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/paths.h"
#include "cli/progress.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;
constexpr uint64_t kWholeFile = std::numeric_limits<uint64_t>::max();

uint32_t Umask() {
  mode_t mask = umask(0);
  umask(mask);
  return mask;
}

std::string LastPart(const std::string& path) {
  return path.substr(path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1);
}

// Where PUT's bytes shall end up: `path`, or a name in it if it is a directory.
absl::StatusOr<Place> PutPlace(Client& client, const std::string& local, const std::string& path) {
  absl::StatusOr<Resolved> there = Follow(client, path);
  if (there.ok() && there->status.type == v1::DIRECTORY && local != "-")
    return Place{there->status.inode, there->path, LastPart(local)};
  if (!there.ok() && !HasReason(there.status(), v1::NO_ENTRY)) return there.status();
  return FindPlace(client, path);
}

absl::StatusOr<uint64_t> Upload(File& file, const LocalSource& source, Progress& progress) {
  uint64_t bytes = 0;
  size_t piece = std::min(kPieceBytes, file.max_record_bytes());
  while (true) {
    APPENDFS_ASSIGN_OR_RETURN(std::string data, ReadSome(source.fd(), piece, source.name()));
    if (data.empty()) break;
    // Flush below says what went wrong with any of them.
    file.AppendAsync(data, [](absl::StatusOr<FileOffset>) {});
    bytes += data.size();
    progress.Advance(data.size());
  }
  APPENDFS_RETURN_IF_ERROR(file.Flush());
  return bytes;
}

void Say(Output& output, const char* verb, const Transferred& done, const std::string& local) {
  if (!output.json) return;
  Json json{{"verb", verb}};
  AddBytes(json, "path", done.path);
  AddBytes(json, "local", local);
  json["bytes"] = done.bytes;
  output.out << ToText(json) << "\n";
}

absl::Status ToStdout(Client& client, const std::string& path, uint64_t offset, uint64_t length) {
  auto sink = [](std::string_view bytes) {
    return WriteAll(STDOUT_FILENO, bytes, "standard output");
  };
  // No bar where the bytes themselves go to the terminal.
  bool bar = Progress::Wanted() && isatty(STDOUT_FILENO) == 0;
  return Fetch(client, path, offset, length, sink, bar).status();
}

}  // namespace

absl::StatusOr<Transferred> Put(Client& client, const std::string& local, const std::string& path,
                                bool show_progress) {
  APPENDFS_ASSIGN_OR_RETURN(LocalSource source, LocalSource::Open(local));
  APPENDFS_ASSIGN_OR_RETURN(Place place, PutPlace(client, local, path));
  std::string target = Join(place.parent_path, place.name);
  absl::StatusOr<FileStatus> existing = client.Lookup(place.parent, place.name);
  if (existing.ok())
    return MakeError(v1::ENTRY_EXISTS,
                     StrCat(PrintableName(target),
                            ": file exists, and files are never overwritten; rm it first, or "
                            "use append to add to it"));
  if (!HasReason(existing.status(), v1::NO_ENTRY)) return About(target, existing.status());

  // Under a name of its own until it is whole; the client id makes it unique.
  std::string partial =
      StrCat(place.name.substr(0, 200), ".put-", client.id().value(), "-", getpid());
  NodeSpec spec{.mode = source.mode() & ~Umask(), .uid = geteuid(), .gid = getegid(), .open = true};
  auto made = client.MakeNode(place.parent, partial, spec);
  if (!made.ok()) return About(target, made.status());
  absl::StatusOr<uint64_t> bytes = [&]() -> absl::StatusOr<uint64_t> {
    APPENDFS_ASSIGN_OR_RETURN(auto file, client.OpenInode(made->status.inode, true));
    Progress progress(target, source.size(), show_progress);
    APPENDFS_ASSIGN_OR_RETURN(uint64_t sent, Upload(*file, source, progress));
    APPENDFS_RETURN_IF_ERROR(
        client.Rename(place.parent, partial, place.parent, place.name, {.no_replace = true}));
    return sent;
  }();
  if (!bytes.ok()) {
    client.Unlink(place.parent, partial).IgnoreError();
    return About(target, bytes.status());
  }
  return Transferred{std::move(target), *bytes};
}

absl::StatusOr<Transferred> Fetch(Client& client, const std::string& path, uint64_t offset,
                                  uint64_t length, Sink sink, bool show_progress) {
  APPENDFS_ASSIGN_OR_RETURN(Resolved resolved, Follow(client, path));
  if (resolved.status.type == v1::DIRECTORY)
    return MakeError(v1::IS_DIRECTORY, StrCat(PrintableName(path), ": is a directory"));
  auto file = client.OpenInode(resolved.status.inode);
  if (!file.ok()) return About(path, file.status());
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return About(path, size.status());
  offset = std::min(offset, *size);
  const uint64_t total = std::min(length, *size - offset);
  Progress progress(path, total, show_progress);
  uint64_t done = 0;
  while (done < total) {
    absl::StatusOr<Buffer> data =
        (*file)->Read(FileOffset(offset + done), std::min(kPieceBytes, total - done));
    if (!data.ok()) return About(path, data.status());
    if (data->empty())
      return MakeError(v1::INPUT_OUTPUT,
                       StrCat(PrintableName(path), ": ended at byte ", offset + done, ", ",
                              offset + total, " were promised"));
    APPENDFS_RETURN_IF_ERROR(sink(data->view()));
    done += data->size();
    progress.Advance(data->size());
  }
  return Transferred{std::move(resolved.path), done};
}

absl::StatusOr<Transferred> Get(Client& client, const std::string& path, const std::string& local,
                                bool show_progress) {
  // Ask first: a missing file must leave no trace here.
  APPENDFS_ASSIGN_OR_RETURN(Resolved resolved, Follow(client, path));
  std::string target = local.empty() ? LastPart(resolved.path) : local;
  struct stat st {};
  if (target != "-" && stat(target.c_str(), &st) == 0 && S_ISDIR(st.st_mode))
    target = StrCat(target, "/", LastPart(path));
  APPENDFS_ASSIGN_OR_RETURN(LocalTarget out, LocalTarget::Create(target));
  auto sink = [&out](std::string_view bytes) { return out.Write(bytes); };
  APPENDFS_ASSIGN_OR_RETURN(Transferred done,
                            Fetch(client, path, 0, kWholeFile, sink, show_progress));
  APPENDFS_RETURN_IF_ERROR(out.Commit());
  return done;
}

void AddTransferVerbs(CLI::App& app, Context& context) {
  struct Arguments {
    std::string from, to, offset, length;
    std::vector<std::string> paths;
  };
  auto put = std::make_shared<Arguments>();
  CLI::App* verb = AddVerb(app, context, "put", "Copy a local file to a new file", [&context, put] {
    return context.Run([put, &context](Client& client, Output& output) -> absl::Status {
      APPENDFS_ASSIGN_OR_RETURN(
          Transferred done, Put(client, put->from, put->to, Progress::Wanted() && !context.json));
      Say(output, "put", done, put->from);
      return absl::OkStatus();
    });
  });
  verb->add_option("LOCAL", put->from, "Local file, or - for standard input")->required();
  verb->add_option("PATH", put->to, "New file, or a directory to put it in")->required();

  auto get = std::make_shared<Arguments>();
  verb = AddVerb(app, context, "get", "Copy a file to a local one", [&context, get] {
    return context.Run([get, &context](Client& client, Output& output) -> absl::Status {
      APPENDFS_ASSIGN_OR_RETURN(
          Transferred done, Get(client, get->from, get->to, Progress::Wanted() && !context.json));
      if (get->to != "-") Say(output, "get", done, get->to);
      return absl::OkStatus();
    });
  });
  verb->add_option("PATH", get->from, "The file")->required();
  verb->add_option("LOCAL", get->to,
                   "Local file or directory, or - for standard output (default: its name here)");

  auto range = std::make_shared<Arguments>();
  verb = AddVerb(app, context, "getrange", "Print part of a file", [&context, range] {
    return context.Run([range](Client& client, Output&) -> absl::Status {
      APPENDFS_ASSIGN_OR_RETURN(uint64_t offset, ParseBytes(range->offset));
      APPENDFS_ASSIGN_OR_RETURN(uint64_t length, ParseBytes(range->length));
      return ToStdout(client, range->from, offset, length);
    });
  });
  verb->add_option("PATH", range->from, "The file")->required();
  verb->add_option("OFFSET", range->offset, "First byte, from 0; 4k, 1M, ... work")->required();
  verb->add_option("LENGTH", range->length, "Bytes; fewer only at the end of the file")->required();

  auto cat = std::make_shared<Arguments>();
  verb = AddVerb(app, context, "cat", "Print files", [&context, cat] {
    return context.RunForEach(cat->paths, [](Client& client, const std::string& path, Output&) {
      return ToStdout(client, path, 0, kWholeFile);
    });
  });
  verb->add_option("PATH", cat->paths, "Files")->required();
}

}  // namespace appendfs::cli
