#pragma once

#include <cstdint>
#include <string_view>

namespace appendfs {

// CRC32C (Castagnoli), as RFC 3720 uses it: reflected, initial value and final
// xor all ones. Crc32c("123456789") == 0xE3069283.
uint32_t Crc32c(std::string_view data);

// The checksum of a + b, from the checksum of a and the bytes of b.
uint32_t ExtendCrc32c(uint32_t crc_of_a, std::string_view b);

// The checksum of a + b, from the checksums of a and b and the length of b in
// bytes; reads no data.
uint32_t CombineCrc32c(uint32_t crc_of_a, uint32_t crc_of_b, uint64_t length_of_b);

}  // namespace appendfs
