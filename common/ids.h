#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace appendfs {

// A number that must not be mixed up with another kind of number. Zero is
// "none" for every id; real ids start at 1.
template <class Tag>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }
  constexpr explicit operator bool() const { return value_ != 0; }
  constexpr StrongId Next() const { return StrongId(value_ + 1); }

  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  friend std::ostream& operator<<(std::ostream& out, StrongId id) { return out << id.value_; }
  template <class H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  uint64_t value_ = 0;
};

using InodeId = StrongId<struct InodeTag>;      // cluster-wide, never reused; the root is 1
using ChunkHandle = StrongId<struct ChunkTag>;  // cluster-wide, never reused
using Epoch = StrongId<struct EpochTag>;        // of one chunk; a new one only through recovery
using ServerId = StrongId<struct ServerTag>;    // a chunkserver's data directory, not its address
using ClientId = StrongId<struct ClientTag>;    // one session at the master
using Sequence = StrongId<struct SequenceTag>;  // of a batch, per (client, inode)

inline constexpr InodeId kRootInode{1};

// A position in a file, in bytes from its start. Positions within a chunk are
// plain uint64_t named `..._in_chunk` or documented as such.
class FileOffset {
 public:
  constexpr FileOffset() = default;
  constexpr explicit FileOffset(uint64_t bytes) : bytes_(bytes) {}

  constexpr uint64_t bytes() const { return bytes_; }
  constexpr FileOffset operator+(uint64_t length) const { return FileOffset(bytes_ + length); }
  constexpr uint64_t operator-(FileOffset start) const { return bytes_ - start.bytes_; }
  friend constexpr auto operator<=>(FileOffset, FileOffset) = default;
  friend std::ostream& operator<<(std::ostream& out, FileOffset o) { return out << o.bytes_; }

 private:
  uint64_t bytes_ = 0;
};

// The commit rule (DESIGN: three replicas, quorum two).
inline constexpr int kReplicationFactor = 3;
inline constexpr int kWriteQuorum = 2;

inline constexpr uint64_t kDefaultChunkBytes = 64ull << 20;

}  // namespace appendfs

template <class Tag>
struct std::hash<appendfs::StrongId<Tag>> {
  size_t operator()(appendfs::StrongId<Tag> id) const noexcept {
    return std::hash<uint64_t>()(id.value());
  }
};
