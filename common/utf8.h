#pragma once

#include <string>
#include <string_view>

namespace appendfs {

// `text` with every byte that is not part of valid UTF-8 written as \xNN. What
// quotes a name goes through it before it becomes a protobuf `string`: names
// are any bytes, and a message with other strings cannot be read.
std::string ToValidUtf8(std::string_view text);

}  // namespace appendfs
