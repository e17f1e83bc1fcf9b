#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "client/appendfs.h"
#include "common/str_cat.h"
#include "tests/client/free_locks.h"

namespace appendfs::cli {

// A namespace in memory, as far as the verbs use one: no permissions, no time,
// answers at once. Single-threaded.
class FakeClient final : public Client {
 public:
  struct Node {
    FileStatus status;
    std::string bytes, target;
    std::map<std::string, uint64_t> entries;
    uint64_t parent = 1;
    int appends = 0;  // records taken
  };

  class FakeFile final : public File {
   public:
    FakeFile(FakeClient& client, InodeId inode) : client_(client), inode_(inode) {}
    InodeId inode() const override { return inode_; }
    void AppendAsync(std::string_view record, Appended done) override {
      std::move(done)(Append(record));
    }
    void AppendAtAsync(FileOffset expected, std::string_view record, Appended done) override {
      if (expected.bytes() != node().bytes.size())
        return std::move(done)(MakeError(v1::EOF_MISMATCH, "not the end"));
      AppendAsync(record, std::move(done));
    }
    void FlushAsync(absl::AnyInvocable<void() &&> done) override { std::move(done)(); }
    absl::StatusOr<FileOffset> Append(std::string_view record) override {
      if (failure_.ok() && node().appends == client_.fail_after_appends)
        failure_ = MakeError(v1::QUORUM_LOST, "two servers are away");
      if (!failure_.ok()) return failure_;
      ++node().appends;
      FileOffset offset(node().bytes.size());
      node().bytes += record;
      return offset;
    }
    absl::Status Flush() override { return std::exchange(failure_, absl::OkStatus()); }
    uint64_t max_record_bytes() const override { return client_.max_record_bytes; }
    uint64_t queued_bytes() const override { return 0; }
    bool in_doubt() const override { return false; }
    absl::Status AwaitRoom(uint64_t) override { return absl::OkStatus(); }
    absl::StatusOr<Buffer> Read(FileOffset offset, uint64_t length) override {
      const std::string& bytes = node().bytes;
      return Buffer::From(bytes.substr(std::min<size_t>(offset.bytes(), bytes.size()), length));
    }
    absl::StatusOr<uint64_t> Size() override { return node().bytes.size(); }
    absl::StatusOr<FileStatus> Stat() override { return client_.Stat(inode_); }

   private:
    Node& node() const { return client_.nodes.at(inode_.value()); }
    FakeClient& client_;
    const InodeId inode_;
    absl::Status failure_;
  };

  FakeClient() {
    Node& root = nodes[1];
    root.status.inode = kRootInode;
    root.status.type = v1::DIRECTORY;
    root.status.mode = 0755;
    root.status.nlink = 2;
  }

  // Makes a file at "/name" or "/dir/name" (the directory must exist).
  Node& Add(const std::string& path, std::string bytes, v1::FileType type = v1::REGULAR) {
    size_t slash = path.rfind('/');
    InodeId parent = slash == 0 ? kRootInode : Resolve(path.substr(0, slash))->inode;
    NodeSpec spec{.type = type};
    if (type == v1::SYMLINK) spec.symlink_target = bytes;
    Node& node = nodes.at(MakeNode(parent, path.substr(slash + 1), spec)->status.inode.value());
    if (type == v1::REGULAR) node.bytes = std::move(bytes);
    return node;
  }
  bool Has(const std::string& path) { return Resolve(path).ok(); }
  std::string Contents(const std::string& path) {
    return nodes.at(Resolve(path)->inode.value()).bytes;
  }

  ClientId id() const override { return ClientId(7); }
  std::string cluster_uuid() const override { return "fake"; }
  const ClientOptions& options() const override { return options_; }

