// The AppendFS client library.
//
// Connect gives a Client: one session at the master, one appender per file and
// one stream per chunkserver, shared by every thread of the program. Paths are
// for programs; inodes are for the mount daemon.
//
//   auto client = appendfs::Client::Connect({.master = "logs.example:9400"});
//   auto file = (*client)->Open("/web/access.log", {.create = true});
//   absl::Status s = (*file)->Append("GET / 200\n");   // durable on two servers
//
// Errors are absl::Status with an appendfs::Reason (common/status.h); ToErrno
// turns them into errno. Every call ends by ClientOptions::timeout at the
// latest, and early if the thread's Interruption (common/interruption.h) is
// fired: INTERRUPTED, or IN_DOUBT for what may have been done. Everything here is
// thread-safe unless it says otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "client/append_queue.h"
#include "client/file_locks.h"
#include "common/buffer.h"
#include "common/ids.h"
#include "common/status.h"
#include "proto/types.pb.h"

namespace appendfs {

struct ClientOptions {
  std::string master =
      "localhost:9400";      // host:port; several separated by commas are tried in turn
  std::string cluster_uuid;  // expected cluster, or empty for any
  std::string description;   // shown to operators; default: program and host
  std::chrono::milliseconds timeout{30000};         // bound of every call
  std::chrono::milliseconds connect_timeout{5000};  // bound of Connect
  uint64_t queue_bytes =
      32ull << 20;  // appends not yet committed, all files; Append blocks above it
  uint64_t batch_bytes = 1ull << 20;      // largest batch sent
  uint64_t readahead_bytes = 8ull << 20;  // per file that is read sequentially
  // Keep names and attributes, until the master says that they have changed.
  bool keep_names = false;
};

// What stat(2) wants to know. Sizes are fresh: no smaller than any append that
// was acknowledged to anyone before the call began.
struct FileStatus {
  InodeId inode;
  v1::FileType type = v1::FILE_TYPE_UNSPECIFIED;
  uint32_t mode = 0;  // permission bits
  uint32_t nlink = 0;
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;                                  // bytes
  uint64_t atime_ns = 0, mtime_ns = 0, ctime_ns = 0;  // since the Unix epoch
  bool growing = false;  // a regular file whose last chunk is not sealed
};

struct AttributeChange {
  std::optional<uint32_t> mode, uid, gid;
  std::optional<uint64_t> atime_ns, mtime_ns;
  bool atime_now = false, mtime_now = false;
};

struct DirectoryEntry {
  std::string name;  // any bytes but '/' and NUL
  InodeId inode;
  v1::FileType type = v1::FILE_TYPE_UNSPECIFIED;
  std::optional<FileStatus> status;  // if asked for
  uint64_t ticket = 0;               // drawn before it was asked for
};

struct DirectoryPage {
  std::vector<DirectoryEntry> entries;  // rising by name, without "." and ".."
  bool end = false;
  InodeId parent;
};

struct NodeSpec {
  v1::FileType type = v1::REGULAR;
  uint32_t mode = 0644;
  uint32_t uid = 0, gid = 0;
  std::string symlink_target;
  bool exclusive = true;
  bool open = false;  // see Client::OpenInode
};

struct FileSystemStatus {
  uint64_t total_bytes = 0, available_bytes = 0;  // of user data
  uint64_t files = 0;
};

// The local file below a server is called File too (common/file_system.h);
// this namespace keeps the two apart for the linker. Say appendfs::File.
inline namespace sdk {

// A file of this client. There is one object per inode and client, whoever
// opens it, so that one client's appends to a file have one order.
class File {
 public:
  virtual ~File() = default;
  virtual InodeId inode() const = 0;

  // --- appending ---------------------------------------------------------
  // Told once per record, from a thread of the library, in the order of the
  // records: the file offset the record got once it is durable on a quorum,
  // or why it failed. After a definite failure everything queued behind it
  // fails too. Must not block and must not call back into the library.
  using Appended = absl::AnyInvocable<void(absl::StatusOr<FileOffset>) &&>;

  // Queues one record (1 byte to max_record_bytes()); it is in the file whole,
  // once, and never interleaved, or not at all. Records of this client keep
  // their order. Blocks only while the client's queue is full (until the
  // timeout at most: then the record fails TIMED_OUT). A stream of small records
  // that nobody flushes is sent every few milliseconds; who waits for one
  // calls FlushAsync after it. IN_DOUBT is the one failure after which a record
  // may be in the file (once). If the caller's thread is interrupted, also after
  // this call, the record is answered at once, maybe before earlier ones; in an
  // UnattendedScope only the wait for room ends.
  virtual void AppendAsync(std::string_view record, Appended done) = 0;
  // The same, only if the file ends at `expected` when it is appended
  // (EOF_MISMATCH otherwise).
  virtual void AppendAtAsync(FileOffset expected, std::string_view record, Appended done) = 0;
  // Runs `done` when everything queued before has been answered; at once, in
  // the caller's thread, if nothing is queued. Failures belong to the records'
  // own callbacks.
  virtual void FlushAsync(absl::AnyInvocable<void() &&> done) = 0;
  // Queue one record, wait for it. The offset it got.
  virtual absl::StatusOr<FileOffset> Append(std::string_view record) = 0;
  // Waits for everything queued; the first failure since the last Flush.
  virtual absl::Status Flush() = 0;
  virtual uint64_t max_record_bytes() const = 0;
  virtual uint64_t queued_bytes() const = 0;
  // Whether any of it was sent, and so may be in the file already.
  virtual bool in_doubt() const = 0;
  // Waits until the client's queue has room for a record of this size; the
  // next AppendAsync will hardly have to. TIMED_OUT or INTERRUPTED.
  virtual absl::Status AwaitRoom(uint64_t bytes) = 0;

  // --- reading -----------------------------------------------------------
  // Bytes at `offset`, at most `length`; fewer only at the end of the file, as
  // of the time of the call or later. Verified end to end; other replicas are
  // tried before it fails. Sequential readers are prefetched for. Does not
  // wait for this client's own queue (Flush first if you must).
  virtual absl::StatusOr<Buffer> Read(FileOffset offset, uint64_t length) = 0;
  // The committed size now, confirmed by the tail's primary.
  virtual absl::StatusOr<uint64_t> Size() = 0;
  virtual absl::StatusOr<FileStatus> Stat() = 0;
};

}  // namespace sdk

struct OpenOptions {
  bool create = false;
  bool exclusive = false;  // with create: must not exist
  uint32_t mode = 0644;
};

class Client {
 public:
  // Errors: UNREACHABLE (names the master and how to start one),
  // WRONG_CLUSTER, VERSION_MISMATCH.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);
  // Flushes nothing; ends the session. Files must be released before.
  virtual ~Client() = default;

