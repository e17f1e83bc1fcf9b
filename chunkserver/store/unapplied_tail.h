#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "common/buffer.h"

namespace appendfs {

// The durable bytes of a replica that are not in its chunk file yet. Small
// payloads are copied together, so that the wire buffers they came in are let
// go; large ones are kept as they are. Pieces taken out stay valid and
// unchanged for as long as they are held, whatever happens to the tail.
//
// Not thread-safe; guarded by the store's lock.
class UnappliedTail {
 public:
  struct Piece {
    uint64_t offset = 0;  // within the chunk
    Buffer bytes;
    uint64_t end() const { return offset + bytes.size(); }
  };

  void Append(uint64_t offset, const Buffer& payload);
  // Forgets what lies at or above `length`.
  void CutTo(uint64_t length);
  // Forgets what lies below `offset`, as far as whole pieces do.
  void DropBelow(uint64_t offset);

  // What lies in [from, to), clipped to it, in order.
  std::vector<Piece> Pieces(uint64_t from, uint64_t to) const;
  bool empty() const { return extents_.empty(); }

 private:
  // Bytes that belong to the tail, or a reference to a large payload.
  struct Extent {
    uint64_t offset = 0;
    uint64_t length = 0;
    std::shared_ptr<char[]> own;  // null: `payload`
    uint64_t capacity = 0;        // of `own`
    Buffer payload;

    uint64_t end() const { return offset + length; }
    Buffer Slice(uint64_t from, uint64_t to) const;
  };

  std::deque<Extent> extents_;
};

}  // namespace appendfs
