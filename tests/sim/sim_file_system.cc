#include "tests/sim/sim_file_system.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/str_cat.h"

namespace appendfs {
namespace {

constexpr uint64_t kSectorBytes = 512;

std::vector<std::string> Split(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= path.size();) {
    size_t slash = std::min(path.find('/', at), path.size());
    if (slash > at) parts.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

}  // namespace

class SimFileSystem::SimFile final : public LocalFile {
 public:
  SimFile(SimFileSystem& fs, NodePtr node, std::string path, uint64_t boot)
      : fs_(fs), node_(std::move(node)), path_(std::move(path)), boot_(boot) {}

  using LocalFile::Write;
  absl::Status Write(uint64_t offset, std::span<const std::string_view> parts) override {
    return fs_.Write(*node_, path_, offset, parts, boot_);
  }
  absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const override {
    return fs_.Read(*node_, path_, offset, into, length, boot_);
  }
  absl::Status Sync() override { return fs_.Sync(*node_, path_, boot_); }
  absl::StatusOr<uint64_t> Size() const override { return fs_.Size(*node_, boot_); }
  absl::Status Truncate(uint64_t length) override {
    return fs_.Truncate(*node_, path_, length, boot_);
  }

 private:
  SimFileSystem& fs_;
  const NodePtr node_;
  const std::string path_;
  const uint64_t boot_;
};

class SimFileSystem::SimLock final : public FileSystem::Lock {
 public:
  SimLock(SimFileSystem& fs, std::string path, uint64_t boot)
      : fs_(fs), path_(std::move(path)), boot_(boot) {}
  ~SimLock() override {
    absl::MutexLock lock(&fs_.mutex_);
    if (boot_ == fs_.boot_) fs_.locks_.erase(path_);
  }

 private:
  SimFileSystem& fs_;
  const std::string path_;
  const uint64_t boot_;
};

SimFileSystem::SimFileSystem() : root_(std::make_shared<Node>()) { root_->is_directory = true; }

SimFileSystem::~SimFileSystem() = default;

void SimFileSystem::FailPowerAfter(uint64_t operations) {
  absl::MutexLock lock(&mutex_);
  power_fails_at_ = operations_ + operations;
}

bool SimFileSystem::power_is_off() const {
  absl::MutexLock lock(&mutex_);
  return power_is_off_;
}

uint64_t SimFileSystem::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}

void SimFileSystem::FailSyncAfter(uint64_t syncs) {
  absl::MutexLock lock(&mutex_);
  syncs_left_ = syncs;
}

void SimFileSystem::FailWriteAfter(uint64_t writes) {
  absl::MutexLock lock(&mutex_);
  writes_left_ = writes;
}

void SimFileSystem::FailReads(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  unreadable_.insert(path);
}

void SimFileSystem::SetCapacity(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  capacity_ = bytes;
}

absl::Status SimFileSystem::FlipBit(const std::string& path, uint64_t offset, int bit) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(NodePtr node, Find(path));
  if (offset >= node->bytes.size()) return ErrnoError("flip a bit of", path, EINVAL);
  const char mask = static_cast<char>(1 << bit);
  node->bytes[offset] ^= mask;
  if (offset < node->durable_bytes.size()) node->durable_bytes[offset] ^= mask;
  return absl::OkStatus();
}

void SimFileSystem::Crash(uint64_t seed) {
  std::mt19937_64 random(seed);
  absl::MutexLock lock(&mutex_);
  LoseUnsynced(*root_, random);
  used_ = UsedBy(*root_);  // a file made may be gone, one removed may be back
  Restart();
}

void SimFileSystem::Kill() {
  absl::MutexLock lock(&mutex_);
  Restart();
}

void SimFileSystem::Restart() {
  locks_.clear();
  ++boot_;
  power_is_off_ = false;
  power_fails_at_ = syncs_left_ = writes_left_ = kNever;
}

SimFileSystem::NodePtr SimFileSystem::CopyDurable(const Node& node) {
  auto copy = std::make_shared<Node>();
  copy->is_directory = node.is_directory;
  copy->bytes = copy->durable_bytes = node.durable_bytes;
  for (const auto& [name, child] : node.durable_names) copy->names[name] = CopyDurable(*child);
  copy->durable_names = copy->names;
  return copy;
}

