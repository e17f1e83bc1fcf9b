// Random operations against the namespace and a model that is as simple as it
// can be. APPENDFS_TEST_SEED replays a run.

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "tests/master/tiny_namespace.h"

namespace appendfs {
namespace {

struct Node {
  v1::FileType type = v1::REGULAR;
  int links = 0;  // names; of a directory always one
  uint64_t parent = 0;
  std::map<std::string, uint64_t> names;  // of a directory
};

// What the namespace should look like; every method says how it should answer.
class Model {
 public:
  Model() { nodes_[kRoot] = {v1::DIRECTORY, 1, kRoot, {}}; }

  Node* Directory(uint64_t inode, Reason& reason) {
    auto found = nodes_.find(inode);
    if (found == nodes_.end()) {
      reason = v1::NO_ENTRY;
    } else if (found->second.type != v1::DIRECTORY) {
      reason = v1::NOT_DIRECTORY;
    } else {
      return &found->second;
    }
    return nullptr;
  }
  static uint64_t Find(const Node& directory, const std::string& name) {
    auto found = directory.names.find(name);
    return found == directory.names.end() ? 0 : found->second;
  }

  Reason Make(uint64_t parent, const std::string& name) {
    Reason reason = v1::REASON_UNSPECIFIED;
    Node* directory = Directory(parent, reason);
    if (!directory) return reason;
    return Find(*directory, name) ? v1::ENTRY_EXISTS : v1::REASON_UNSPECIFIED;
  }
  void Made(uint64_t parent, const std::string& name, v1::FileType type, uint64_t inode) {
    nodes_[inode] = {type, 1, parent, {}};
    nodes_[parent].names[name] = inode;
  }

  Reason Link(uint64_t inode, uint64_t parent, const std::string& name) {
    if (!nodes_.contains(inode)) return v1::NO_ENTRY;
    if (nodes_[inode].type == v1::DIRECTORY) return v1::NOT_PERMITTED;
    if (nodes_[inode].links == 0) return v1::NO_ENTRY;
    Reason reason = Make(parent, name);
    if (reason != v1::REASON_UNSPECIFIED) return reason;
    ++nodes_[inode].links;
    nodes_[parent].names[name] = inode;
    return reason;
  }

  Reason Unlink(uint64_t parent, const std::string& name, bool directory, bool open) {
    Reason reason = v1::REASON_UNSPECIFIED;
    Node* from = Directory(parent, reason);
    if (!from) return reason;
    uint64_t inode = Find(*from, name);
    if (!inode) return v1::NO_ENTRY;
    bool is_directory = nodes_[inode].type == v1::DIRECTORY;
    if (is_directory != directory) return is_directory ? v1::IS_DIRECTORY : v1::NOT_DIRECTORY;
    if (is_directory && !nodes_[inode].names.empty()) return v1::DIRECTORY_NOT_EMPTY;
    from->names.erase(name);
    Drop(inode, open);
    return reason;
  }

  Reason Rename(uint64_t parent, const std::string& name, uint64_t new_parent,
                const std::string& new_name, TinyNamespace::RenameMode mode, bool open) {
    Reason reason = v1::REASON_UNSPECIFIED;
    Node* from = Directory(parent, reason);
    if (!from) return reason;
    Node* to = Directory(new_parent, reason);
    if (!to) return reason;
    uint64_t source = Find(*from, name), target = Find(*to, new_name);
    if (!source) return v1::NO_ENTRY;
    if (target && mode == TinyNamespace::kNoReplace) return v1::ENTRY_EXISTS;
    if (!target && mode == TinyNamespace::kExchange) return v1::NO_ENTRY;
    if (source == target) return reason;
    if (Below(new_parent, source)) return v1::INVALID;
    if (mode == TinyNamespace::kExchange) {
      if (Below(parent, target)) return v1::INVALID;
      from->names[name] = target;
      to->names[new_name] = source;
      nodes_[target].parent = parent;
    } else {
      if (target) {
        bool source_is = nodes_[source].type == v1::DIRECTORY;
        bool target_is = nodes_[target].type == v1::DIRECTORY;
        if (source_is != target_is) return target_is ? v1::IS_DIRECTORY : v1::NOT_DIRECTORY;
        if (target_is && !nodes_[target].names.empty()) return v1::DIRECTORY_NOT_EMPTY;
      }
      from->names.erase(name);
      to->names[new_name] = source;
      if (target) Drop(target, open);
    }
    nodes_[source].parent = new_parent;
    return reason;
  }

