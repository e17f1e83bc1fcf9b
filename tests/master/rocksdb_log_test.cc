// Whether RocksDB and the files below its log agree: what was committed is
// there after a crash, a write that was cut off is not, damage is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "master/rocksdb_tables.h"
#include "tests/common/temp_dir.h"

namespace appendfs {
namespace {

using ::testing::HasSubstr;

constexpr size_t kSector = 512;

class RocksDbLogTest : public ::testing::Test {
 protected:
  RocksDbLogTest() : tables_(Open(dir_ / "meta")) {}

  static std::unique_ptr<DurableTables> Open(const std::string& directory) {
    absl::StatusOr<std::unique_ptr<DurableTables>> tables = OpenRocksDbTables(directory);
    EXPECT_TRUE(tables.ok()) << tables.status();
    return tables.ok() ? *std::move(tables) : nullptr;
  }

  // Adds one record of about `size` bytes to the log.
  void Commit(size_t size) {
    std::string value(size, 0);
    for (char& c : value) c = static_cast<char>(1 + random_() % 255);
    Overlay changes(tables_.get());
    changes.Put(Table::kXattrs, std::to_string(values_.size()), value);
    ASSERT_TRUE(tables_->Commit(changes).ok());
    values_.push_back(std::move(value));
  }

  // What a crash would leave: the files as they are, in a directory of their own.
  std::string Copy() {
    const std::string to = dir_ / ("copy" + std::to_string(++copies_));
    std::filesystem::copy(dir_ / "meta", to);
    return to;
  }
  static std::string LogOf(const std::string& directory) {
    std::string newest;
    for (const auto& file : std::filesystem::directory_iterator(directory))
      if (file.path().extension() == ".log") newest = std::max(newest, file.path().string());
    return newest;
  }
  static std::string ReadAll(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void Replace(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  // The log's bytes, without zeros behind them.
  std::string Log() const {
    std::string log = ReadAll(LogOf(dir_ / "meta"));
    log.resize(log.find_last_not_of('\0') + 1);
    return log;
  }

  void ExpectFirst(const std::string& directory, size_t count) {
    std::unique_ptr<DurableTables> tables = Open(directory);
    ASSERT_NE(tables, nullptr);
    for (size_t i = 0; i < values_.size(); ++i) {
      absl::StatusOr<std::optional<std::string>> value =
          tables->Get(Table::kXattrs, std::to_string(i));
      ASSERT_TRUE(value.ok()) << value.status();
      EXPECT_EQ(value->has_value(), i < count) << i;
      if (value->has_value()) {
        EXPECT_EQ(**value, values_[i]) << i;
      }
    }
  }
  void ExpectRefused(const std::string& directory) {
    absl::Status status = OpenRocksDbTables(directory).status();
    EXPECT_TRUE(HasReason(status, v1::INPUT_OUTPUT)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(".log is damaged at byte"));
  }

  TempDir dir_;
  std::mt19937 random_{20};
  std::vector<std::string> values_;
  int copies_ = 0;
  std::unique_ptr<DurableTables> tables_;
};

TEST_F(RocksDbLogTest, Crash_KeepsWhatWasCommitted) {
  for (size_t size : {1, 600, 490, 40000, 3, 200000, 32768, 2 << 20, 700}) Commit(size);
  EXPECT_GT(std::filesystem::file_size(LogOf(dir_ / "meta")), Log().size() + 1000);
  const std::string crashed = Copy();
  ExpectFirst(crashed, values_.size());
  ExpectFirst(crashed, values_.size());  // and once more
}

TEST_F(RocksDbLogTest, CrashWithoutAnyCommit_IsNoDamage) { ExpectFirst(Copy(), 0); }

TEST_F(RocksDbLogTest, OrderlyStop_LeavesNoSpaceBehind) {
  for (int i = 0; i < 10; ++i) Commit(300);
  const std::string log = LogOf(dir_ / "meta");
  const size_t bytes = Log().size();
  tables_.reset();
  EXPECT_EQ(std::filesystem::file_size(log), bytes);
  ExpectFirst(dir_ / "meta", values_.size());
}

TEST_F(RocksDbLogTest, WriteCutOffByPowerLoss_IsForgotten) {
  Commit(100);
  Commit(900);
  const std::string before = Log();
  Commit(40000);  // in two blocks
  const std::string after = Log();
  const size_t sectors = after.size() / kSector - before.size() / kSector;
  for (size_t missing : {size_t{0}, size_t{1}, sectors / 2, sectors - 1}) {
    const std::string crashed = Copy();
    std::string log = ReadAll(LogOf(crashed));
    const size_t from = std::max(before.size(), (before.size() / kSector + missing) * kSector);
    const size_t to = (before.size() / kSector + missing + 1) * kSector;
    log.replace(from, to - from, to - from, '\0');
    Replace(LogOf(crashed), log);
    ExpectFirst(crashed, 2);
  }
}

TEST_F(RocksDbLogTest, LogOfAnEarlierVersion_EndsWithTheFile) {
  for (int i = 0; i < 3; ++i) Commit(500);
  const std::string whole = Copy();
  Replace(LogOf(whole), Log());
  ExpectFirst(whole, 3);
  const std::string cut = Copy();
  Replace(LogOf(cut), Log().substr(0, Log().size() - 20));
  ExpectFirst(cut, 2);
}

TEST_F(RocksDbLogTest, Damage_IsRefused) {
  for (int i = 0; i < 200; ++i) Commit(500);
  const size_t bytes = Log().size();
  for (size_t at : {size_t{10}, bytes / 2, bytes - 3}) {
    const std::string damaged = Copy();
    std::string log = ReadAll(LogOf(damaged));
    log[at] = static_cast<char>(log[at] ^ 1);
    Replace(LogOf(damaged), log);
    ExpectRefused(damaged);
  }
  const std::string wiped = Copy();
  std::string log = ReadAll(LogOf(wiped));
  log.replace(bytes / 2 / kSector * kSector, kSector, kSector, '\0');
  Replace(LogOf(wiped), log);
  ExpectRefused(wiped);
}

}  // namespace
}  // namespace appendfs