std::unique_ptr<SimFileSystem> SimFileSystem::DurableCopy() const {
  auto copy = std::make_unique<SimFileSystem>();
  absl::MutexLock lock(&mutex_);
  absl::MutexLock lock_copy(&copy->mutex_);
  copy->root_ = CopyDurable(*root_);
  return copy;
}

void SimFileSystem::LoseUnsynced(Node& node, std::mt19937_64& random) {
  // All, nothing, or each part by chance: the extremes are the usual ones.
  const uint64_t mode = random() % 4;
  auto survives = [&] { return mode == 0 ? false : mode == 1 ? true : random() % 2 == 0; };
  for (const ByteChange& change : node.unsynced_bytes) {
    if (change.cut) {
      if (survives()) ApplyBytes(change, node.durable_bytes);
      continue;
    }
    for (uint64_t at = 0; at < change.bytes.size();) {
      uint64_t part = std::min<uint64_t>(kSectorBytes - (change.offset + at) % kSectorBytes,
                                         change.bytes.size() - at);
      if (survives())
        ApplyBytes({change.offset + at, change.bytes.substr(at, part)}, node.durable_bytes);
      at += part;
    }
  }
  node.unsynced_bytes.clear();
  node.bytes = node.durable_bytes;
  for (const NameChange& change : node.unsynced_names)
    if (survives()) ApplyNames(change, node.durable_names);
  node.unsynced_names.clear();
  node.names = node.durable_names;
  for (auto& [name, child] : node.names) LoseUnsynced(*child, random);
}

uint64_t SimFileSystem::UsedBy(const Node& node) {
  uint64_t bytes = node.bytes.size();
  for (const auto& [name, child] : node.names) bytes += UsedBy(*child);
  return bytes;
}

void SimFileSystem::ApplyBytes(const ByteChange& change, std::string& to) {
  if (change.cut) {
    to.resize(change.offset);
    return;
  }
  if (to.size() < change.offset + change.bytes.size())
    to.resize(change.offset + change.bytes.size());
  to.replace(change.offset, change.bytes.size(), change.bytes);
}

bool SimFileSystem::Covers(const ByteChange& change, const ByteChange& earlier) {
  return earlier.offset + earlier.bytes.size() > change.offset &&
         (change.cut || earlier.offset < change.offset + change.bytes.size());
}

void SimFileSystem::ApplyNames(const NameChange& change, std::map<std::string, NodePtr>& to) {
  if (!change.gone.empty()) to.erase(change.gone);
  if (!change.name.empty()) to[change.name] = change.node;
}

absl::Status SimFileSystem::PowerError() const {
  return MakeError(v1::INPUT_OUTPUT, "the power is off");
}

absl::Status SimFileSystem::Begin(bool& fails_now) {
  if (power_is_off_) return PowerError();
  fails_now = ++operations_ >= power_fails_at_;
  power_is_off_ = fails_now;
  return absl::OkStatus();
}

absl::StatusOr<SimFileSystem::NodePtr> SimFileSystem::Find(const std::string& path) const {
  NodePtr node = root_;
  for (const std::string& part : Split(path)) {
    if (!node->is_directory) return ErrnoError("open", path, ENOTDIR);
    auto found = node->names.find(part);
    if (found == node->names.end()) return ErrnoError("open", path, ENOENT);
    node = found->second;
  }
  return node;
}

absl::StatusOr<std::pair<SimFileSystem::NodePtr, std::string>> SimFileSystem::Parent(
    const std::string& path) const {
  std::vector<std::string> parts = Split(path);
  if (parts.empty()) return ErrnoError("open", path, EINVAL);
  std::string above;
  for (size_t i = 0; i + 1 < parts.size(); ++i) above += "/" + parts[i];
  APPENDFS_ASSIGN_OR_RETURN(NodePtr parent, Find(above));
  if (!parent->is_directory) return ErrnoError("open", path, ENOTDIR);
  return std::make_pair(std::move(parent), parts.back());
}

void SimFileSystem::Change(Node& directory, NameChange change) {
  ApplyNames(change, directory.names);
  directory.unsynced_names.push_back(std::move(change));
}

