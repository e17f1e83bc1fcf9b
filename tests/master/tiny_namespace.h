#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "master/memory_tables.h"
#include "master/namespace/format.h"
#include "master/namespace/meta_machine.h"
#include "master/namespace/reads.h"

namespace appendfs {

// The rules over tables in memory, one operation after the other, without a
// log: for tests of what operations do. Time is a counter.
class TinyNamespace {
 public:
  TinyNamespace() : tables_(MakeMemoryTables()) {
    Overlay changes(tables_.get());
    EXPECT_TRUE(FormatIfEmpty(changes, 1).value());
    EXPECT_TRUE(tables_->Commit(changes).ok());
    v1::MetaOp op;
    op.mutable_open_session()->set_description("test");
    client_ = Run(op).id();
  }

  const KeyValueReader& tables() const { return *tables_; }
  uint64_t client() const { return client_; }
  uint64_t now() const { return now_; }

  v1::MetaResult Run(v1::MetaOp op) {
    op.set_now_ns(++now_);
    Overlay changes(tables_.get());
    absl::StatusOr<v1::MetaResult> result = machine_.Apply(op, changes);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    EXPECT_TRUE(!result->has_error() || changes.empty()) << "a refusal changed something";
    EXPECT_TRUE(tables_->Commit(changes).ok());
    return *std::move(result);
  }

  void Name(v1::MutationId& mutation) {
    mutation.set_client_id(client_);
    mutation.set_sequence(++sequence_);
    mutation.set_answered_below(sequence_);
  }

  v1::MetaOp MakeOp(uint64_t parent, const std::string& name, v1::FileType type = v1::REGULAR) {
    v1::MetaOp op;
    v1::MakeNodeRequest& make = *op.mutable_make_node();
    Name(*make.mutable_mutation());
    make.set_parent(parent);
    make.set_name(name);
    make.set_type(type);
    make.set_mode(type == v1::DIRECTORY ? 0755 : 0644);
    make.set_uid(10);
    make.set_gid(20);
    if (type == v1::SYMLINK) make.set_symlink_target("target");
    make.set_exclusive(true);
    return op;
  }
  uint64_t Make(uint64_t parent, const std::string& name, v1::FileType type = v1::REGULAR) {
    v1::MetaResult result = Run(MakeOp(parent, name, type));
    EXPECT_FALSE(result.has_error()) << result.error().message();
    return result.make_node().entry().attributes().inode();
  }
  v1::MetaOp LinkOp(uint64_t inode, uint64_t parent, const std::string& name) {
    v1::MetaOp op;
    v1::LinkRequest& link = *op.mutable_link();
    Name(*link.mutable_mutation());
    link.set_inode(inode);
    link.set_parent(parent);
    link.set_name(name);
    return op;
  }
  v1::MetaOp UnlinkOp(uint64_t parent, const std::string& name, bool directory = false) {
    v1::MetaOp op;
    v1::UnlinkRequest& unlink = *op.mutable_unlink();
    Name(*unlink.mutable_mutation());
    unlink.set_parent(parent);
    unlink.set_name(name);
    unlink.set_directory(directory);
    return op;
  }
  enum RenameMode { kReplace, kNoReplace, kExchange };
  v1::MetaOp RenameOp(uint64_t parent, const std::string& name, uint64_t new_parent,
                      const std::string& new_name, RenameMode mode = kReplace) {
    v1::MetaOp op;
    v1::RenameRequest& rename = *op.mutable_rename();
    Name(*rename.mutable_mutation());
    rename.set_parent(parent);
    rename.set_name(name);
    rename.set_new_parent(new_parent);
    rename.set_new_name(new_name);
    rename.set_no_replace(mode == kNoReplace);
    rename.set_exchange(mode == kExchange);
    return op;
  }
  // The reason of the refusal, or REASON_UNSPECIFIED.
  Reason ReasonRun(v1::MetaOp op) { return Run(std::move(op)).error().reason(); }

