#include "master/log_end.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "common/crc32c.h"
#include "tests/master/memory_file.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

constexpr size_t kBlock = 32 << 10;
constexpr size_t kSector = 512;

// Writes RocksDB's format; rocksdb_log_test.cc holds the reader against RocksDB itself.
class LogBuilder {
 public:
  void Add(std::string_view record) {
    bool first = true;
    do {
      if (kBlock - log_.size() % kBlock < 7) log_.resize((log_.size() / kBlock + 1) * kBlock);
      const std::string_view part = record.substr(0, kBlock - log_.size() % kBlock - 7);
      record.remove_prefix(part.size());
      AddFragment(part, first ? (record.empty() ? 1 : 2) : (record.empty() ? 4 : 3));
      first = false;
    } while (!record.empty());
    ends_.push_back(log_.size());
  }
  // A record of `size` bytes, none of them zero.
  void AddRandom(size_t size, std::mt19937& random) {
    std::string record(size, 0);
    for (char& c : record) c = static_cast<char>(1 + random() % 255);
    Add(record);
  }

  const std::string& log() const { return log_; }
  // Where each record ends.
  const std::vector<size_t>& ends() const { return ends_; }

 private:
  void AddFragment(std::string_view bytes, int type) {
    std::string summed(1, static_cast<char>(type));
    summed += bytes;
    const uint32_t crc = Crc32c(summed);
    AddNumber(((crc >> 15) | (crc << 17)) + 0xa282ead8U, 4);
    AddNumber(bytes.size(), 2);
    log_ += summed;
  }
  void AddNumber(uint64_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) log_ += static_cast<char>(number >> (8 * i) & 0xff);
  }

  std::string log_;
  std::vector<size_t> ends_;
};

absl::StatusOr<uint64_t> EndOf(std::string log) {
  FileBytes bytes{.bytes = std::move(log)};
  return FindLogEnd(MemoryFile(bytes), "/m/000007.log");
}

std::string WithZeros(std::string log) {
  log.resize((log.size() / kSector + 1) * kSector + (1 << 20));
  return log;
}

std::string Flipped(std::string log, size_t at) {
  log[at] = static_cast<char>(log[at] ^ 0x10);
  return log;
}

class LogEndTest : public ::testing::Test {
 protected:
  LogEndTest() : seed_(std::random_device()()), random_(seed_) {
    ::testing::Test::RecordProperty("seed", std::to_string(seed_));
  }
  size_t Draw(size_t below) { return random_() % below; }

  const uint32_t seed_;
  std::mt19937 random_;
  LogBuilder built_;
};

TEST_F(LogEndTest, NothingYet_IsTheStart) {
  EXPECT_EQ(EndOf("").value(), 0u);
  EXPECT_EQ(EndOf(std::string(100000, '\0')).value(), 0u);
}

TEST_F(LogEndTest, ZerosBehindTheRecords_AreNotThere) {
  for (size_t size : {1, 600, 3, 32 << 10, 70000, 32000, 761, 0, 5}) {
    built_.AddRandom(size, random_);
    EXPECT_EQ(EndOf(built_.log()).value(), built_.log().size());
    EXPECT_EQ(EndOf(WithZeros(built_.log())).value(), built_.log().size());
  }
}

TEST_F(LogEndTest, EveryWayPowerMayTearTheLastWrite_EndsBeforeOrBehindIt) {
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed_) + ", round " + std::to_string(round));
    LogBuilder built;
    for (size_t i = Draw(6); i > 0; --i) built.AddRandom(Draw(3000), random_);
    const std::string before = WithZeros(built.log());
    const size_t end_before = built.log().size();
    built.AddRandom(Draw(4) == 0 ? Draw(100000) : Draw(2000), random_);
    const std::string after = WithZeros(built.log());
    std::string torn = before;
    for (size_t sector = end_before / kSector * kSector; sector < built.log().size();
         sector += kSector)
      if (Draw(2) == 0) torn.replace(sector, kSector, after, sector, kSector);
    absl::StatusOr<uint64_t> end = EndOf(torn);
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(*end, torn.starts_with(built.log()) ? built.log().size() : end_before);
  }
}

TEST_F(LogEndTest, FileThatEndsInTheLastRecord_EndsBeforeIt) {
  built_.AddRandom(700, random_);
  built_.AddRandom(90, random_);
  for (size_t length = built_.ends()[0]; length < built_.ends()[1]; ++length)
    EXPECT_EQ(EndOf(built_.log().substr(0, length)).value(), built_.ends()[0]) << length;
}

TEST_F(LogEndTest, BitFlippedBeforeTheLastRecord_IsDamage) {
  for (size_t size : {80, 40000, 300, 2}) built_.AddRandom(size, random_);
  const std::string log = WithZeros(built_.log());
  for (size_t at = 0; at < built_.ends()[2]; at += at < 200 ? 1 : 97)
    EXPECT_FALSE(EndOf(Flipped(log, at)).ok()) << at;
  const absl::Status status = EndOf(Flipped(log, 3)).status();
  EXPECT_TRUE(HasReason(status, v1::INPUT_OUTPUT));
  EXPECT_THAT(std::string(status.message()), HasSubstr("/m/000007.log is damaged at byte 0"));
}

TEST_F(LogEndTest, BitFlippedInTheLastRecord_IsDamage) {
  built_.AddRandom(500, random_);
  built_.AddRandom(2000, random_);
  const std::string log = WithZeros(built_.log());
  const size_t start = built_.ends()[0];
  for (size_t at = start; at < built_.ends()[1]; ++at) {
    // With another length it looks like a longer record whose end is missing.
    if (at == start + 4 || at == start + 5) continue;
    EXPECT_FALSE(EndOf(Flipped(log, at)).ok()) << at;
  }
}

TEST_F(LogEndTest, SectorWipedOutBeforeTheLastRecord_IsDamage) {
  for (int i = 0; i < 200; ++i) built_.AddRandom(Draw(1000), random_);
  const std::string log = WithZeros(built_.log());
  const size_t last_start = built_.ends()[built_.ends().size() - 2];
  for (size_t sector = 0; sector + kSector <= last_start; sector += kSector) {
    std::string wiped = log;
    wiped.replace(sector, kSector, kSector, '\0');
    EXPECT_FALSE(EndOf(wiped).ok()) << "seed " << seed_ << ", sector at " << sector;
  }
}

}  // namespace
}  // namespace appendfs
