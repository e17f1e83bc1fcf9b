#include "client/meta_cache.h"

#include <utility>

#include "common/str_cat.h"

namespace appendfs {
namespace {

// Nothing but a change that the master knows of can make it another.
bool IsStill(const v1::Entry& entry) {
  return !entry.has_tail() || entry.tail().state() == v1::PARKED;
}

}  // namespace

MetaCache::Ticket MetaCache::Draw() const {
  absl::MutexLock lock(&mutex_);
  Ticket ticket;
  ticket.drawn = changes_;
  return ticket;
}

std::optional<v1::Entry> MetaCache::FindName(InodeId parent, std::string_view name) const {
  absl::MutexLock lock(&mutex_);
  auto directory = nodes_.find(parent);
  if (directory == nodes_.end()) return std::nullopt;
  auto named = directory->second.names.find(ToAbsl(name));
  if (named == directory->second.names.end())
    return directory->second.whole ? std::optional(v1::Entry()) : std::nullopt;
  if (!named->second) return v1::Entry();
  auto node = nodes_.find(named->second);
  if (node == nodes_.end() || !node->second.entry) return std::nullopt;
  return *node->second.entry;
}

std::optional<v1::Entry> MetaCache::FindEntry(InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  auto node = nodes_.find(inode);
  if (node == nodes_.end() || !node->second.entry) return std::nullopt;
  return *node->second.entry;
}

void MetaCache::KeepName(Ticket ticket, InodeId parent, std::string_view name,
                         const v1::Entry& entry) {
  absl::MutexLock lock(&mutex_);
  const InodeId inode(entry.attributes().inode());
  if (!Unchanged(ticket, parent) || !Unchanged(ticket, inode)) return;
  PutReadName(parent, name, inode);
  PutEntry(entry);
}

void MetaCache::KeepAbsence(Ticket ticket, InodeId parent, std::string_view name) {
  absl::MutexLock lock(&mutex_);
  if (Unchanged(ticket, parent)) PutReadName(parent, name, InodeId());
}

void MetaCache::KeepEntry(Ticket ticket, const v1::Entry& entry) {
  absl::MutexLock lock(&mutex_);
  if (Unchanged(ticket, InodeId(entry.attributes().inode()))) PutEntry(entry);
}

void MetaCache::KeepPage(Ticket ticket, InodeId directory, const v1::ReadDirectoryResponse& page,
                         bool whole) {
  absl::MutexLock lock(&mutex_);
  if (!Unchanged(ticket, directory)) return;
  for (const v1::DirectoryEntry& listed : page.entries()) {
    const InodeId inode(listed.inode());
    PutReadName(directory, listed.name(), inode);
    if (listed.has_entry() && Unchanged(ticket, inode)) PutEntry(listed.entry());
  }
  if (!whole || !Unchanged(ticket, directory)) return;
  Node& node = nodes_[directory];
  node.whole = true;
  node.read = ++changes_;
}

void MetaCache::Made(Ticket ticket, InodeId parent, std::string_view name, const v1::Entry& entry) {
  absl::MutexLock lock(&mutex_);
  const InodeId inode(entry.attributes().inode());
  if (OwnChange(ticket, parent) != nullptr) PutName(parent, name, inode);
  if (!Unchanged(ticket, inode)) return;
  PutEntry(entry);
  if (entry.attributes().type() == v1::DIRECTORY) nodes_[inode].whole = true;
}

void MetaCache::Removed(Ticket ticket, InodeId parent, std::string_view name, InodeId inode) {
  absl::MutexLock lock(&mutex_);
  if (OwnChange(ticket, parent) != nullptr) PutName(parent, name, InodeId());
  Change(inode);
}

void MetaCache::Renamed(Ticket ticket, InodeId from, std::string_view name, InodeId to,
                        std::string_view new_name, InodeId inode, InodeId replaced,
                        bool exchanged) {
  absl::MutexLock lock(&mutex_);
  if (inode == replaced) {  // two names of one file: both stay
    for (InodeId changed : {from, to, inode}) Change(changed);
    return;
  }
  const bool source = OwnChange(ticket, from) != nullptr;
  // In one directory it is one change.
  const bool target = from == to ? source : OwnChange(ticket, to) != nullptr;
  if (source) PutName(from, name, exchanged ? replaced : InodeId());
  if (target) PutName(to, new_name, inode);
  Change(inode);
  if (replaced) Change(replaced);
}

bool MetaCache::KeepsEntry(Ticket since, InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  auto node = nodes_.find(inode);
  return node != nodes_.end() && node->second.entry && Unchanged(since, inode);
}

bool MetaCache::KeepsName(Ticket since, InodeId parent, std::string_view name,
                          InodeId inode) const {
  absl::MutexLock lock(&mutex_);
  auto directory = nodes_.find(parent);
  if (directory == nodes_.end() || !Unchanged(since, parent)) return false;
  auto named = directory->second.names.find(ToAbsl(name));
  return named != directory->second.names.end() && named->second == inode;
}

void MetaCache::SetBorrower(Client::Borrower* borrower) {
  absl::MutexLock lock(&borrower_mutex_);
  borrower_ = borrower;
}

void MetaCache::OnOwnChange(const std::vector<InodeId>& inodes) {
  absl::MutexLock lock(&mutex_);
  for (InodeId inode : inodes) Change(inode);
}

void MetaCache::OnChanged(const std::vector<InodeId>& inodes, absl::AnyInvocable<void() &&> heard) {
  OnOwnChange(inodes);
  {
    absl::MutexLock lock(&borrower_mutex_);
    if (borrower_ != nullptr) return borrower_->OnChanged(inodes, std::move(heard));
  }
  std::move(heard)();
}

void MetaCache::OnRefused() {
  absl::MutexLock lock(&mutex_);
  all_changed_ = ++changes_;
}

void MetaCache::OnLost() {
  {
    absl::MutexLock lock(&mutex_);
    DropAll();
  }
  absl::MutexLock lock(&borrower_mutex_);
  if (borrower_ != nullptr) borrower_->OnLost();
}

bool MetaCache::Unchanged(Ticket ticket, InodeId inode) const {
  return all_changed_ <= ticket.drawn && changed_[inode.value() % kShards] <= ticket.drawn;
}

void MetaCache::Change(InodeId inode) {
  changed_[inode.value() % kShards] = ++changes_;
  Drop(inode);
}

void MetaCache::Drop(InodeId inode) {
  auto node = nodes_.find(inode);
  if (node == nodes_.end()) return;
  names_ -= node->second.names.size();
  nodes_.erase(node);
}

void MetaCache::DropAll() {
  all_changed_ = ++changes_;
  nodes_.clear();
  names_ = 0;
}

void MetaCache::PutEntry(const v1::Entry& entry) {
  const InodeId inode(entry.attributes().inode());
  if (IsStill(entry)) {
    if (nodes_.size() >= kMostNames) DropAll();
    nodes_[inode].entry = entry;
  } else if (auto node = nodes_.find(inode); node != nodes_.end()) {
    node->second.entry.reset();
  }
}

void MetaCache::PutName(InodeId parent, std::string_view name, InodeId inode) {
  if (names_ >= kMostNames) DropAll();
  if (nodes_[parent].names.insert_or_assign(std::string(name), inode).second) ++names_;
}

void MetaCache::PutReadName(InodeId parent, std::string_view name, InodeId inode) {
  PutName(parent, name, inode);
  nodes_[parent].read = ++changes_;
}

// The answer may have been held up on its way until others had heard of the
// change. What was read meanwhile may be newer, and of a change between the two
// nothing was said if the directory was not watched yet.
MetaCache::Node* MetaCache::OwnChange(Ticket ticket, InodeId directory) {
  const bool unchanged = Unchanged(ticket, directory);
  changed_[directory.value() % kShards] = ++changes_;
  auto node = nodes_.find(directory);
  if (node == nodes_.end()) return nullptr;
  if (!unchanged || node->second.read > ticket.drawn) {
    Drop(directory);
    return nullptr;
  }
  node->second.entry.reset();  // its times have changed
  return &node->second;
}

}  // namespace appendfs
