#include "tests/fuse/fake_client.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/interruption.h"

namespace appendfs::fuse {
namespace {

absl::Status NoEntry() { return MakeError(v1::NO_ENTRY, "no such name or inode"); }

}  // namespace

class FakeFile final : public File {
 public:
  FakeFile(FakeClient& client, InodeId inode) : client_(client), inode_(inode) {
    absl::MutexLock lock(&client_.mutex_);
    ++client_.open_files_;
  }
  ~FakeFile() override {
    absl::MutexLock lock(&client_.mutex_);
    --client_.open_files_;
    auto node = client_.nodes_.find(inode_);
    if (node != client_.nodes_.end() && node->second->status.nlink == 0) client_.nodes_.erase(node);
  }

  InodeId inode() const override { return inode_; }
  void AppendAsync(std::string_view record, Appended done) override {
    client_.Enqueue({inode_, std::string(record), std::nullopt, std::move(done), nullptr});
  }
  void AppendAtAsync(FileOffset expected, std::string_view record, Appended done) override {
    client_.Enqueue({inode_, std::string(record), expected, std::move(done), nullptr});
  }
  void FlushAsync(absl::AnyInvocable<void() &&> done) override {
    client_.Enqueue({inode_, "", std::nullopt, nullptr, std::move(done)});
  }
  absl::StatusOr<FileOffset> Append(std::string_view record) override {
    absl::StatusOr<FileOffset> result;
    absl::Notification done;
    AppendAsync(record, [&](absl::StatusOr<FileOffset> at) {
      result = std::move(at);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  absl::Status Flush() override {
    absl::Notification done;
    FlushAsync([&] { done.Notify(); });
    done.WaitForNotification();
    return absl::OkStatus();
  }
  uint64_t max_record_bytes() const override { return FakeClient::kMaxRecordBytes; }
  uint64_t queued_bytes() const override {
    absl::MutexLock lock(&client_.mutex_);
    return client_.nodes_.at(inode_)->queued_bytes;
  }
  bool in_doubt() const override { return false; }
  absl::Status AwaitRoom(uint64_t) override { return InterruptionStatus(); }
  absl::StatusOr<Buffer> Read(FileOffset offset, uint64_t length) override {
    const std::string content = client_.Content(inode_);
    if (offset.bytes() >= content.size()) return Buffer();
    return Buffer::From(content.substr(offset.bytes(), length));
  }
  absl::StatusOr<uint64_t> Size() override { return client_.Content(inode_).size(); }
  absl::StatusOr<FileStatus> Stat() override { return client_.Stat(inode_); }

 private:
  FakeClient& client_;
  const InodeId inode_;
};

FakeClient::FakeClient() : executor_(MakeThreadExecutor("fake")) {
  absl::MutexLock lock(&mutex_);
  auto root = std::make_unique<Node>();
  root->status = {.inode = kRootInode, .type = v1::DIRECTORY, .mode = 0755, .nlink = 2};
  root->parent = kRootInode;
  nodes_[kRootInode] = std::move(root);
}

FakeClient::~FakeClient() { executor_.reset(); }

void FakeClient::HoldQueue() {
  absl::MutexLock lock(&mutex_);
  held_ = true;
}

void FakeClient::LetQueueGo() {
  {
    absl::MutexLock lock(&mutex_);
    held_ = false;
  }
  executor_->Post([this] { Drain(); });
}

void FakeClient::FailNextRecord(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  next_failure_ = std::move(status);
}

void FakeClient::AwaitAnswers() {
  absl::Notification answered;
  executor_->Post([&answered] { answered.Notify(); });
  answered.WaitForNotification();
}

void FakeClient::BeforeNextOpen(absl::AnyInvocable<void() &&> action) {
  absl::MutexLock lock(&mutex_);
  before_open_ = std::move(action);
}

void FakeClient::AppendElsewhere(InodeId inode, std::string_view bytes) {
  absl::MutexLock lock(&mutex_);
  nodes_.at(inode)->content += bytes;
}

std::string FakeClient::Content(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  return nodes_.at(inode)->content;
}

FileStatus FakeClient::StatusOf(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  return nodes_.at(inode)->status;
}

uint64_t FakeClient::open_files() const {
  absl::MutexLock lock(&mutex_);
  return open_files_;
}

uint64_t FakeClient::directory_reads() const {
  absl::MutexLock lock(&mutex_);
  return directory_reads_;
}

void FakeClient::Enqueue(Item item) {
  Interruption* const interruption = Interruption::OfWorkHandedOn();
  const bool record = bool(item.appended);
  uint64_t id = 0;
  {
    absl::MutexLock lock(&mutex_);
    id = item.id = next_item_++;
    // Nobody waits for a queue that has nothing of the file.
    if (held_ && !record && nodes_.at(item.inode)->queued_bytes == 0) {
      executor_->Post(std::move(item.flushed));
      return;
    }
    nodes_.at(item.inode)->queued_bytes += item.record.size();
    queue_.push_back(std::move(item));
  }
  executor_->Post([this] { Drain(); });
  if (record && interruption != nullptr)
    interruption->Add([this, id, interruption] { Withdraw(id, interruption->status()); });
}

void FakeClient::Withdraw(uint64_t id, const absl::Status& why) {
  Item item;
  {
    absl::MutexLock lock(&mutex_);
    auto found =
        std::find_if(queue_.begin(), queue_.end(), [id](const Item& one) { return one.id == id; });
    if (found == queue_.end()) return;
    item = std::move(*found);
    queue_.erase(found);
    nodes_.at(item.inode)->queued_bytes -= item.record.size();
  }
  std::move(item.appended)(why);
}

std::vector<AppendQueueReport> FakeClient::AppendQueues() const {
  absl::MutexLock lock(&mutex_);
  std::map<InodeId, AppendQueueReport> reports;
  for (const Item& item : queue_) {
    if (!item.appended) continue;
    AppendQueueReport& report = reports[item.inode];
    report.inode = item.inode;
    ++report.records;
    report.bytes += item.record.size();
  }
  std::vector<AppendQueueReport> all;
  for (auto& [inode, report] : reports) all.push_back(report);
  return all;
}

AppendsGivenUp FakeClient::GiveUpAppends(const absl::Status& why) {
  AppendsGivenUp all;
  std::deque<Item> items;
  {
    absl::MutexLock lock(&mutex_);
    items.swap(queue_);
    for (const Item& item : items) nodes_.at(item.inode)->queued_bytes -= item.record.size();
  }
  for (Item& item : items) {
    if (item.flushed) {
      std::move(item.flushed)();
      continue;
    }
    ++all.records;
    all.bytes += item.record.size();
    std::move(item.appended)(why);
  }
  return all;
}

void FakeClient::Drain() {
  for (;;) {
    Item item;
    absl::StatusOr<FileOffset> outcome;
    {
      absl::MutexLock lock(&mutex_);
      if (held_ || queue_.empty()) return;
      item = std::move(queue_.front());
      queue_.pop_front();
      Node& node = *nodes_.at(item.inode);
      if (item.appended) {
        node.queued_bytes -= item.record.size();
        if (!next_failure_.ok())
          failing_[item.inode] = std::exchange(next_failure_, absl::OkStatus());
        if (item.expected && item.expected->bytes() != node.content.size() &&
            failing_[item.inode].ok())
          failing_[item.inode] = MakeError(v1::EOF_MISMATCH, "not the end");
        if (failing_[item.inode].ok()) {
          outcome = FileOffset(node.content.size());
          node.content += item.record;
          node.status.mtime_ns = ++clock_ns_;
        } else {
          outcome = failing_[item.inode];
        }
      }
      if (node.queued_bytes == 0) failing_.erase(item.inode);
    }
    if (item.appended) {
      std::move(item.appended)(std::move(outcome));
    } else {
      std::move(item.flushed)();
    }
  }
}

absl::StatusOr<FakeClient::Node*> FakeClient::Find(InodeId inode) {
  auto node = nodes_.find(inode);
  if (node == nodes_.end()) return NoEntry();
  return node->second.get();
}

absl::StatusOr<FakeClient::Node*> FakeClient::FindEntry(InodeId parent, std::string_view name) {
  APPENDFS_ASSIGN_OR_RETURN(Node* const directory, Find(parent));
  auto entry = directory->entries.find(name);
  if (entry == directory->entries.end()) return NoEntry();
  return Find(entry->second);
}

void FakeClient::DropLink(Node& node) {
  node.status.nlink -= node.status.type == v1::DIRECTORY ? 2 : 1;
  if (node.status.nlink == 0 && node.file.expired()) nodes_.erase(node.status.inode);
}

absl::StatusOr<FileStatus> FakeClient::Resolve(std::string_view path) {
  InodeId at = kRootInode;
  while (!path.empty()) {
    path.remove_prefix(1);
    const size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) {
      APPENDFS_ASSIGN_OR_RETURN(const FileStatus status, Lookup(at, path.substr(0, slash)));
      at = status.inode;
    }
    path.remove_prefix(slash);
  }
  return Stat(at);
}

absl::StatusOr<std::shared_ptr<File>> FakeClient::Open(std::string_view path, const OpenOptions&) {
  APPENDFS_ASSIGN_OR_RETURN(const FileStatus status, Resolve(path));
  return OpenInode(status.inode, false);
}

absl::StatusOr<FileStatus> FakeClient::Lookup(InodeId parent, std::string_view name) {
  InodeId inode;
  {
    absl::MutexLock lock(&mutex_);
    APPENDFS_ASSIGN_OR_RETURN(const Node* const node, FindEntry(parent, name));
    inode = node->status.inode;
  }
  return Stat(inode);
}

absl::StatusOr<FileStatus> FakeClient::Stat(InodeId inode) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(const Node* const node, Find(inode));
  FileStatus status = node->status;
  status.size = node->content.size();
  status.growing = status.type == v1::REGULAR && status.size > 0;
  return status;
}

absl::StatusOr<FileStatus> FakeClient::SetAttributes(InodeId inode, const AttributeChange& change) {
  {
    absl::MutexLock lock(&mutex_);
    APPENDFS_ASSIGN_OR_RETURN(Node* const node, Find(inode));
    FileStatus& status = node->status;
    if (change.mode) status.mode = *change.mode;
    if (change.uid) status.uid = *change.uid;
    if (change.gid) status.gid = *change.gid;
    if (change.atime_ns) status.atime_ns = *change.atime_ns;
    if (change.mtime_ns) status.mtime_ns = *change.mtime_ns;
    if (change.atime_now) status.atime_ns = ++clock_ns_;
    if (change.mtime_now) status.mtime_ns = ++clock_ns_;
  }
  return Stat(inode);
}

absl::StatusOr<Client::Made> FakeClient::MakeNode(InodeId parent, std::string_view name,
                                                  const NodeSpec& spec) {
  InodeId inode;
  bool created = false;
  {
    absl::MutexLock lock(&mutex_);
    APPENDFS_ASSIGN_OR_RETURN(Node* const directory, Find(parent));
    if (auto entry = directory->entries.find(name); entry != directory->entries.end()) {
      inode = entry->second;
      if (spec.exclusive || nodes_.at(inode)->status.type != v1::REGULAR)
        return MakeError(v1::ENTRY_EXISTS, "the name exists");
    } else {
      created = true;
      inode = InodeId(next_inode_++);
      auto node = std::make_unique<Node>();
      node->status = {.inode = inode,
                      .type = spec.type,
                      .mode = spec.mode,
                      .nlink = spec.type == v1::DIRECTORY ? 2u : 1u,
                      .uid = spec.uid,
                      .gid = spec.gid,
                      .mtime_ns = ++clock_ns_};
      node->parent = parent;
      node->content = spec.symlink_target;
      nodes_[inode] = std::move(node);
      directory->entries.emplace(name, inode);
    }
  }
  APPENDFS_ASSIGN_OR_RETURN(FileStatus status, Stat(inode));
  return Made{std::move(status), created};
}

absl::StatusOr<std::string> FakeClient::ReadLink(InodeId inode) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(const Node* const node, Find(inode));
  return node->content;
}

absl::StatusOr<FileStatus> FakeClient::Link(InodeId inode, InodeId parent, std::string_view name) {
  {
    absl::MutexLock lock(&mutex_);
    APPENDFS_ASSIGN_OR_RETURN(Node* const directory, Find(parent));
    APPENDFS_ASSIGN_OR_RETURN(Node* const node, Find(inode));
    if (!directory->entries.emplace(name, inode).second)
      return MakeError(v1::ENTRY_EXISTS, "the name exists");
    ++node->status.nlink;
  }
  return Stat(inode);
}

absl::Status FakeClient::Unlink(InodeId parent, std::string_view name) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Node* const node, FindEntry(parent, name));
  if (node->status.type == v1::DIRECTORY) return MakeError(v1::IS_DIRECTORY, "a directory");
  nodes_.at(parent)->entries.erase(std::string(name));
  DropLink(*node);
  return absl::OkStatus();
}

