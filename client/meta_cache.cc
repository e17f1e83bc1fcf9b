#include "client/meta_cache.h"

#include <algorithm>
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
  if (!named->second.inode) return v1::Entry();
  auto node = nodes_.find(named->second.inode);
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
  PutReadEntry(entry);
}

void MetaCache::KeepAbsence(Ticket ticket, InodeId parent, std::string_view name) {
  absl::MutexLock lock(&mutex_);
  if (Unchanged(ticket, parent)) PutReadName(parent, name, InodeId());
}

void MetaCache::KeepEntry(Ticket ticket, const v1::Entry& entry) {
  absl::MutexLock lock(&mutex_);
  if (Unchanged(ticket, InodeId(entry.attributes().inode()))) PutReadEntry(entry);
}

void MetaCache::KeepPage(Ticket ticket, InodeId directory, const v1::ReadDirectoryResponse& page,
                         bool whole) {
  absl::MutexLock lock(&mutex_);
  if (!Unchanged(ticket, directory)) return;
  for (const v1::DirectoryEntry& listed : page.entries()) {
    const InodeId inode(listed.inode());
    PutReadName(directory, listed.name(), inode);
    if (listed.has_entry() && Unchanged(ticket, inode)) PutReadEntry(listed.entry());
  }
  if (!whole || !Unchanged(ticket, directory)) return;
  Node& node = NodeOf(directory);
  node.whole = true;
  node.read = ++changes_;
}

void MetaCache::Made(Ticket ticket, InodeId parent, std::string_view name, const v1::Entry& entry,
                     const v1::AfterChange& after) {
  absl::MutexLock lock(&mutex_);
  const InodeId inode(entry.attributes().inode());
  if (OwnChange(ticket, parent, after) != nullptr) PutName(parent, name, {inode, after.index()});
  if (!Unchanged(ticket, inode)) return;
  PutEntry(entry);
  if (entry.attributes().type() == v1::DIRECTORY) NodeOf(inode).whole = true;
}

void MetaCache::Removed(Ticket ticket, InodeId parent, std::string_view name, InodeId inode,
                        const v1::AfterChange& after) {
  absl::MutexLock lock(&mutex_);
  if (OwnChange(ticket, parent, after) != nullptr)
    PutName(parent, name, {InodeId(), after.index()});
  ForgetChanged(inode);
}

void MetaCache::Renamed(Ticket ticket, InodeId from, std::string_view name, InodeId to,
                        std::string_view new_name, InodeId inode, InodeId replaced, bool exchanged,
                        const v1::AfterChange& after) {
  absl::MutexLock lock(&mutex_);
  if (inode == replaced) {  // two names of one file: both stay
    for (InodeId same : {from, to, inode}) Change(same);
    return;
  }
  const bool source = OwnChange(ticket, from, after) != nullptr;
  // In one directory it is one change.
  const bool target = from == to ? source : OwnChange(ticket, to, after) != nullptr;
  if (source) PutName(from, name, {exchanged ? replaced : InodeId(), after.index()});
  if (target) PutName(to, new_name, {inode, after.index()});
  OwnChange(ticket, inode, after);
  if (replaced) ForgetChanged(replaced);
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
  return named != directory->second.names.end() && named->second.inode == inode;
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
  told_[inode.value() % kShards] = changes_ + 1;
  ForgetChanged(inode);
}

void MetaCache::ForgetChanged(InodeId inode) {
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

MetaCache::Node& MetaCache::NodeOf(InodeId inode) {
  auto [node, made] = nodes_.try_emplace(inode);
  if (made) node->second.since = ++changes_;
  return node->second;
}

void MetaCache::PutEntry(const v1::Entry& entry) {
  const InodeId inode(entry.attributes().inode());
  if (IsStill(entry)) {
    if (nodes_.size() >= kMostNames) DropAll();
    NodeOf(inode).entry = entry;
  } else if (auto node = nodes_.find(inode); node != nodes_.end()) {
    node->second.entry.reset();
  }
}

void MetaCache::PutReadEntry(const v1::Entry& entry) {
  PutEntry(entry);
  if (auto node = nodes_.find(InodeId(entry.attributes().inode())); node != nodes_.end())
    node->second.entry_read = ++changes_;
}

void MetaCache::PutName(InodeId parent, std::string_view name, const Name& meaning) {
  if (names_ >= kMostNames) DropAll();
  auto [known, added] = NodeOf(parent).names.try_emplace(std::string(name), meaning);
  if (added) ++names_;
  if (meaning.index == 0 || meaning.index > known->second.index) known->second = meaning;
}

void MetaCache::PutReadName(InodeId parent, std::string_view name, InodeId inode) {
  PutName(parent, name, {inode});
  NodeOf(parent).read = ++changes_;
}

// The answer may have been held up on its way until others had heard of the
// change, and come after that of a later one. What was read meanwhile may be
// newer, and of a change between the two nothing was said if the inode was not
// watched yet. Among this client's own changes the index tells which is newer.
MetaCache::Node* MetaCache::OwnChange(Ticket ticket, InodeId inode, const v1::AfterChange& after) {
  const size_t shard = inode.value() % kShards;
  const bool told = std::max(all_changed_, told_[shard]) > ticket.drawn;
  changed_[shard] = ++changes_;
  auto found = nodes_.find(inode);
  if (found == nodes_.end()) return nullptr;
  Node& node = found->second;
  if (told || node.since > ticket.drawn || node.read > ticket.drawn || after.index() == 0) {
    Drop(inode);
    return nullptr;
  }
  if (node.entry && node.entry_index > after.index()) return &node;
  node.entry.reset();  // its times have changed
  if (node.entry_read > ticket.drawn) return &node;
  for (const v1::Entry& entry : after.entries())
    if (InodeId(entry.attributes().inode()) == inode && IsStill(entry)) {
      node.entry = entry;
      node.entry_index = after.index();
    }
  return &node;
}

}  // namespace appendfs
