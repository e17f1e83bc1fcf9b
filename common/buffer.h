#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace appendfs {

// Immutable bytes with shared ownership: how payload moves from the wire to
// the journal and to the peers without being copied. Copying a Buffer copies a
// reference. Safe to use from any thread.
class Buffer {
 public:
  Buffer() = default;
  // Takes over the bytes of a string.
  static Buffer From(std::string bytes) {
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    std::string_view view = *owner;
    return Buffer(std::move(owner), view);
  }
  // `view` lives as long as `owner` does.
  Buffer(std::shared_ptr<const void> owner, std::string_view view)
      : owner_(std::move(owner)), view_(view) {}

  std::string_view view() const { return view_; }
  const char* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }

  // A part of the same bytes, with the same owner. Clamped to what is there.
  Buffer Slice(size_t offset, size_t length) const {
    if (offset > view_.size()) offset = view_.size();
    return Buffer(owner_, view_.substr(offset, length));
  }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace appendfs
