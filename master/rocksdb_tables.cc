#include "master/rocksdb_tables.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "common/str_cat.h"
#include "master/rocksdb_env.h"

namespace appendfs {
namespace {

constexpr size_t kBlockCacheBytes = 128 << 20;
constexpr size_t kWriteBufferBytes = 64 << 20;  // all families together
constexpr uint64_t kWalBytes = 256 << 20;

// In the order of enum Table.
constexpr std::array<const char*, kTableCount> kFamilies = {
    "inodes",   "dentries", "chunks",  "handles", "orphans", "garbage",
    "sessions", "servers",  "results", "meta",    "xattrs"};

absl::Status ToStatus(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  return MakeError(v1::INPUT_OUTPUT, StrCat("metadata in ", what, ": ", status.ToString()));
}

rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

rocksdb::Options MakeOptions() {
  rocksdb::Options options;
  options.env = TablesEnv();
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  // The default would drop every operation behind a damaged record in silence.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.max_total_wal_size = kWalBytes;
  options.db_write_buffer_size = kWriteBufferBytes;
  options.write_buffer_size = kWriteBufferBytes / 4;
  options.max_open_files = 512;
  options.max_background_jobs = 2;
  options.bytes_per_sync = 1 << 20;
  options.keep_log_file_num = 4;
  options.max_log_file_size = 4 << 20;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

using Handles = std::array<rocksdb::ColumnFamilyHandle*, kTableCount>;

// Everything read from a database, as of a snapshot or as of now.
class RocksDbReads {
 public:
  RocksDbReads(rocksdb::DB& db, const Handles& handles, const rocksdb::Snapshot* snapshot,
               const std::string& name)
      : db_(db), handles_(handles), name_(name) {
    options_.snapshot = snapshot;
  }

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const {
    rocksdb::PinnableSlice value;
    rocksdb::Status status =
        db_.Get(options_, handles_[static_cast<size_t>(table)], ToSlice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    APPENDFS_RETURN_IF_ERROR(ToStatus(status, name_));
    return std::optional<std::string>(value.ToString());
  }

  absl::Status Scan(
      Table table, std::string_view prefix, std::string_view from,
      const std::function<bool(std::string_view key, std::string_view value)>& visit) const {
    std::unique_ptr<rocksdb::Iterator> at(
        db_.NewIterator(options_, handles_[static_cast<size_t>(table)]));
    for (at->Seek(ToSlice(std::max(prefix, from))); at->Valid(); at->Next()) {
      std::string_view key = ToView(at->key());
      if (!key.starts_with(prefix) || !visit(key, ToView(at->value()))) break;
    }
    return ToStatus(at->status(), name_);
  }

 private:
  rocksdb::DB& db_;
  const Handles& handles_;
  const std::string& name_;
  rocksdb::ReadOptions options_;
};

class RocksDbSnapshot final : public KeyValueReader {
 public:
  RocksDbSnapshot(rocksdb::DB& db, const Handles& handles, const std::string& name)
      : snapshot_(&db), reads_(db, handles, snapshot_.snapshot(), name) {}

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    return reads_.Get(table, key);
  }
  absl::Status Scan(Table table, std::string_view prefix, std::string_view from,
                    const std::function<bool(std::string_view key, std::string_view value)>& visit)
      const override {
    return reads_.Scan(table, prefix, from, visit);
  }

 private:
  rocksdb::ManagedSnapshot snapshot_;
  RocksDbReads reads_;
};

class RocksDbTables final : public DurableTables {
 public:
  RocksDbTables(std::string directory, std::unique_ptr<rocksdb::DB> db,
                std::vector<rocksdb::ColumnFamilyHandle*> all, const Handles& handles)
      : directory_(std::move(directory)),
        db_(std::move(db)),
        all_(std::move(all)),
        handles_(handles),
        reads_(*db_, handles_, nullptr, directory_) {}
  ~RocksDbTables() override {
    for (rocksdb::ColumnFamilyHandle* handle : all_) db_->DestroyColumnFamilyHandle(handle);
  }

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    return reads_.Get(table, key);
  }
  absl::Status Scan(Table table, std::string_view prefix, std::string_view from,
                    const std::function<bool(std::string_view key, std::string_view value)>& visit)
      const override {
    return reads_.Scan(table, prefix, from, visit);
  }
  std::unique_ptr<KeyValueReader> Snapshot() const override {
    return std::make_unique<RocksDbSnapshot>(*db_, handles_, directory_);
  }
  absl::Status Commit(const Overlay& changes) override {
    rocksdb::WriteBatch batch;
    rocksdb::Status status;
    changes.ForEach([&](Table table, std::string_view key,
                        const std::optional<std::string>& value) {
      if (!status.ok()) return;
      rocksdb::ColumnFamilyHandle* family = handles_[static_cast<size_t>(table)];
      status = value ? batch.Put(family, ToSlice(key), *value) : batch.Delete(family, ToSlice(key));
    });
    rocksdb::WriteOptions options;
    options.sync = true;
    if (status.ok()) status = db_->Write(options, &batch);
    return ToStatus(status, directory_);
  }

 private:
  const std::string directory_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> all_;
  const Handles handles_;
  const RocksDbReads reads_;
};

// Whether there are tables. RocksDB would start anew, in silence, beside the
// remains of tables whose CURRENT file is lost.
absl::StatusOr<bool> HasTables(const std::string& directory) {
  if (std::filesystem::exists(directory + "/CURRENT")) return true;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    std::string name = file.path().filename();
    if (name.starts_with("MANIFEST-") || name.ends_with(".sst"))
      return MakeError(v1::INPUT_OUTPUT, StrCat("metadata in ", directory, " is damaged: there is ",
                                                name, ", but no CURRENT"));
  }
  return false;
}

// The families to open: all of ours, and RocksDB's own.
absl::StatusOr<std::vector<rocksdb::ColumnFamilyDescriptor>> ListFamilies(
    const rocksdb::Options& options, const std::string& directory) {
  std::vector<std::string> names;
  APPENDFS_ASSIGN_OR_RETURN(bool has_tables, HasTables(directory));
  if (has_tables)
    APPENDFS_RETURN_IF_ERROR(
        ToStatus(rocksdb::DB::ListColumnFamilies(options, directory, &names), directory));
  for (const std::string& name : names)
    if (name != rocksdb::kDefaultColumnFamilyName &&
        std::find(kFamilies.begin(), kFamilies.end(), name) == kFamilies.end())
      return MakeError(v1::VERSION_MISMATCH,
                       StrCat("metadata in ", directory, " has a table '", name,
                              "' that this program does not know: run the newer appendfs-master"));
  std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, options}};
  for (const char* name : kFamilies) families.emplace_back(name, options);
  return families;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DurableTables>> OpenRocksDbTables(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return ErrnoError("mkdir", directory, error.value());
  rocksdb::Options options = MakeOptions();
  APPENDFS_ASSIGN_OR_RETURN(std::vector<rocksdb::ColumnFamilyDescriptor> families,
                            ListFamilies(options, directory));
  std::vector<rocksdb::ColumnFamilyHandle*> opened;
  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(options, directory, families, &opened, &db);
  APPENDFS_RETURN_IF_ERROR(ToStatus(status, directory));
  Handles handles;
  std::copy(std::next(opened.begin()), opened.end(), handles.begin());
  return std::make_unique<RocksDbTables>(directory, std::unique_ptr<rocksdb::DB>(db),
                                         std::move(opened), handles);
}

}  // namespace appendfs
