#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chunkserver/core/sequencer.h"

namespace appendfs {

// A sequencer of one chunk on three servers, and what it has said.
class SequencerTest : public ::testing::Test, public Sequencer::Output {
 protected:
  static constexpr ChunkHandle kHandle{77};
  static constexpr Epoch kEpoch{3};
  static constexpr ServerId kSelf{1}, kSecond{2}, kThird{3};
  static constexpr ClientId kClient{50};
  static constexpr StreamId kStream{9}, kOtherStream{10};

  SequencerTest() { Start({kSelf, kSecond, kThird}, 1000); }

  void Start(std::vector<ServerId> members, uint64_t capacity, DedupMemory memory = {}) {
    sequencer_ = std::make_unique<Sequencer>(
        Sequencer::Setup{kHandle, kEpoch, FileOffset(5000), capacity, kSelf, std::move(members), 0,
                         0, std::move(memory)},
        Sequencer::Options(), *this);
  }

  ClientBatch Batch(uint64_t sequence, std::string payload, uint64_t predecessor) {
    ClientBatch batch;
    batch.handle = kHandle;
    batch.epoch = kEpoch;
    batch.client = kClient;
    batch.sequence = Sequence(sequence);
    batch.predecessor = Sequence(predecessor);
    batch.payload = Buffer::From(std::move(payload));
    batch.stream = kStream;
    return batch;
  }
  void Append(const ClientBatch& batch) { sequencer_->Append(batch, ++wall_, now_); }
  void Append(uint64_t sequence, std::string payload) {
    Append(Batch(sequence, std::move(payload), sequence - 1));
  }
  void VoteFor(ServerId from, uint64_t length, absl::Status status = absl::OkStatus()) {
    sequencer_->OnVote(from, {kHandle, kEpoch, length, std::move(status)}, now_);
  }
  void Fill(uint64_t sequence, uint64_t bytes) { Append(sequence, std::string(bytes, 'x')); }
  Reason LastReason() {
    return outcomes_.empty() ? Reason() : ReasonOf(outcomes_.back().second.status);
  }

  void SendReady(ServerId to, const Ready& ready, When when) override {
    ready_[to].push_back(ready);
    gathers_[to] = when == When::kSoon;
  }
  void SendCommit(ServerId to, const Commit& commit) override { commits_[to] = commit.length; }
  void SendConfirm(ServerId to, const Confirm& confirm) override {
    rounds_[to].push_back(confirm.round);
  }
  void AnswerClient(StreamId to, const ClientOutcome& outcome) override {
    outcomes_.emplace_back(to, outcome);
  }
  void Release(StreamId stream, uint64_t bytes) override { released_[stream] += bytes; }
  void AnswerFresh(uint64_t token, const absl::StatusOr<FreshLength>& answer) override {
    fresh_.emplace(token, answer);
  }
  void Report(const ChunkEvent& event) override { events_.push_back(event); }

  Duration now_ = std::chrono::seconds(100);
  uint64_t wall_ = 1'000'000;
  std::map<ServerId, std::vector<Ready>> ready_;
  std::map<ServerId, bool> gathers_;  // the last one
  std::map<ServerId, uint64_t> commits_;
  std::map<ServerId, std::vector<uint64_t>> rounds_;
  std::vector<std::pair<StreamId, ClientOutcome>> outcomes_;
  std::map<StreamId, uint64_t> released_;
  std::map<uint64_t, absl::StatusOr<FreshLength>> fresh_;
  std::vector<ChunkEvent> events_;
  std::unique_ptr<Sequencer> sequencer_;
};

}  // namespace appendfs