absl::Status FakeClient::RemoveDirectory(InodeId parent, std::string_view name) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Node* const node, FindEntry(parent, name));
  if (node->status.type != v1::DIRECTORY) return MakeError(v1::NOT_DIRECTORY, "a file");
  if (!node->entries.empty()) return MakeError(v1::DIRECTORY_NOT_EMPTY, "not empty");
  nodes_.at(parent)->entries.erase(std::string(name));
  DropLink(*node);
  return absl::OkStatus();
}

absl::Status FakeClient::Rename(InodeId parent, std::string_view name, InodeId new_parent,
                                std::string_view new_name, RenameFlags flags) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Node* const node, FindEntry(parent, name));
  APPENDFS_ASSIGN_OR_RETURN(Node* const directory, Find(new_parent));
  const InodeId moved = node->status.inode;
  InodeId& target = directory->entries[std::string(new_name)];
  const InodeId replaced = target;
  if (replaced && flags.no_replace) return MakeError(v1::ENTRY_EXISTS, "the name exists");
  target = moved;
  if (flags.exchange) {
    nodes_.at(parent)->entries[std::string(name)] = replaced;
  } else {
    nodes_.at(parent)->entries.erase(std::string(name));
    if (replaced) DropLink(*nodes_.at(replaced));
  }
  return absl::OkStatus();
}

