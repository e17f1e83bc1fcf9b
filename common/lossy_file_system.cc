#include "common/lossy_file_system.h"

#include <optional>

#include "common/lossy_bytes.h"
#include "common/str_cat.h"

namespace appendfs {
namespace {

// In the base: files whose names are not durable. Those of an earlier process
// were lost with it.
constexpr std::string_view kUnnamed = ".unnamed-";

std::string Normal(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

// What a name stands for. Its bytes are opened when they are first needed, and
// closed when no handle is left and all is synced.
class LossyFileSystem::Node {
 public:
  explicit Node(std::string base_path) : base_path_(std::move(base_path)) {}

  // Where the base has it. Guarded by the file system's lock.
  const std::string& base_path() const { return base_path_; }
  void SetBasePath(std::string path) { base_path_ = std::move(path); }

  absl::Status AddHandle(FileSystem& base, OpenMode mode) {
    absl::MutexLock lock(&mutex_);
    if (!bytes_) {
      APPENDFS_ASSIGN_OR_RETURN(auto file, base.Open(base_path_, mode));
      APPENDFS_ASSIGN_OR_RETURN(bytes_, LossyBytes::Over(std::move(file)));
    }
    ++handles_;
    return absl::OkStatus();
  }
  void DropHandle() {
    absl::MutexLock lock(&mutex_);
    if (--handles_ == 0 && !bytes_->unsynced()) bytes_.reset();
  }

  template <class Call>
  auto With(Call call) {
    absl::MutexLock lock(&mutex_);
    return call(*bytes_);
  }

 private:
  std::string base_path_;

  absl::Mutex mutex_;
  std::optional<LossyBytes> bytes_ ABSL_GUARDED_BY(mutex_);
  int handles_ ABSL_GUARDED_BY(mutex_) = 0;
};

namespace {

template <class Node>
class LossyFile final : public LocalFile {
 public:
  LossyFile(std::shared_ptr<Node> node, bool may_write)
      : node_(std::move(node)), may_write_(may_write) {}
  ~LossyFile() override { node_->DropHandle(); }

  using LocalFile::Write;
  absl::Status Write(uint64_t offset, std::span<const std::string_view> parts) override {
    APPENDFS_RETURN_IF_ERROR(MayWrite());
    node_->With([&](LossyBytes& bytes) { bytes.Write(offset, parts); });
    return absl::OkStatus();
  }
  absl::StatusOr<size_t> Read(uint64_t offset, char* into, size_t length) const override {
    return node_->With([&](LossyBytes& bytes) { return bytes.Read(offset, into, length); });
  }
  absl::Status Sync() override {
    return node_->With([](LossyBytes& bytes) { return bytes.Sync(); });
  }
  absl::StatusOr<uint64_t> Size() const override {
    return node_->With([](LossyBytes& bytes) { return bytes.size(); });
  }
  absl::Status Truncate(uint64_t length) override {
    APPENDFS_RETURN_IF_ERROR(MayWrite());
    node_->With([&](LossyBytes& bytes) { bytes.Truncate(length); });
    return absl::OkStatus();
  }

 private:
  absl::Status MayWrite() const {
    if (may_write_) return absl::OkStatus();
    return MakeError(v1::INPUT_OUTPUT, "the file is open for reading only");
  }

  const std::shared_ptr<Node> node_;
  const bool may_write_;
};

}  // namespace

absl::StatusOr<LossyFileSystem::Directory*> LossyFileSystem::Load(const std::string& path) {
  auto found = directories_.find(path);
  if (found != directories_.end()) return &found->second;
  APPENDFS_ASSIGN_OR_RETURN(std::vector<std::string> names, base_->List(path));
  Directory directory;
  for (const std::string& name : names) {
    std::string full = StrCat(path, "/", name);
    if (name.starts_with(kUnnamed))
      APPENDFS_RETURN_IF_ERROR(base_->Remove(full));
    else
      directory.visible[name] = std::make_shared<Node>(std::move(full));
  }
  directory.durable = directory.visible;
  return &directories_.emplace(path, std::move(directory)).first->second;
}

absl::StatusOr<LossyFileSystem::Place> LossyFileSystem::Find(const std::string& given) {
  const std::string path = Normal(given);
  const size_t slash = path.rfind('/');
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  APPENDFS_ASSIGN_OR_RETURN(Directory * directory, Load(parent));
  return Place{directory, std::move(parent),
               slash == std::string::npos ? path : path.substr(slash + 1)};
}

std::string LossyFileSystem::Unnamed(const std::string& parent) {
  return StrCat(parent, "/", kUnnamed, ++unnamed_);
}

bool LossyFileSystem::IsVisible(const NodePtr& node) const {
  for (const auto& [path, directory] : directories_)
    for (const auto& [name, other] : directory.visible)
      if (other == node) return true;
  return false;
}

absl::StatusOr<std::unique_ptr<File>> LossyFileSystem::Open(const std::string& path,
                                                            OpenMode mode) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Place place, Find(path));
  NodePtr& node = place.directory->visible[place.name];
  const bool exists = node != nullptr;
  const bool may_create = mode == OpenMode::kCreate || mode == OpenMode::kCreateOrOpen;
  absl::Status status;
  if (exists && mode == OpenMode::kCreate)
    status = ErrnoError("open", path, EEXIST);
  else if (!exists && !may_create)
    status = ErrnoError("open", path, ENOENT);
  else if (!exists)
    node = std::make_shared<Node>(Unnamed(place.parent));
  if (status.ok())
    status = node->AddHandle(*base_, exists ? OpenMode::kReadWrite : OpenMode::kCreate);
  if (!status.ok()) {
    if (!exists) place.directory->visible.erase(place.name);
    return status;
  }
  return std::make_unique<LossyFile<Node>>(node, mode != OpenMode::kRead);
}

absl::Status LossyFileSystem::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Place source, Find(from));
  APPENDFS_ASSIGN_OR_RETURN(Place target, Find(to));
  auto found = source.directory->visible.find(source.name);
  if (found == source.directory->visible.end())
    return ErrnoError("rename", StrCat(from, " to ", to), ENOENT);
  NodePtr node = found->second;
  source.directory->visible.erase(found);
  target.directory->visible[target.name] = std::move(node);
  return absl::OkStatus();
}

