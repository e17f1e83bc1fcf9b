#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "common/ids.h"
#include "common/status.h"
#include "tests/sim/world.h"

namespace appendfs::sim {

// What was asked, answered and seen, kept apart from all product code, and the
// checks of DESIGN §10 over it. A violation fails the kernel.
//
// A record is one line that names who wrote it: the writing process, the file
// and a number that rises per both, then letters that follow from these.
class History {
 public:
  explicit History(World& world) : world_(world) {}

  struct RecordId {
    uint32_t process = 0, file = 0, number = 0;
    auto operator<=>(const RecordId&) const = default;
  };
  static std::string Bytes(const RecordId& id, size_t padding);

  void Began(const RecordId& id, std::string bytes);
  void Answered(const RecordId& id, const absl::StatusOr<FileOffset>& outcome);

  // Acknowledged end of the file, known to somebody by now.
  uint64_t acknowledged(uint32_t file) { return files_[file].acknowledged; }
  uint64_t acknowledgements() const { return acknowledgements_; }
  // A committed size that a reader was told.
  uint64_t fresh(uint32_t file) { return files_[file].fresh; }
  void SawSize(uint32_t file, uint64_t size, uint64_t at_least, const std::string& who);
  // Bytes that a reader was shown.
  void Saw(uint32_t file, uint64_t offset, std::string_view bytes, const std::string& who);
  uint64_t seen(uint32_t file) { return files_[file].seen.size(); }
  const std::string& Content(uint32_t file) { return files_[file].seen; }

  // Whole records are in the file for good, at `offset` and behind it.
  void Committed(InodeId inode, uint64_t offset, std::string_view bytes);
  // At the end: `content` is the whole file.
  void CheckFile(uint32_t file, const std::string& content);
  // Sealed replicas, at the end. Empty, or what is not as it should be yet.
  std::string Unhealed();

  void SetInode(uint32_t file, InodeId inode) {
    files_[file].inode = inode;
    numbers_[inode] = file;
  }
  InodeId inode(uint32_t file) { return files_[file].inode; }

 private:
  struct Record {
    std::string bytes;
    std::optional<absl::StatusOr<FileOffset>> outcome;
    std::optional<uint64_t> committed;  // where
  };
  struct File {
    InodeId inode;
    std::map<uint64_t, RecordId> at;  // acknowledged, by offset
    uint64_t acknowledged = 0;
    uint64_t fresh = 0;
    std::string seen;
  };
  std::string Name(const RecordId& id) const;
  bool AnyHarmed() const;
  void CheckCommitted(uint32_t number, uint64_t offset, std::string_view bytes,
                      const std::string& who);
  // The record that begins here; null: none does.
  std::map<RecordId, Record>::iterator Parse(std::string_view bytes);
  void CheckOrder(const RecordId& id, uint64_t offset);
  void CheckDurable(const RecordId& id, uint64_t offset);

  World& world_;
  std::map<RecordId, Record> records_;
  std::map<uint32_t, File> files_;
  std::map<InodeId, uint32_t> numbers_;
  uint64_t acknowledgements_ = 0;
};

}  // namespace appendfs::sim
