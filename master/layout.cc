#include "master/layout.h"

namespace appendfs::layout {
namespace {

template <class Number>
void AppendBigEndian(std::string& out, Number number) {
  for (int shift = 8 * (sizeof(Number) - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<char>((number >> shift) & 0xff));
}

constexpr size_t kIdBytes = 8;

}  // namespace

std::string EncodeNumber(uint64_t number) {
  std::string out;
  out.reserve(kIdBytes);
  AppendBigEndian(out, number);
  return out;
}

std::optional<uint64_t> DecodeNumber(std::string_view bytes) {
  if (bytes.size() != kIdBytes) return std::nullopt;
  uint64_t number = 0;
  for (char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

std::string DentryKey(InodeId parent, std::string_view name) {
  std::string key = EncodeNumber(parent.value());
  key.append(name);
  return key;
}

std::string_view DentryName(std::string_view key) {
  return key.substr(kIdBytes < key.size() ? kIdBytes : key.size());
}

std::string XattrKey(InodeId inode, std::string_view name) { return DentryKey(inode, name); }
std::string_view XattrName(std::string_view key) { return DentryName(key); }

std::string ChunkKey(InodeId inode, uint32_t index) {
  std::string key = EncodeNumber(inode.value());
  AppendBigEndian(key, index);
  return key;
}

std::string ResultKey(ClientId client, uint64_t sequence) {
  std::string key = EncodeNumber(client.value());
  AppendBigEndian(key, sequence);
  return key;
}

std::optional<uint64_t> ResultSequence(std::string_view key) {
  if (key.size() != 2 * kIdBytes) return std::nullopt;
  return DecodeNumber(key.substr(kIdBytes));
}

}  // namespace appendfs::layout