absl::StatusOr<DirectoryPage> FakeClient::ReadDirectory(InodeId inode, std::string_view after,
                                                        uint32_t limit, bool with_status) {
  absl::MutexLock lock(&mutex_);
  ++directory_reads_;
  APPENDFS_ASSIGN_OR_RETURN(const Node* const directory, Find(inode));
  DirectoryPage page;
  page.parent = directory->parent;
  auto entry = directory->entries.upper_bound(after);
  for (; entry != directory->entries.end() && page.entries.size() < limit; ++entry) {
    const FileStatus& status = nodes_.at(entry->second)->status;
    page.entries.push_back({entry->first, entry->second, status.type,
                            with_status ? std::optional(status) : std::nullopt});
  }
  page.end = entry == directory->entries.end();
  return page;
}

absl::StatusOr<FileSystemStatus> FakeClient::StatFs() {
  return FileSystemStatus{.total_bytes = 1ull << 30, .available_bytes = 1ull << 29, .files = 3};
}

absl::StatusOr<std::string> FakeClient::GetXattr(InodeId inode, std::string_view name) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(const Node* const node, Find(inode));
  auto xattr = node->xattrs.find(name);
  if (xattr == node->xattrs.end()) return MakeError(v1::NO_ATTRIBUTE, "no such attribute");
  return xattr->second;
}