  virtual ClientId id() const = 0;
  virtual std::string cluster_uuid() const = 0;
  virtual const ClientOptions& options() const = 0;

  // --- by path (absolute; at most 40 symlinks are followed) ------------------
  // Resolve does not follow a symlink that is the last component; Open does.
  virtual absl::StatusOr<FileStatus> Resolve(std::string_view path) = 0;
  virtual absl::StatusOr<std::shared_ptr<File>> Open(std::string_view path,
                                                     const OpenOptions& options) = 0;

  // --- by inode ------------------------------------------------------------
  // What a name means. The size of a growing file is the largest this client
  // has seen, for names must work while no server can tell: Stat asks for it.
  virtual absl::StatusOr<FileStatus> Lookup(InodeId parent, std::string_view name) = 0;
  virtual absl::StatusOr<FileStatus> Stat(InodeId inode) = 0;

  // For who hands on what Lookup, Stat and ReadDirectory answered, to others
  // who will believe it without asking: how long they may, or until the
  // Borrower is told. `ticket` was drawn before the question was asked. Zero:
  // not at all.
  class Borrower {
   public:
    virtual ~Borrower() = default;
    // The attributes of the inodes have changed, and what the names in them
    // mean. Who changed them waits for `taken_back`, a second at most; from any
    // thread, in the order of the calls. Must not block or call the library.
    virtual void OnChanged(const std::vector<InodeId>& inodes,
                           absl::AnyInvocable<void() &&> taken_back) = 0;
    virtual void OnLost() = 0;  // everything may have
  };
  // Null: nobody; then no call to the last one is under way.
  virtual void SetBorrower(Borrower*) {}
  virtual bool Lends() const { return false; }  // ever
  virtual uint64_t DrawTicket() const { return 0; }
  virtual std::chrono::nanoseconds LendStatus(uint64_t /*ticket*/, InodeId) const { return {}; }
  virtual std::chrono::nanoseconds LendName(uint64_t /*ticket*/, InodeId /*parent*/,
                                            std::string_view /*name*/, InodeId) const {
    return {};
  }