  absl::StatusOr<FileStatus> Resolve(std::string_view path) override {
    InodeId at = kRootInode;
    while (!path.empty()) {
      std::string_view part = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(path.size(), part.size() + 1));
      if (part.empty()) continue;
      Node& node = nodes.at(at.value());
      if (node.status.type == v1::SYMLINK) {
        APPENDFS_ASSIGN_OR_RETURN(FileStatus target, Resolve(node.target));
        at = target.inode;
      }
      APPENDFS_ASSIGN_OR_RETURN(FileStatus next, Lookup(at, part));
      at = next.inode;
    }
    return Stat(at);
  }
  absl::StatusOr<std::shared_ptr<File>> Open(std::string_view path, const OpenOptions&) override {
    APPENDFS_ASSIGN_OR_RETURN(FileStatus status, Resolve(path));
    return OpenInode(status.inode, false);
  }
  absl::StatusOr<FileStatus> Lookup(InodeId parent, std::string_view name) override {
    const Node& directory = nodes.at(parent.value());
    if (directory.status.type != v1::DIRECTORY)
      return MakeError(v1::NOT_DIRECTORY, "not a directory");
    auto entry = directory.entries.find(std::string(name));
    if (entry == directory.entries.end())
      return MakeError(v1::NO_ENTRY, "no such file or directory");
    return Stat(InodeId(entry->second));
  }
  absl::StatusOr<FileStatus> Stat(InodeId inode) override {
    auto node = nodes.find(inode.value());
    if (node == nodes.end()) return MakeError(v1::NO_ENTRY, "no such inode");
    FileStatus status = node->second.status;
    status.size = status.type == v1::REGULAR ? node->second.bytes.size() : 0;
    return status;
  }
  absl::StatusOr<FileStatus> SetAttributes(InodeId inode, const AttributeChange&) override {
    return Stat(inode);
  }
  absl::StatusOr<Made> MakeNode(InodeId parent, std::string_view name,
                                const NodeSpec& spec) override {
    absl::StatusOr<FileStatus> existing = Lookup(parent, name);
    if (existing.ok() && spec.exclusive) return MakeError(v1::ENTRY_EXISTS, "file exists");
    if (existing.ok()) return Made{*existing, false};
    if (!HasReason(existing.status(), v1::NO_ENTRY)) return existing.status();
    InodeId inode(++last_inode_);
    Node& node = nodes[inode.value()];
    node.status.inode = inode;
    node.status.type = spec.type;
    node.status.mode = spec.mode;
    node.status.nlink = 1;
    node.target = spec.symlink_target;
    node.parent = parent.value();
    nodes.at(parent.value()).entries[std::string(name)] = inode.value();
    return Made{*Stat(inode), true};
  }
  absl::StatusOr<std::string> ReadLink(InodeId inode) override {
    return nodes.at(inode.value()).target;
  }
  absl::StatusOr<FileStatus> Link(InodeId inode, InodeId parent, std::string_view name) override {
    nodes.at(parent.value()).entries[std::string(name)] = inode.value();
    return Stat(inode);
  }
  absl::Status Unlink(InodeId parent, std::string_view name) override {
    APPENDFS_ASSIGN_OR_RETURN(FileStatus status, Lookup(parent, name));
    if (status.type == v1::DIRECTORY) return MakeError(v1::IS_DIRECTORY, "is a directory");
    nodes.at(parent.value()).entries.erase(std::string(name));
    return absl::OkStatus();
  }
  absl::Status RemoveDirectory(InodeId parent, std::string_view name) override {
    APPENDFS_ASSIGN_OR_RETURN(FileStatus status, Lookup(parent, name));
    if (!nodes.at(status.inode.value()).entries.empty())
      return MakeError(v1::DIRECTORY_NOT_EMPTY, "directory not empty");
    nodes.at(parent.value()).entries.erase(std::string(name));
    return absl::OkStatus();
  }
  absl::Status Rename(InodeId parent, std::string_view name, InodeId new_parent,
                      std::string_view new_name, RenameFlags flags) override {
    APPENDFS_ASSIGN_OR_RETURN(FileStatus status, Lookup(parent, name));
    if (flags.no_replace && Lookup(new_parent, new_name).ok())
      return MakeError(v1::ENTRY_EXISTS, "file exists");
    nodes.at(parent.value()).entries.erase(std::string(name));
    nodes.at(new_parent.value()).entries[std::string(new_name)] = status.inode.value();
    return absl::OkStatus();
  }
  absl::StatusOr<DirectoryPage> ReadDirectory(InodeId inode, std::string_view after, uint32_t limit,
                                              bool with_status) override {
    DirectoryPage page;
    const auto& entries = nodes.at(inode.value()).entries;
    auto entry = entries.upper_bound(std::string(after));
    for (; entry != entries.end() && page.entries.size() < std::min(limit, page_limit); ++entry) {
      FileStatus status = *Stat(InodeId(entry->second));
      page.entries.push_back({entry->first, status.inode, status.type, std::nullopt});
      if (with_status) page.entries.back().status = status;
    }
    page.end = entry == entries.end();
    return page;
  }
  absl::StatusOr<FileSystemStatus> StatFs() override {
    return FileSystemStatus{.total_bytes = 4096, .available_bytes = 1024, .files = nodes.size()};
  }
  absl::StatusOr<std::string> GetXattr(InodeId, std::string_view) override { return Unused(); }
  absl::StatusOr<std::vector<std::string>> ListXattrs(InodeId) override { return Unused(); }
  absl::Status SetXattr(InodeId, std::string_view, std::string_view, XattrFlags) override {
    return Unused();
  }
  absl::Status RemoveXattr(InodeId, std::string_view) override { return Unused(); }
  absl::StatusOr<std::vector<v1::Chunk>> Chunks(InodeId) override { return Unused(); }
  absl::StatusOr<std::shared_ptr<File>> OpenInode(InodeId inode, bool) override {
    return std::make_shared<FakeFile>(*this, inode);
  }
  FileLocks& locks() override { return locks_; }
  std::vector<AppendQueueReport> AppendQueues() const override { return {}; }
  AppendsGivenUp GiveUpAppends(const absl::Status&) override { return {}; }

  std::map<uint64_t, Node> nodes;
  uint64_t max_record_bytes = 1000;
  uint32_t page_limit = 3;      // so that paging is seen
  int fail_after_appends = -1;  // QUORUM_LOST for everything after so many

 private:
  static absl::Status Unused() { return MakeError(v1::NOT_SUPPORTED, "no verb needs it"); }

  ClientOptions options_;
  FreeLocks locks_;
  uint64_t last_inode_ = 1;
};

}  // namespace appendfs::cli
