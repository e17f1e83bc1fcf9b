#include "common/crc32c.h"

#include <isa-l/crc.h>
#include <algorithm>
#include <array>
#include <cstddef>

namespace appendfs {
namespace {

// Multiplication of polynomials over GF(2) modulo the Castagnoli polynomial,
// bit-reflected: bit 31 is x^0.
constexpr uint32_t kPolynomial = 0x82f63b78;

constexpr uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t mask = 1u << 31; mask != 0; mask >>= 1) {
    if (a & mask) product ^= b;
    b = (b & 1) ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

// kPowers[k] is x^(8 * 2^k): what shifting by 2^k bytes multiplies by.
constexpr std::array<uint32_t, 64> MakePowers() {
  std::array<uint32_t, 64> powers{};
  uint32_t power = 1u << 31 >> 8;  // x^8
  for (auto& entry : powers) {
    entry = power;
    power = Multiply(power, power);
  }
  return powers;
}
constexpr std::array<uint32_t, 64> kPowers = MakePowers();

}  // namespace

uint32_t Crc32c(std::string_view data) { return ExtendCrc32c(0, data); }

uint32_t ExtendCrc32c(uint32_t crc_of_a, std::string_view b) {
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(b.data()));
  uint32_t crc = ~crc_of_a;
  for (size_t done = 0; done < b.size();) {  // the library counts in int
    size_t part = std::min<size_t>(b.size() - done, 1u << 30);
    crc = crc32_iscsi(bytes + done, static_cast<int>(part), crc);
    done += part;
  }
  return ~crc;
}

uint32_t CombineCrc32c(uint32_t crc_of_a, uint32_t crc_of_b, uint64_t length_of_b) {
  uint32_t shifted = crc_of_a;
  for (int bit = 0; length_of_b != 0; ++bit, length_of_b >>= 1)
    if (length_of_b & 1) shifted = Multiply(shifted, kPowers[bit]);
  return shifted ^ crc_of_b;
}

}  // namespace appendfs
