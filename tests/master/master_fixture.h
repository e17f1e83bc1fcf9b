#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/protocol.h"
#include "master/memory_tables.h"
#include "master/namespace/meta_machine.h"
#include "master/rpc/parts.h"
#include "tests/master/log_helpers.h"
#include "tests/master/still_chunk_manager.h"

namespace appendfs {

// A master in memory, without servers.
class MasterFixture : public ::testing::Test {
 protected:
  MasterFixture() {
    MetaLogOptions options;
    options.gate = &files_;
    opened_ = OpenMemoryMetaLog(machine_, clock_, options).value();
    sessions_ = Sessions::Create({}, *opened_.log, files_, clock_).value();
    sessions_->Start(
        [this](std::vector<ChunkHandle> handles) { chunks_.AddGarbage(std::move(handles)); });
  }
  ~MasterFixture() override { opened_.log->Stop(); }

  MasterParts parts() {
    return {*opened_.log,       files_, *sessions_, chunks_, clock_, opened_.cluster_uuid,
            opened_.incarnation};
  }
  v1::OpenSessionRequest SessionRequest() const {
    v1::OpenSessionRequest request;
    *request.mutable_version() = OurProtocol();
    request.set_cluster_uuid(opened_.cluster_uuid);
    request.set_description("test");
    return request;
  }
  v1::MakeNodeRequest MakeRequest(uint64_t client, uint64_t sequence, const std::string& name) {
    return MakeFileOp(client, sequence, name).make_node();
  }
  // Gives the file an open chunk on servers 1 and 2; its handle.
  uint64_t Allocate(uint64_t inode) {
    v1::MetaOp op;
    op.mutable_reserve_handles()->set_count(1);
    uint64_t handle = ProposeAndWait(*opened_.log, op).value().id();
    v1::AllocateChunkOp& allocate = *op.mutable_allocate_chunk();
    allocate.set_inode(inode);
    allocate.set_handle(handle);
    allocate.set_capacity(10);
    allocate.add_members(1);
    allocate.add_members(2);
    allocate.set_primary_id(1);
    EXPECT_FALSE(ProposeAndWait(*opened_.log, op).value().has_error());
    return handle;
  }

  OpenInodes files_;
  MetaMachine machine_;
  ManualClock clock_;
  OpenedMetaLog opened_;
  StillChunkManager chunks_;
  std::unique_ptr<Sessions> sessions_;
};

}  // namespace appendfs