absl::StatusOr<std::unique_ptr<File>> SimFileSystem::Open(const std::string& path, OpenMode mode) {
  absl::MutexLock lock(&mutex_);
  if (power_is_off_) return PowerError();
  APPENDFS_ASSIGN_OR_RETURN(auto place, Parent(path));
  auto& [parent, name] = place;
  auto found = parent->names.find(name);
  NodePtr node = found == parent->names.end() ? nullptr : found->second;
  if (node && mode == OpenMode::kCreate) return ErrnoError("open", path, EEXIST);
  if (node && node->is_directory) return ErrnoError("open", path, EISDIR);
  if (!node) {
    if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite)
      return ErrnoError("open", path, ENOENT);
    bool fails_now = false;
    APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
    node = std::make_shared<Node>();
    Change(*parent, {.name = name, .node = node});
    if (fails_now) return PowerError();
  }
  return std::make_unique<SimFile>(*this, std::move(node), path, boot_);
}

absl::Status SimFileSystem::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  bool fails_now = false;
  APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
  APPENDFS_ASSIGN_OR_RETURN(NodePtr node, Find(from));
  APPENDFS_ASSIGN_OR_RETURN(auto source, Parent(from));
  APPENDFS_ASSIGN_OR_RETURN(auto target, Parent(to));
  if (auto found = target.first->names.find(target.second);
      found != target.first->names.end() && found->second->is_directory && !node->is_directory)
    return ErrnoError("rename", StrCat(from, " to ", to), EISDIR);
  if (source.first == target.first) {
    Change(*source.first, {.gone = source.second, .name = target.second, .node = node});
  } else {
    Change(*source.first, {.gone = source.second});
    Change(*target.first, {.name = target.second, .node = node});
  }
  return fails_now ? PowerError() : absl::OkStatus();
}

absl::Status SimFileSystem::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  bool fails_now = false;
  APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
  APPENDFS_ASSIGN_OR_RETURN(NodePtr node, Find(path));
  APPENDFS_ASSIGN_OR_RETURN(auto place, Parent(path));
  if (node->is_directory && !node->names.empty()) return ErrnoError("remove", path, ENOTEMPTY);
  used_ -= node->bytes.size();
  Change(*place.first, {.gone = place.second});
  return fails_now ? PowerError() : absl::OkStatus();
}

absl::Status SimFileSystem::MakeDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  bool fails_now = false;
  APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
  APPENDFS_ASSIGN_OR_RETURN(auto place, Parent(path));
  if (auto found = place.first->names.find(place.second); found != place.first->names.end())
    return found->second->is_directory ? absl::OkStatus()
                                       : ErrnoError("make directory", path, EEXIST);
  auto node = std::make_shared<Node>();
  node->is_directory = true;
  Change(*place.first, {.name = place.second, .node = node});
  return fails_now ? PowerError() : absl::OkStatus();
}

absl::Status SimFileSystem::SyncDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  bool fails_now = false;
  APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
  APPENDFS_ASSIGN_OR_RETURN(NodePtr node, Find(path));
  if (!node->is_directory) return ErrnoError("sync directory", path, ENOTDIR);
  if (fails_now) return PowerError();
  for (const NameChange& change : node->unsynced_names) ApplyNames(change, node->durable_names);
  node->unsynced_names.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SimFileSystem::List(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (power_is_off_) return PowerError();
  APPENDFS_ASSIGN_OR_RETURN(NodePtr node, Find(path));
  if (!node->is_directory) return ErrnoError("list", path, ENOTDIR);
  std::vector<std::string> names;
  for (const auto& [name, child] : node->names) names.push_back(name);
  return names;
}

absl::StatusOr<bool> SimFileSystem::Exists(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (power_is_off_) return PowerError();
  auto node = Find(path);
  if (HasReason(node.status(), v1::NO_ENTRY)) return false;
  if (!node.ok()) return node.status();
  return true;
}

absl::StatusOr<FileSystem::Space> SimFileSystem::GetSpace(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (power_is_off_) return PowerError();
  APPENDFS_RETURN_IF_ERROR(Find(path).status());
  return Space{.total_bytes = capacity_,
               .available_bytes = capacity_ > used_ ? capacity_ - used_ : 0};
}

