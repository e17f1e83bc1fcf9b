#include "fuse/directory_handle.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

constexpr uint64_t kDots = 2;
constexpr int kHashBits = 24, kIndexBits = 16;
constexpr uint64_t kLargestIndex = (1u << kIndexBits) - 1;

// FNV-1a, folded: the same in every build, and good enough to tell the names of
// one page apart.
uint64_t HashOf(std::string_view name) {
  uint64_t hash = 14695981039346656037ull;
  for (unsigned char c : name) hash = (hash ^ c) * 1099511628211ull;
  return (hash ^ (hash >> kHashBits)) & ((1u << kHashBits) - 1);
}

// The place behind an entry.
struct Place {
  uint64_t page, index, hash;
};

uint64_t Encode(const Place& place) {
  return (place.page + 1) << (kIndexBits + kHashBits) |
         std::min(place.index, kLargestIndex) << kHashBits | place.hash;
}

Place Decode(uint64_t offset) {
  return {(offset >> (kIndexBits + kHashBits)) - 1, (offset >> kHashBits) & kLargestIndex,
          offset & ((1u << kHashBits) - 1)};
}

// Where to go on in a page: behind the entry that `place` names, which is not
// where it was if the page was fetched again; at the start if it is gone.
size_t Behind(const Place& place, const std::vector<DirectoryEntry>& page) {
  auto is_it = [&](size_t at) { return at < page.size() && HashOf(page[at].name) == place.hash; };
  for (size_t off = 0; off <= std::max<size_t>(page.size(), place.index); ++off) {
    if (is_it(place.index + off)) return place.index + off + 1;
    if (off <= place.index && is_it(place.index - off)) return place.index - off + 1;
  }
  return 0;
}

}  // namespace

absl::Status DirectoryHandle::Open() {
  absl::MutexLock lock(&mutex_);
  return Rewind();
}

absl::Status DirectoryHandle::Read(uint64_t offset, Show show) {
  absl::MutexLock lock(&mutex_);
  if (offset == 0 && !fresh_) APPENDFS_RETURN_IF_ERROR(Rewind());
  fresh_ = false;
  for (; offset < kDots; ++offset) {
    const DirectoryEntry dots = {.name = offset == 0 ? "." : "..",
                                 .inode = offset == 0 ? inode_ : parent_,
                                 .type = v1::DIRECTORY};
    if (!show(dots, offset + 1)) return absl::OkStatus();
  }
  Place place = {};
  if (offset != kDots) place = Decode(offset);
  if (place.page >= marks_.size())
    return MakeError(v1::INVALID, StrCat("inode=", inode_, ": no such place in the directory"));
  for (size_t from = 0;; ++place.page, from = 0) {
    APPENDFS_ASSIGN_OR_RETURN(const Page* const page, GetPage(place.page));
    if (page == nullptr) return absl::OkStatus();
    if (offset != kDots) from = Behind(place, *page);
    offset = kDots;  // has been found
    for (size_t at = from; at < page->size(); ++at) {
      const DirectoryEntry& entry = (*page)[at];
      if (!show(entry, Encode({place.page, at, HashOf(entry.name)}))) return absl::OkStatus();
    }
  }
}

absl::Status DirectoryHandle::Rewind() {
  marks_ = {""};
  kept_.clear();
  complete_ = false;
  APPENDFS_RETURN_IF_ERROR(GetPage(0).status());
  fresh_ = true;
  return absl::OkStatus();
}

absl::StatusOr<const DirectoryHandle::Page*> DirectoryHandle::GetPage(uint64_t number) {
  auto kept = kept_.find(number);
  if (kept != kept_.end()) return &kept->second;
  const bool is_next = number + 1 == marks_.size();
  if (is_next && complete_) return nullptr;
  APPENDFS_ASSIGN_OR_RETURN(Page page, is_next ? FetchNext() : FetchAgain(number));
  if (is_next && page.empty()) return nullptr;
  if (is_next) marks_.push_back(page.back().name);
  DropFarthestFrom(number);
  return &(kept_[number] = std::move(page));
}

absl::StatusOr<DirectoryHandle::Page> DirectoryHandle::FetchNext() {
  APPENDFS_ASSIGN_OR_RETURN(
      DirectoryPage page, client_.ReadDirectory(inode_, marks_.back(), kPageEntries, with_status_));
  parent_ = page.parent ? page.parent : inode_;
  // A page without entries that is not the last would be asked for for ever.
  complete_ = page.end || page.entries.empty();
  return std::move(page.entries);
}

// More than a page, if names were added meanwhile.
absl::StatusOr<DirectoryHandle::Page> DirectoryHandle::FetchAgain(uint64_t number) {
  const std::string& last = marks_[number + 1];
  Page all;
  for (std::string after = marks_[number];;) {
    APPENDFS_ASSIGN_OR_RETURN(DirectoryPage page,
                              client_.ReadDirectory(inode_, after, kPageEntries, with_status_));
    auto end = std::find_if(page.entries.begin(), page.entries.end(),
                            [&](const DirectoryEntry& entry) { return entry.name > last; });
    const bool covered = end != page.entries.end() || page.end || page.entries.empty() ||
                         page.entries.back().name == last;
    if (!covered) after = page.entries.back().name;
    all.insert(all.end(), std::make_move_iterator(page.entries.begin()),
               std::make_move_iterator(end));
    if (covered) return all;
  }
}

// Makes room for the page; its neighbours are the likeliest to be read next.
void DirectoryHandle::DropFarthestFrom(uint64_t number) {
  if (kept_.size() < kKeptPages) return;
  const uint64_t first = kept_.begin()->first, last = kept_.rbegin()->first;
  const bool drop_first = number > last || (number > first && number - first > last - number);
  kept_.erase(drop_first ? kept_.begin() : std::prev(kept_.end()));
}

}  // namespace appendfs::fuse
