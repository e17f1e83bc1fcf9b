#include "cli/parse.h"

#include <charconv>
#include <limits>

#include "common/str_cat.h"

namespace appendfs::cli {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr Unit kDurations[] = {{"", 1000},    {"ms", 1},       {"s", 1000},
                               {"m", 60'000}, {"min", 60'000}, {"h", 3'600'000}};
constexpr Unit kSizes[] = {{"", 1},           {"b", 1},          {"k", 1ull << 10},
                           {"m", 1ull << 20}, {"g", 1ull << 30}, {"t", 1ull << 40}};

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return lower;
}

template <size_t N>
bool ParseWithUnit(std::string_view number, std::string_view unit, const Unit (&units)[N],
                   uint64_t& value) {
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size()) return false;
  for (const Unit& known : units) {
    if (known.name != unit) continue;
    if (value > std::numeric_limits<int64_t>::max() / known.factor) return false;
    value *= known.factor;
    return true;
  }
  return false;
}

// Where the digits end.
size_t Digits(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
  return n;
}

}  // namespace

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  size_t digits = Digits(text);
  uint64_t ms = 0;
  if (!ParseWithUnit(text.substr(0, digits), text.substr(digits), kDurations, ms))
    return MakeError(v1::INVALID,
                     StrCat("'", text, "' is not a duration: write 30s, 500ms, 2m or 1h"));
  return std::chrono::milliseconds(ms);
}

absl::StatusOr<uint64_t> ParseBytes(std::string_view text) {
  size_t digits = Digits(text);
  std::string unit = Lower(text.substr(digits));
  if (unit.size() == 3 && unit.substr(1) == "ib") unit.resize(1);
  uint64_t bytes = 0;
  if (!ParseWithUnit(text.substr(0, digits), unit, kSizes, bytes))
    return MakeError(v1::INVALID,
                     StrCat("'", text, "' is not a size: write 4096, 64k, 1M, 2G or 1T"));
  return bytes;
}

absl::StatusOr<uint32_t> ParseMode(std::string_view text) {
  uint32_t mode = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc() || end != text.data() + text.size() || mode > 07777)
    return MakeError(v1::INVALID,
                     StrCat("'", text, "' is not a mode: write octal digits such as 755"));
  return mode;
}

}  // namespace appendfs::cli