  // --- chunks ------------------------------------------------------------------
  uint64_t Reserve(uint32_t count = 1) {
    v1::MetaOp op;
    op.mutable_reserve_handles()->set_count(count);
    return Run(op).id();
  }
  v1::MetaOp AllocateOp(uint64_t inode, uint64_t after, uint64_t handle) {
    v1::MetaOp op;
    v1::AllocateChunkOp& allocate = *op.mutable_allocate_chunk();
    allocate.set_inode(inode);
    allocate.set_after_handle(after);
    allocate.set_handle(handle);
    allocate.set_capacity(1000);
    for (uint64_t member : {1, 2, 3}) allocate.add_members(member);
    allocate.set_primary_id(2);
    return op;
  }
  uint64_t Allocate(uint64_t inode, uint64_t after = 0) {
    uint64_t handle = Reserve();
    v1::MetaResult result = Run(AllocateOp(inode, after, handle));
    EXPECT_FALSE(result.has_error()) << result.error().message();
    return handle;
  }
  v1::MetaOp RecoverOp(uint64_t handle, uint64_t epoch) {
    v1::MetaOp op;
    op.mutable_begin_recovery()->set_handle(handle);
    op.mutable_begin_recovery()->set_epoch(epoch);
    return op;
  }
  v1::MetaOp SealOp(uint64_t handle, uint64_t epoch, uint64_t length, uint64_t mtime_ns = 0) {
    v1::MetaOp op;
    v1::SealChunkOp& seal = *op.mutable_seal_chunk();
    seal.set_handle(handle);
    seal.set_epoch(epoch);
    seal.set_length(length);
    seal.set_crc32c(77);
    seal.set_mtime_ns(mtime_ns);
    return op;
  }
  // Recovers and seals an open chunk of epoch 1.
  v1::MetaResult Seal(uint64_t handle, uint64_t length, uint64_t mtime_ns = 0) {
    EXPECT_FALSE(Run(RecoverOp(handle, 2)).has_error());
    v1::MetaResult result = Run(SealOp(handle, 2, length, mtime_ns));
    EXPECT_FALSE(result.has_error()) << result.error().message();
    return result;
  }

  // --- reading -----------------------------------------------------------------
  v1::Attributes AttributesOf(uint64_t inode) {
    absl::StatusOr<v1::Entry> entry = GetEntry(*tables_, InodeId(inode));
    EXPECT_TRUE(entry.ok()) << entry.status();
    return entry.ok() ? entry->attributes() : v1::Attributes();
  }
  bool Exists(uint64_t inode) { return GetEntry(*tables_, InodeId(inode)).ok(); }
  // The inode, or 0.
  uint64_t Find(uint64_t parent, const std::string& name) {
    absl::StatusOr<v1::Entry> entry = Lookup(*tables_, InodeId(parent), name);
    return entry.ok() ? entry->attributes().inode() : 0;
  }
  std::vector<std::string> List(uint64_t inode) {
    v1::ReadDirectoryRequest request;
    request.set_inode(inode);
    std::vector<std::string> names;
    absl::StatusOr<v1::ReadDirectoryResponse> page = ReadDirectoryPage(*tables_, request);
    EXPECT_TRUE(page.ok()) << page.status();
    if (page.ok())
      for (const v1::DirectoryEntry& entry : page->entries()) names.push_back(entry.name());
    return names;
  }
  int CountPairs(Table table) {
    int count = 0;
    EXPECT_TRUE(tables_
                    ->Scan(table, "", "",
                           [&](std::string_view, std::string_view) {
                             ++count;
                             return true;
                           })
                    .ok());
    return count;
  }

 private:
  const std::unique_ptr<DurableTables> tables_;
  MetaMachine machine_;
  uint64_t now_ = 1000;
  uint64_t client_ = 0;
  uint64_t sequence_ = 0;
};

inline constexpr uint64_t kRoot = 1;

}  // namespace appendfs
