#include "common/utf8.h"

#include <cstddef>
#include <cstdint>

namespace appendfs {
namespace {

// Bytes of the character that `text` begins with; 0: it is not one (Unicode 15,
// table 3-7: no surrogates, no overlong forms, nothing above U+10FFFF).
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  size_t bytes = 0;
  uint8_t low = 0x80, high = 0xbf;  // of the second
  if (first >= 0xc2 && first <= 0xdf) {
    bytes = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    bytes = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    bytes = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  }
  if (bytes == 0 || text.size() < bytes || byte(1) < low || byte(1) > high) return 0;
  for (size_t at = 2; at < bytes; ++at)
    if (byte(at) < 0x80 || byte(at) > 0xbf) return 0;
  return bytes;
}

}  // namespace

std::string ToValidUtf8(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    size_t bytes = CharacterBytes(text);
    if (bytes == 0) {
      const auto byte = static_cast<uint8_t>(text[0]);
      valid.append({'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]});
      bytes = 1;
    } else {
      valid.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
  return valid;
}

}  // namespace appendfs
