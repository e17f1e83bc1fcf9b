#include "cli/format.h"

#include <algorithm>
#include <ctime>

#include "absl/strings/str_format.h"
#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

// Length of the UTF-8 character at the start of `bytes`, or 0 if it is none
// (overlong forms, surrogates and values past U+10FFFF included).
size_t Utf8Length(std::string_view bytes) {
  auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  uint8_t first = at(0);
  if (first < 0x80) return 1;
  size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                  : (first & 0xf0) == 0xe0         ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
  if (length == 0 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  if (first == 0xe0 && at(1) < 0xa0) return 0;
  if (first == 0xed && at(1) > 0x9f) return 0;
  if (first == 0xf0 && at(1) < 0x90) return 0;
  if (first == 0xf4 && at(1) > 0x8f) return 0;
  return length;
}

char TypeLetter(v1::FileType type) {
  switch (type) {
    case v1::DIRECTORY: return 'd';
    case v1::SYMLINK: return 'l';
    case v1::FIFO: return 'p';
    case v1::SOCKET: return 's';
    case v1::REGULAR: return '-';
    default: return '?';
  }
}

std::string Strftime(const char* format, const std::tm& time) {
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, format, &time));
}

}  // namespace

std::string ModeString(v1::FileType type, uint32_t mode) {
  std::string text(1, TypeLetter(type));
  for (int shift = 6; shift >= 0; shift -= 3) {
    text += mode >> shift & 4 ? 'r' : '-';
    text += mode >> shift & 2 ? 'w' : '-';
    text += mode >> shift & 1 ? 'x' : '-';
  }
  if (mode & 04000) text[3] = text[3] == 'x' ? 's' : 'S';
  if (mode & 02000) text[6] = text[6] == 'x' ? 's' : 'S';
  if (mode & 01000) text[9] = text[9] == 'x' ? 't' : 'T';
  return text;
}

std::string_view TypeName(v1::FileType type) {
  switch (type) {
    case v1::REGULAR: return "regular file";
    case v1::DIRECTORY: return "directory";
    case v1::SYMLINK: return "symbolic link";
    case v1::FIFO: return "fifo";
    case v1::SOCKET: return "socket";
    default: return "unknown";
  }
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::string_view kUnits = "KMGTPE";
  if (bytes < 1024) return StrCat(bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  value /= 1024;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  if (value < 9.95) return absl::StrFormat("%.1f%c", value, kUnits[unit]);
  return absl::StrFormat("%.0f%c", value, kUnits[unit]);
}

std::string LocalTime(uint64_t time_ns) {
  std::time_t seconds = static_cast<std::time_t>(time_ns / 1'000'000'000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  return Strftime("%Y-%m-%d %H:%M:%S", parts);
}

std::string IsoTime(uint64_t time_ns) {
  std::time_t seconds = static_cast<std::time_t>(time_ns / 1'000'000'000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return absl::StrFormat("%s.%09dZ", Strftime("%Y-%m-%dT%H:%M:%S", parts), time_ns % 1'000'000'000);
}

std::string PrintableName(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    size_t length = Utf8Length(name);
    uint8_t first = static_cast<uint8_t>(name[0]);
    if (name[0] == '\\') {
      out += "\\\\";
    } else if (name[0] == '\n') {
      out += "\\n";
    } else if (name[0] == '\t') {
      out += "\\t";
    } else if (length == 0 || first < 0x20 || first == 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", first);
      length = 1;
    } else {
      out += name.substr(0, length);
    }
    name.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t length = Utf8Length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string Table::Render() const {
  std::vector<size_t> widths(alignment_.size());
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      std::string padding(widths[i] - row[i].size(), ' ');
      if (i > 0) line += "  ";
      line += alignment_[i] == 'r' ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace appendfs::cli