absl::StatusOr<std::vector<std::string>> FakeClient::ListXattrs(InodeId inode) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(const Node* const node, Find(inode));
  std::vector<std::string> names;
  for (const auto& [name, value] : node->xattrs) names.push_back(name);
  return names;
}

absl::Status FakeClient::SetXattr(InodeId inode, std::string_view name, std::string_view value,
                                  XattrFlags flags) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Node* const node, Find(inode));
  const bool exists = node->xattrs.contains(name);
  if (exists && flags.create) return MakeError(v1::ENTRY_EXISTS, "the attribute exists");
  if (!exists && flags.replace) return MakeError(v1::NO_ATTRIBUTE, "no such attribute");
  node->xattrs[std::string(name)] = std::string(value);
  return absl::OkStatus();
}

absl::Status FakeClient::RemoveXattr(InodeId inode, std::string_view name) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Node* const node, Find(inode));
  if (node->xattrs.erase(std::string(name)) == 0)
    return MakeError(v1::NO_ATTRIBUTE, "no such attribute");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Chunk>> FakeClient::Chunks(InodeId inode) {
  v1::Chunk chunk;
  chunk.set_handle(7);
  chunk.set_inode(inode.value());
  chunk.set_epoch(1);
  chunk.set_state(v1::OPEN);
  for (uint64_t server : {1, 2, 3}) {
    chunk.add_replicas()->set_server_id(server);
    chunk.mutable_replicas(static_cast<int>(server) - 1)->set_address("host:1");
  }
  return std::vector<v1::Chunk>{chunk};
}

absl::StatusOr<std::shared_ptr<File>> FakeClient::OpenInode(InodeId inode, bool) {
  absl::AnyInvocable<void() &&> action;
  {
    absl::MutexLock lock(&mutex_);
    action = std::exchange(before_open_, nullptr);
  }
  if (action) std::move(action)();
  std::shared_ptr<File> file;
  {
    absl::MutexLock lock(&mutex_);
    APPENDFS_ASSIGN_OR_RETURN(const Node* const node, Find(inode));
    file = node->file.lock();
  }
  if (file != nullptr) return file;
  file = std::make_shared<FakeFile>(*this, inode);
  absl::MutexLock lock(&mutex_);
  nodes_.at(inode)->file = file;
  return file;
}

}  // namespace appendfs::fuse
