#pragma once

#include <string_view>

#include "common/status.h"
#include "common/str_cat.h"
#include "proto/types.pb.h"

namespace appendfs {

// The protocol versions this build speaks (proto/types.proto). `lowest` rises
// when an old version is dropped, `current` with every addition peers must
// know about.
inline constexpr uint32_t kLowestProtocol = 1;
inline constexpr uint32_t kCurrentProtocol = 1;

inline v1::ProtocolVersion OurProtocol() {
  v1::ProtocolVersion version;
  version.set_lowest(kLowestProtocol);
  version.set_current(kCurrentProtocol);
  return version;
}

// VERSION_MISMATCH, naming both ranges, unless the ranges overlap.
inline absl::Status CheckProtocol(const v1::ProtocolVersion& theirs, std::string_view peer) {
  if (theirs.lowest() <= kCurrentProtocol && theirs.current() >= kLowestProtocol)
    return absl::OkStatus();
  return MakeError(v1::VERSION_MISMATCH,
                   StrCat(peer, " speaks protocol ", theirs.lowest(), "-", theirs.current(),
                          ", this side speaks ", kLowestProtocol, "-", kCurrentProtocol,
                          ": upgrade the older one"));
}

}  // namespace appendfs