absl::Status LossyFileSystem::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Place place, Find(path));
  auto found = place.directory->visible.find(place.name);
  if (found == place.directory->visible.end()) return ErrnoError("remove", path, ENOENT);
  if (base_->List(found->second->base_path()).ok()) return RemoveDirectory(place, Normal(path));
  const bool unnamed = found->second->base_path().find(StrCat("/", kUnnamed)) != std::string::npos;
  // Without a durable name nothing of it can come back.
  if (unnamed) APPENDFS_RETURN_IF_ERROR(base_->Remove(found->second->base_path()));
  place.directory->visible.erase(found);
  return absl::OkStatus();
}

absl::Status LossyFileSystem::RemoveDirectory(const Place& place, const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(Directory * directory, Load(path));
  if (!directory->visible.empty()) return ErrnoError("remove", path, ENOTEMPTY);
  for (const auto& [name, node] : directory->durable)
    APPENDFS_RETURN_IF_ERROR(base_->Remove(node->base_path()));
  APPENDFS_RETURN_IF_ERROR(base_->Remove(path));
  directories_.erase(path);
  place.directory->visible.erase(place.name);
  place.directory->durable.erase(place.name);
  return absl::OkStatus();
}

absl::Status LossyFileSystem::MakeDirectory(const std::string& path) {
  APPENDFS_RETURN_IF_ERROR(base_->MakeDirectory(path));
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Place place, Find(path));
  NodePtr& node = place.directory->visible[place.name];
  if (!node) node = std::make_shared<Node>(Normal(path));
  place.directory->durable.emplace(place.name, node);
  return absl::OkStatus();
}

absl::Status LossyFileSystem::Displace(const std::string& parent, Directory& directory,
                                       const std::string& name) {
  auto found = directory.durable.find(name);
  if (found == directory.durable.end()) return absl::OkStatus();
  const NodePtr node = found->second;
  if (IsVisible(node)) {
    std::string unnamed = Unnamed(parent);
    APPENDFS_RETURN_IF_ERROR(base_->Rename(node->base_path(), unnamed));
    node->SetBasePath(std::move(unnamed));
  } else if (!directory.visible.contains(name)) {
    APPENDFS_RETURN_IF_ERROR(base_->Remove(node->base_path()));
  }  // else: the rename that comes replaces it
  directory.durable.erase(found);
  return absl::OkStatus();
}

absl::Status LossyFileSystem::MakeDurable(const std::string& parent, Directory& directory,
                                          const std::string& name, const NodePtr& node) {
  APPENDFS_RETURN_IF_ERROR(Displace(parent, directory, name));
  // The base has a file under one name only.
  for (auto& [path, other] : directories_)
    std::erase_if(other.durable, [&](const auto& entry) { return entry.second == node; });
  std::string path = StrCat(parent, "/", name);
  APPENDFS_RETURN_IF_ERROR(base_->Rename(node->base_path(), path));
  node->SetBasePath(std::move(path));
  directory.durable[name] = node;
  return absl::OkStatus();
}

absl::Status LossyFileSystem::SyncDirectory(const std::string& given) {
  const std::string path = Normal(given);
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Directory * directory, Load(path));
  for (const auto& [name, node] : directory->visible) {
    auto found = directory->durable.find(name);
    if (found == directory->durable.end() || found->second != node)
      APPENDFS_RETURN_IF_ERROR(MakeDurable(path, *directory, name, node));
  }
  std::vector<std::string> gone;
  for (const auto& [name, node] : directory->durable)
    if (!directory->visible.contains(name)) gone.push_back(name);
  for (const std::string& name : gone) APPENDFS_RETURN_IF_ERROR(Displace(path, *directory, name));
  return base_->SyncDirectory(path);
}

absl::StatusOr<std::vector<std::string>> LossyFileSystem::List(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Directory * directory, Load(Normal(path)));
  std::vector<std::string> names;
  for (const auto& [name, node] : directory->visible) names.push_back(name);
  return names;
}

absl::StatusOr<bool> LossyFileSystem::Exists(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<Place> place = Find(path);
  if (!place.ok()) {
    if (HasReason(place.status(), v1::NO_ENTRY)) return false;
    return place.status();
  }
  return place->directory->visible.contains(place->name);
}

absl::StatusOr<FileSystem::Space> LossyFileSystem::GetSpace(const std::string& path) {
  return base_->GetSpace(path);
}

absl::StatusOr<std::unique_ptr<FileSystem::Lock>> LossyFileSystem::LockFile(
    const std::string& path) {
  APPENDFS_ASSIGN_OR_RETURN(std::unique_ptr<Lock> lock_file, base_->LockFile(path));
  absl::MutexLock lock(&mutex_);
  APPENDFS_ASSIGN_OR_RETURN(Place place, Find(path));
  NodePtr& node = place.directory->visible[place.name];
  if (!node) node = std::make_shared<Node>(path);
  place.directory->durable.emplace(place.name, node);
  return lock_file;
}

}  // namespace appendfs
