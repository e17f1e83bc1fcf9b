#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace appendfs {

// Little-endian fields appended to a string.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}

  void U8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void U16(uint16_t value) { Little(value); }
  void U32(uint32_t value) { Little(value); }
  void U64(uint64_t value) { Little(value); }
  void Bytes(std::string_view bytes) { out_.append(bytes); }
  // With its length (u32) in front.
  void String(std::string_view bytes) {
    U32(static_cast<uint32_t>(bytes.size()));
    Bytes(bytes);
  }

 private:
  template <class Number>
  void Little(Number value) {
    char bytes[sizeof(Number)];
    for (size_t i = 0; i < sizeof(Number); ++i) bytes[i] = static_cast<char>(value >> (8 * i));
    out_.append(bytes, sizeof(Number));
  }
  std::string& out_;
};

// The same fields taken from the front of a view. Reading past the end gives
// zeros and makes ok() false, so that a decoder may check once, at its end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}

  uint8_t U8() { return Little<uint8_t>(); }
  uint16_t U16() { return Little<uint16_t>(); }
  uint32_t U32() { return Little<uint32_t>(); }
  uint64_t U64() { return Little<uint64_t>(); }
  std::string_view Bytes(uint64_t length) {
    if (length > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    std::string_view bytes = in_.substr(0, length);
    in_.remove_prefix(length);
    return bytes;
  }
  std::string_view String() { return Bytes(U32()); }

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && in_.empty(); }
  size_t left() const { return in_.size(); }

 private:
  template <class Number>
  Number Little() {
    std::string_view bytes = Bytes(sizeof(Number));
    Number value = 0;
    for (size_t i = 0; i < bytes.size(); ++i)
      value = static_cast<Number>(value | static_cast<Number>(static_cast<uint8_t>(bytes[i]))
                                              << (8 * i));
    return value;
  }
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace appendfs