absl::StatusOr<std::unique_ptr<FileSystem::Lock>> SimFileSystem::LockFile(const std::string& path) {
  APPENDFS_RETURN_IF_ERROR(Open(path, OpenMode::kCreateOrOpen).status());
  absl::MutexLock lock(&mutex_);
  if (!locks_.insert(path).second)
    return MakeError(v1::NOT_READY, StrCat("lock ", path, ": held by this process"));
  return std::make_unique<SimLock>(*this, path, boot_);
}

absl::Status SimFileSystem::Write(Node& node, const std::string& path, uint64_t offset,
                                  std::span<const std::string_view> parts, uint64_t boot) {
  absl::MutexLock lock(&mutex_);
  if (boot != boot_) return PowerError();
  bool fails_now = false;
  APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
  if (writes_left_ != kNever && --writes_left_ == 0) {
    writes_left_ = kNever;
    return ErrnoError("write", path, EIO);
  }
  ByteChange change{.offset = offset};
  for (std::string_view part : parts) change.bytes.append(part);
  if (change.bytes.empty()) return absl::OkStatus();
  const uint64_t end = offset + change.bytes.size();
  const uint64_t growth = end > node.bytes.size() ? end - node.bytes.size() : 0;
  if (growth > 0 && used_ + growth > capacity_) return ErrnoError("write", path, ENOSPC);
  used_ += growth;
  ApplyBytes(change, node.bytes);
  node.unsynced_bytes.push_back(std::move(change));
  return fails_now ? PowerError() : absl::OkStatus();
}

absl::Status SimFileSystem::Sync(Node& node, const std::string& path, uint64_t boot) {
  absl::MutexLock lock(&mutex_);
  if (boot != boot_) return PowerError();
  bool fails_now = false;
  APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
  if (fails_now) return PowerError();
  if (syncs_left_ != kNever && --syncs_left_ == 0) {
    syncs_left_ = kNever;
    for (ByteChange& change : node.unsynced_bytes) change.forsaken = !change.cut;
    return ErrnoError("sync", path, EIO);
  }
  std::vector<ByteChange> forsaken;
  for (ByteChange& change : node.unsynced_bytes) {
    if (change.forsaken) {
      forsaken.push_back(std::move(change));
      continue;
    }
    ApplyBytes(change, node.durable_bytes);
    std::erase_if(forsaken, [&](const ByteChange& lost) { return Covers(change, lost); });
  }
  node.unsynced_bytes = std::move(forsaken);
  return absl::OkStatus();
}

absl::Status SimFileSystem::Truncate(Node& node, const std::string& path, uint64_t length,
                                     uint64_t boot) {
  absl::MutexLock lock(&mutex_);
  if (boot != boot_) return PowerError();
  bool fails_now = false;
  APPENDFS_RETURN_IF_ERROR(Begin(fails_now));
  if (length > node.bytes.size() && used_ + length - node.bytes.size() > capacity_)
    return ErrnoError("truncate", path, ENOSPC);
  used_ = used_ + length - node.bytes.size();
  ByteChange change{.offset = length, .cut = true};
  ApplyBytes(change, node.bytes);
  node.unsynced_bytes.push_back(std::move(change));
  return fails_now ? PowerError() : absl::OkStatus();
}

absl::StatusOr<size_t> SimFileSystem::Read(const Node& node, const std::string& path,
                                           uint64_t offset, char* into, size_t length,
                                           uint64_t boot) const {
  absl::MutexLock lock(&mutex_);
  if (boot != boot_ || power_is_off_) return PowerError();
  if (unreadable_.contains(path)) return ErrnoError("read", path, EIO);
  if (offset >= node.bytes.size()) return 0;
  size_t read = std::min<size_t>(length, node.bytes.size() - offset);
  node.bytes.copy(into, read, offset);
  return read;
}

absl::StatusOr<uint64_t> SimFileSystem::Size(const Node& node, uint64_t boot) const {
  absl::MutexLock lock(&mutex_);
  if (boot != boot_ || power_is_off_) return PowerError();
  return node.bytes.size();
}

}  // namespace appendfs
