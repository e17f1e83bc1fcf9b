#include "cli/json.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "cli/format.h"
#include "common/str_cat.h"

namespace appendfs::cli {

void AddBytes(Json& object, const std::string& key, std::string_view bytes) {
  if (IsUtf8(bytes)) {
    object[key] = std::string(bytes);
  } else {
    object[key] = PrintableName(bytes);
    object[key + "_hex"] = absl::BytesToHexString(ToAbsl(bytes));
  }
}

Json ToJson(const FileStatus& status) {
  return {{"inode", status.inode.value()},
          {"type", TypeName(status.type)},
          {"mode", absl::StrFormat("%04o", status.mode)},
          {"nlink", status.nlink},
          {"uid", status.uid},
          {"gid", status.gid},
          {"size", status.size},
          {"mtime", IsoTime(status.mtime_ns)},
          {"atime", IsoTime(status.atime_ns)},
          {"ctime", IsoTime(status.ctime_ns)},
          {"mtime_ns", status.mtime_ns},
          {"growing", status.growing}};
}

std::string ToText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ToPrettyText(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace appendfs::cli