  virtual absl::StatusOr<FileStatus> SetAttributes(InodeId inode,
                                                   const AttributeChange& change) = 0;
  struct Made {
    FileStatus status;
    bool created = false;
  };
  virtual absl::StatusOr<Made> MakeNode(InodeId parent, std::string_view name,
                                        const NodeSpec& spec) = 0;
  virtual absl::StatusOr<std::string> ReadLink(InodeId inode) = 0;
  virtual absl::StatusOr<FileStatus> Link(InodeId inode, InodeId parent, std::string_view name) = 0;
  virtual absl::Status Unlink(InodeId parent, std::string_view name) = 0;
  virtual absl::Status RemoveDirectory(InodeId parent, std::string_view name) = 0;
  struct RenameFlags {
    bool no_replace = false, exchange = false;
  };
  virtual absl::Status Rename(InodeId parent, std::string_view name, InodeId new_parent,
                              std::string_view new_name, RenameFlags flags) = 0;
  // Entries with names above `after`; stable under change. If the library keeps
  // names, the sizes of growing files are as Lookup tells them.
  virtual absl::StatusOr<DirectoryPage> ReadDirectory(InodeId inode, std::string_view after,
                                                      uint32_t limit, bool with_status) = 0;
  virtual absl::StatusOr<FileSystemStatus> StatFs() = 0;

  // Extended attributes of files and directories: names that begin with
  // "user.", at most 64 KiB per inode in all. NO_ATTRIBUTE, ENTRY_EXISTS and
  // NO_SPACE as setxattr(2) has them.
  virtual absl::StatusOr<std::string> GetXattr(InodeId inode, std::string_view name) = 0;
  virtual absl::StatusOr<std::vector<std::string>> ListXattrs(InodeId inode) = 0;
  struct XattrFlags {
    bool create = false, replace = false;
  };
  virtual absl::Status SetXattr(InodeId inode, std::string_view name, std::string_view value,
                                XattrFlags flags) = 0;
  virtual absl::Status RemoveXattr(InodeId inode, std::string_view name) = 0;
  // A regular file's chunks in order, with where their replicas are now (an
  // empty address: the server is not connected). Asks the master, for people.
  virtual absl::StatusOr<std::vector<v1::Chunk>> Chunks(InodeId inode) = 0;

  // Registers the inode as open at the master (so it outlives its names) until
  // the last File object of it is gone. `already_registered`: MakeNode with
  // spec.open did it.
  virtual absl::StatusOr<std::shared_ptr<File>> OpenInode(InodeId inode,
                                                          bool already_registered = false) = 0;

  // flock(2) and fcntl(2).
  virtual FileLocks& locks() = 0;

  // --- for operators; neither waits for anything -----------------------------
  // The files that have something queued, the longest waiting first.
  virtual std::vector<AppendQueueReport> AppendQueues() const = 0;
  // Ends everything queued, of all files: what was sent is in doubt, the rest
  // fails with `why`. The client goes on.
  virtual AppendsGivenUp GiveUpAppends(const absl::Status& why) = 0;
};

// Follows a growing file record by record, as `tail -f` does. A record ends
// with `delimiter`; one that has not ended yet is not returned. Not
// thread-safe.
//
//   RecordReader reader(file, {.start = size});
//   while (auto record = reader.Next(std::chrono::seconds(1))) ...
class RecordReader {
 public:
  struct Options {
    FileOffset start;
    char delimiter = '\n';
    uint64_t max_record_bytes = 16ull << 20;  // a longer one is TOO_LARGE
    std::chrono::milliseconds poll{20};       // how often the end is asked for
  };
  RecordReader(std::shared_ptr<File> file, Options options);

  struct Record {
    std::string bytes;  // with its delimiter
    FileOffset offset;
  };
  // The next record; nullopt if none was complete within `wait`.
  absl::StatusOr<std::optional<Record>> Next(std::chrono::milliseconds wait);
  // Where the next record begins.
  FileOffset position() const { return position_; }

 private:
  const std::shared_ptr<File> file_;
  const Options options_;
  FileOffset position_;
  std::string pending_;  // bytes read; those from begin_ on are at position_
  size_t begin_ = 0;
  size_t scanned_ = 0;  // up to here, from begin_ on, there is no delimiter
};

}  // namespace appendfs
