#pragma once

#include <string_view>

#include "proto/types.pb.h"

namespace appendfs {

// The word for it that operators and users are shown.
inline std::string_view NameOf(v1::ChunkState state) {
  switch (state) {
    case v1::OPEN: return "open";
    case v1::RECOVERING: return "recovering";
    case v1::SEALED: return "sealed";
    case v1::PARKED: return "parked";
    default: return "unknown";
  }
}

}  // namespace appendfs
