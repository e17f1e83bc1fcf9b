#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "client/appendfs.h"

namespace appendfs::cli {

// Keys stay in the order they were written.
using Json = nlohmann::ordered_json;

// {KEY: text}; bytes that are not UTF-8 go to "KEY_hex" as well, and "KEY"
// shows them escaped.
void AddBytes(Json& object, const std::string& key, std::string_view bytes);

Json ToJson(const FileStatus& status);

// One line, for machines that read lines.
std::string ToText(const Json& json);
// Indented, for one document.
std::string ToPrettyText(const Json& json);

}  // namespace appendfs::cli
