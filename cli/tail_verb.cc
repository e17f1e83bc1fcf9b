#include "cli/tail_verb.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/format.h"
#include "cli/json.h"
#include "cli/paths.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr uint64_t kBlockBytes = 64 << 10;
constexpr uint64_t kPieceBytes = 1 << 20;

std::string LineObject(FileOffset offset, std::string_view line) {
  Json json{{"offset", offset.bytes()}, {"bytes", line.size()}};
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  AddBytes(json, "text", line);
  return ToText(json) + "\n";
}

// Bytes from `start` to `size` as they are, or as one object per line.
absl::Status PrintRest(File& file, FileOffset start, uint64_t size, bool json, Sink sink) {
  std::string line;  // with JSON: what has no newline yet
  FileOffset at = start;
  while (at.bytes() < size) {
    APPENDFS_ASSIGN_OR_RETURN(Buffer data, file.Read(at, std::min(kPieceBytes, size - at.bytes())));
    if (data.empty()) return MakeError(v1::INPUT_OUTPUT, "ended before its size");
    at = at + data.size();
    if (!json) {
      APPENDFS_RETURN_IF_ERROR(sink(data.view()));
      continue;
    }
    for (char c : data.view()) {
      line += c;
      if (c != '\n') continue;
      APPENDFS_RETURN_IF_ERROR(sink(LineObject(start, line)));
      start = start + line.size();
      line.clear();
    }
  }
  return line.empty() ? absl::OkStatus() : sink(LineObject(start, line));
}

absl::Status FollowLines(std::shared_ptr<File> file, FileOffset start, bool json, Sink sink,
                         const std::function<bool()>& stop) {
  RecordReader reader(std::move(file), {.start = start});
  while (!stop()) {
    absl::StatusOr<std::optional<RecordReader::Record>> record =
        reader.Next(std::chrono::seconds(1));
    // The cluster is away for a while: that is what following is for.
    if (!record.ok() && IsTransient(record.status())) continue;
    if (!record.ok()) return record.status();
    if (!*record) continue;
    APPENDFS_RETURN_IF_ERROR(
        sink(json ? LineObject((*record)->offset, (*record)->bytes) : (*record)->bytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileOffset> FindLastLines(File& file, uint64_t size, uint64_t lines) {
  if (lines == 0 || size == 0) return FileOffset(size);
  uint64_t end = size;
  while (end > 0) {
    uint64_t begin = end - std::min(end, kBlockBytes);
    APPENDFS_ASSIGN_OR_RETURN(Buffer block, file.Read(FileOffset(begin), end - begin));
    if (block.size() != end - begin) return MakeError(v1::INPUT_OUTPUT, "ended before its size");
    std::string_view bytes = block.view();
    if (end == size) bytes.remove_suffix(1);  // the last line's own newline, or a byte of it
    for (size_t i = bytes.size(); i-- > 0;)
      if (bytes[i] == '\n' && --lines == 0) return FileOffset(begin + i + 1);
    end = begin;
  }
  return FileOffset(0);
}

absl::Status Tail(Client& client, const std::string& path, const TailOptions& options, bool json,
                  Sink sink, const std::function<bool()>& stop) {
  APPENDFS_ASSIGN_OR_RETURN(Resolved resolved, cli::Follow(client, path));
  if (resolved.status.type == v1::DIRECTORY)
    return MakeError(v1::IS_DIRECTORY, StrCat(PrintableName(path), ": is a directory"));
  auto file = client.OpenInode(resolved.status.inode);
  if (!file.ok()) return About(path, file.status());
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return About(path, size.status());
  absl::StatusOr<FileOffset> start = FindLastLines(**file, *size, options.lines);
  if (!start.ok()) return About(path, start.status());
  return About(path, options.follow ? FollowLines(*file, *start, json, sink, stop)
                                    : PrintRest(**file, *start, *size, json, sink));
}

void AddTailVerb(CLI::App& app, Context& context) {
  struct Arguments {
    std::string path;
    TailOptions options;
  };
  auto tail = std::make_shared<Arguments>();
  CLI::App* verb =
      AddVerb(app, context, "tail", "Print the last lines of a file", [&context, tail] {
        return context.Run([tail](Client& client, Output& output) {
          auto sink = [](std::string_view bytes) {
            return WriteAll(STDOUT_FILENO, bytes, "standard output");
          };
          return Tail(client, tail->path, tail->options, output.json, sink, [] { return false; });
        });
      });
  verb->add_flag("-f,--follow", tail->options.follow, "Go on with what is appended");
  verb->add_option("-n,--lines", tail->options.lines, "How many lines")->capture_default_str();
  verb->add_option("PATH", tail->path, "The file")->required();
}

}  // namespace appendfs::cli
