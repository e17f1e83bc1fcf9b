#pragma once

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/ids.h"

namespace appendfs {

// Distributions build Abseil with a string_view of its own, which does not mix
// with the standard's; this is the one place that knows.
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view FromAbsl(absl::string_view text) { return {text.data(), text.size()}; }

namespace str_cat_internal {
template <class T>
const T& Part(const T& part) {
  return part;
}
inline absl::string_view Part(std::string_view part) { return ToAbsl(part); }
template <class Tag>
uint64_t Part(StrongId<Tag> id) {
  return id.value();
}
inline uint64_t Part(FileOffset offset) { return offset.bytes(); }
}  // namespace str_cat_internal

// absl::StrCat that also takes std::string_view and the ids.
template <class... Parts>
std::string StrCat(const Parts&... parts) {
  return absl::StrCat(str_cat_internal::Part(parts)...);
}

}  // namespace appendfs