  void Drop(uint64_t inode, bool open) {
    Node& node = nodes_[inode];
    if (--node.links == 0 && (node.type == v1::DIRECTORY || !open)) nodes_.erase(inode);
  }
  void PurgeOrphans() {
    std::erase_if(nodes_, [](const auto& pair) { return pair.second.links == 0; });
  }
  bool Below(uint64_t inode, uint64_t ancestor) {
    while (inode != ancestor && inode != kRoot) inode = nodes_[inode].parent;
    return inode == ancestor;
  }

  const std::map<uint64_t, Node>& nodes() const { return nodes_; }

 private:
  std::map<uint64_t, Node> nodes_;
};

void Compare(TinyNamespace& ns, const Model& model) {
  ASSERT_EQ(CountInodes(ns.tables()).value(), model.nodes().size());
  size_t names = 0;
  for (const auto& [inode, node] : model.nodes()) {
    v1::Attributes attributes = ns.AttributesOf(inode);
    ASSERT_EQ(attributes.type(), node.type);
    if (node.type != v1::DIRECTORY) {
      ASSERT_EQ(attributes.nlink(), static_cast<uint32_t>(node.links));
      continue;
    }
    ASSERT_EQ(attributes.sealed_bytes(), node.names.size());
    ASSERT_EQ(attributes.parent(), node.parent);
    uint32_t subdirectories = 0;
    std::vector<std::string> expected;
    for (const auto& [name, target] : node.names) {
      expected.push_back(name);
      ASSERT_EQ(ns.Find(inode, name), target);
      subdirectories += model.nodes().at(target).type == v1::DIRECTORY;
    }
    names += expected.size();
    ASSERT_EQ(attributes.nlink(), 2 + subdirectories);
    ASSERT_EQ(ns.List(inode), expected);
  }
  ASSERT_EQ(ns.CountPairs(Table::kDentries), static_cast<int>(names));
}

TEST(Namespace, RandomOperations_BehaveLikeTheModel) {
  const char* fixed = std::getenv("APPENDFS_TEST_SEED");
  uint64_t seed = fixed ? std::strtoull(fixed, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("APPENDFS_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  auto pick = [&](uint64_t below) { return random() % below; };

  TinyNamespace ns;
  Model model;
  uint64_t highest = kRoot;
  for (int step = 0; step < 4000; ++step) {
    auto inode = [&] { return pick(4) ? 1 + pick(highest + 1) : kRoot; };
    auto name = [&] { return std::string(1, static_cast<char>('a' + pick(5))); };
    uint64_t parent = inode(), other = inode();
    std::string first = name(), second = name();
    bool open = pick(2) == 0;
    v1::MetaOp op;
    Reason expected;
    switch (pick(10)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        v1::FileType type = pick(2) ? v1::DIRECTORY : v1::REGULAR;
        expected = model.Make(parent, first);
        v1::MetaResult result = ns.Run(ns.MakeOp(parent, first, type));
        ASSERT_EQ(result.error().reason(), expected) << "step " << step;
        if (expected == v1::REASON_UNSPECIFIED) {
          highest = result.make_node().entry().attributes().inode();
          model.Made(parent, first, type, highest);
        }
        continue;
      }
      case 4:
        expected = model.Link(other, parent, first);
        op = ns.LinkOp(other, parent, first);
        break;
      case 5:
      case 6: {
        bool directory = pick(2) == 0;
        expected = model.Unlink(parent, first, directory, open);
        op = ns.UnlinkOp(parent, first, directory);
        break;
      }
      case 7:
      case 8: {
        auto mode = static_cast<TinyNamespace::RenameMode>(pick(3));
        expected = model.Rename(parent, first, other, second, mode, open);
        op = ns.RenameOp(parent, first, other, second, mode);
        break;
      }
      default:
        for (const auto& [orphan, node] : model.nodes())
          if (node.links == 0) op.mutable_purge_orphans()->add_inodes(orphan);
        op.mutable_purge_orphans();
        model.PurgeOrphans();
        expected = v1::REASON_UNSPECIFIED;
        open = false;
    }
    if (open)
      for (uint64_t i = 1; i <= highest; ++i) op.add_open_inodes(i);
    v1::MetaResult result = ns.Run(op);
    ASSERT_EQ(result.error().reason(), expected)
        << "step " << step << ": " << op.ShortDebugString() << result.error().message();
    if (step % 50 == 0) Compare(ns, model);
    if (::testing::Test::HasFatalFailure()) return;
  }
  Compare(ns, model);
}

}  // namespace
}  // namespace appendfs
