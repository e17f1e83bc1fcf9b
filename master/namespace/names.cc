#include "master/namespace/names.h"

#include "common/str_cat.h"

namespace appendfs {

absl::Status CheckName(std::string_view name) {
  if (name.empty()) return MakeError(v1::INVALID, "a name is empty");
  if (name.size() > kMaxNameBytes)
    return MakeError(v1::NAME_TOO_LONG,
                     StrCat("'", name.substr(0, 32), "...': a name of ", name.size(),
                            " bytes, at most ", kMaxNameBytes, " are possible"));
  if (name == "." || name == "..")
    return MakeError(v1::INVALID, StrCat("'", name, "' cannot be used as a name here"));
  if (name.find('/') != name.npos)
    return MakeError(v1::INVALID, StrCat("'", name, "': a name cannot hold a '/'"));
  if (name.find('\0') != name.npos) return MakeError(v1::INVALID, "a name cannot hold a NUL byte");
  return absl::OkStatus();
}

absl::Status CheckXattrName(std::string_view name) {
  constexpr std::string_view kPrefix = "user.";
  if (!name.starts_with(kPrefix))
    return MakeError(v1::NOT_SUPPORTED,
                     StrCat("'", name.substr(0, 32), "': only attributes of 'user.' are kept"));
  if (name.size() == kPrefix.size()) return MakeError(v1::INVALID, "an attribute without a name");
  if (name.size() > kMaxNameBytes)
    return MakeError(v1::NAME_TOO_LONG, StrCat("an attribute's name of ", name.size(),
                                               " bytes, at most ", kMaxNameBytes, " are possible"));
  if (name.find('\0') != name.npos)
    return MakeError(v1::INVALID, "an attribute's name cannot hold a NUL byte");
  return absl::OkStatus();
}

absl::Status CheckSymlinkTarget(std::string_view target) {
  if (target.empty()) return MakeError(v1::INVALID, "a symlink's target is empty");
  if (target.size() > kMaxSymlinkBytes)
    return MakeError(v1::NAME_TOO_LONG,
                     StrCat("a symlink's target of ", target.size(), " bytes, at most ",
                            kMaxSymlinkBytes, " are possible"));
  if (target.find('\0') != target.npos)
    return MakeError(v1::INVALID, "a symlink's target cannot hold a NUL byte");
  return absl::OkStatus();
}

}  // namespace appendfs
