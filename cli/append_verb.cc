#include "cli/append_verb.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <deque>
#include <iostream>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/local_io.h"
#include "cli/paths.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

constexpr size_t kReadBytes = 256 << 10;

// Collects the library's answers, which come on its threads and must not wait
// for a slow terminal: a thread of its own prints them.
class Receipts {
 public:
  Receipts(const AppendOptions& options, Output& output)
      : verbose_(options.verbose), output_(output), printer_([this] { Print(); }) {}
  ~Receipts() { Finish(); }

  void Add(uint64_t record, uint64_t bytes, absl::StatusOr<FileOffset> offset) {
    absl::MutexLock lock(&mutex_);
    if (!offset.ok()) {
      if (failure_.ok())
        failure_ = MakeError(ReasonOf(offset.status()),
                             StrCat("record ", record, ": ", offset.status().message()));
      return;
    }
    if (!first_) first_ = *offset;
    end_ = *offset + bytes;
    ++records_;
    bytes_ += bytes;
    if (verbose_) pending_.push_back({record, bytes, *offset});
  }

  bool failed() {
    absl::MutexLock lock(&mutex_);
    return !failure_.ok();
  }

  // Waits until everything is printed. Call it after the last answer.
  void Finish() {
    {
      absl::MutexLock lock(&mutex_);
      finished_ = true;
    }
    if (printer_.joinable()) printer_.join();
  }

  absl::Status Summary(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    if (output_.json) {
      Json json;
      AddBytes(json, "path", path);
      json["records"] = records_;
      json["bytes"] = bytes_;
      if (first_) {
        json["first_offset"] = first_->bytes();
        json["end_offset"] = end_.bytes();
      }
      output_.out << ToText(json) << std::endl;
    }
    return failure_;
  }

 private:
  struct Receipt {
    uint64_t record, bytes;
    FileOffset offset;
  };

  void Print() {
    while (true) {
      std::deque<Receipt> batch;
      {
        absl::MutexLock lock(&mutex_);
        auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
          return finished_ || !pending_.empty();
        };
        mutex_.Await(absl::Condition(&ready));
        if (pending_.empty()) return;
        batch.swap(pending_);
      }
      for (const Receipt& receipt : batch) {
        if (output_.json)
          output_.out << ToText({{"record", receipt.record},
                                 {"offset", receipt.offset.bytes()},
                                 {"bytes", receipt.bytes}})
                      << "\n";
        else
          output_.out << receipt.record << " " << receipt.offset << " " << receipt.bytes << "\n";
      }
      output_.out.flush();
    }
  }

  const bool verbose_;
  Output& output_;
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Receipt> pending_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  uint64_t records_ ABSL_GUARDED_BY(mutex_) = 0, bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<FileOffset> first_ ABSL_GUARDED_BY(mutex_);
  FileOffset end_ ABSL_GUARDED_BY(mutex_);
  std::thread printer_;  // last: it uses all of the above
};

// Cuts input into records and queues them as they come.
class Splitter {
 public:
  Splitter(File& file, bool whole, Receipts& receipts)
      : file_(file), whole_(whole), receipts_(receipts) {}

  absl::Status Take(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t end = whole_ ? bytes.npos : bytes.find('\n');
      size_t length = end == bytes.npos ? bytes.size() : end + 1;
      record_.append(bytes.substr(0, length));
      bytes.remove_prefix(length);
      if (record_.size() > file_.max_record_bytes())
        return MakeError(v1::TOO_LARGE, StrCat("record ", count_ + 1, " is longer than ",
                                               HumanBytes(file_.max_record_bytes()),
                                               ", the most that one ", "append can hold"));
      if (end != bytes.npos) Send();
    }
    return absl::OkStatus();
  }
  // The rest, which has no newline at its end.
  void End() {
    if (!record_.empty()) Send();
  }

 private:
  void Send() {
    uint64_t number = ++count_, bytes = record_.size();
    file_.AppendAsync(record_, [this, number, bytes](absl::StatusOr<FileOffset> offset) {
      receipts_.Add(number, bytes, std::move(offset));
    });
    record_.clear();
  }

  File& file_;
  const bool whole_;
  Receipts& receipts_;
  std::string record_;
  uint64_t count_ = 0;
};

absl::StatusOr<std::shared_ptr<File>> OpenForAppend(Client& client, const std::string& path,
                                                    bool create) {
  absl::StatusOr<Resolved> there = Follow(client, path);
  if (there.ok() && there->status.type == v1::DIRECTORY)
    return MakeError(v1::IS_DIRECTORY, StrCat(PrintableName(path), ": is a directory"));
  if (there.ok()) return client.OpenInode(there->status.inode);
  if (!create || !HasReason(there.status(), v1::NO_ENTRY)) return there.status();
  APPENDFS_ASSIGN_OR_RETURN(Place place, FindPlace(client, path));
  mode_t mask = umask(0);
  umask(mask);
  NodeSpec spec{
      .mode = 0666 & ~mask, .uid = geteuid(), .gid = getegid(), .exclusive = false, .open = true};
  APPENDFS_ASSIGN_OR_RETURN(Client::Made made, client.MakeNode(place.parent, place.name, spec));
  return client.OpenInode(made.status.inode, true);
}

}  // namespace

absl::Status AppendAll(Client& client, int fd, const std::string& path,
                       const AppendOptions& options, Output& output) {
  auto file = OpenForAppend(client, path, !options.no_create);
  if (!file.ok()) return About(path, file.status());
  Receipts receipts(options, output);
  Splitter splitter(**file, options.whole, receipts);
  absl::Status input;
  while (input.ok() && !receipts.failed()) {
    absl::StatusOr<std::string> bytes = ReadSome(fd, kReadBytes, "standard input");
    if (!bytes.ok()) input = bytes.status();
    if (!bytes.ok() || bytes->empty()) break;
    input = splitter.Take(*bytes);
  }
  if (input.ok()) splitter.End();
  absl::Status flushed = (*file)->Flush();
  receipts.Finish();
  absl::Status appended = receipts.Summary(path);
  if (appended.ok()) appended = flushed;
  return About(path, appended.ok() ? input : appended);
}

void AddAppendVerb(CLI::App& app, Context& context) {
  struct Arguments {
    std::string path;
    AppendOptions options;
  };
  auto append = std::make_shared<Arguments>();
  CLI::App* verb =
      AddVerb(app, context, "append", "Append standard input to a file, each line as one record",
              [&context, append] {
                return context.Run([append](Client& client, Output& output) {
                  return AppendAll(client, STDIN_FILENO, append->path, append->options, output);
                });
              });
  verb->add_flag("--whole", append->options.whole, "All of the input is one record");
  verb->add_flag("--no-create", append->options.no_create, "The file must exist");
  verb->add_flag("-v,--verbose", append->options.verbose,
                 "Print number, offset and length of each record once it is durable");
  verb->add_option("PATH", append->path, "The file; made if it is not there")->required();
}

}  // namespace appendfs::cli
