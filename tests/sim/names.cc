#include "tests/sim/names.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace appendfs::sim {

void Names::Run() {
  while (true) {
    names_.clear();
    attributes_.clear();
    bool known = MakeDirectory();
    while (known) {
      world_.kernel.Wait([] { return false; },
                         world_.kernel.Between(milliseconds(20), milliseconds(300)));
      known = Step();
    }
    world_.kernel.Wait([] { return false; }, milliseconds(100));
  }
}

template <class Response, class Request>
absl::StatusOr<Response> Names::Mutate(Request request) {
  *request.mutable_mutation() = session_.mutations().Begin();
  absl::StatusOr<Response> response = master_.Call(request, Deadline());
  session_.mutations().End(request.mutation());
  return response;
}

uint64_t Names::InodeOf(const std::string& name) const {
  auto found = names_.find(name);
  return found == names_.end() ? 0 : found->second;
}

bool Names::Expect(const absl::Status& status, bool possible, Reason otherwise,
                   const std::string& what) {
  world_.kernel.counts["names changed or looked up"]++;
  if (possible ? status.ok() : HasReason(status, otherwise)) return true;
  if (status.ok() || HasReason(status, v1::NO_ENTRY) || HasReason(status, v1::ENTRY_EXISTS) ||
      HasReason(status, v1::NO_ATTRIBUTE))
    world_.kernel.Fail(StrCat("inode=", inode_, " ", what, ": ",
                              status.ok() ? "OK" : std::string(status.message()), ", but it ",
                              possible ? "must be possible" : "must be refused"));
  return false;  // not answered in time, or the session has ended
}

bool Names::MakeDirectory() {
  v1::MakeNodeRequest request;
  request.set_parent(kRootInode.value());
  request.set_name(StrCat(directory_, "-", ++directories_));
  request.set_type(v1::DIRECTORY);
  request.set_mode(0755);
  request.set_exclusive(true);
  auto made = Mutate<v1::MakeNodeResponse>(request);
  if (!Expect(made.status(), true, {}, StrCat("make directory ", request.name()))) return false;
  inode_ = made->entry().attributes().inode();
  return true;
}

bool Names::Step() {
  auto any = [&] { return StrCat("n", world_.kernel.Random(5)); };
  auto attribute = [&] { return StrCat("user.a", world_.kernel.Random(3)); };
  switch (world_.kernel.Random(9)) {
    case 0:
    case 1: return Make(any());
    case 2: return Remove(any());
    case 3: return Move(any(), any());
    case 4: return Look(any());
    case 5:
    case 6: return SetAttribute(attribute());
    case 7: return RemoveAttribute(attribute());
    default: return LookAtAttributes();
  }
}

bool Names::Make(const std::string& name) {
  v1::MakeNodeRequest request;
  request.set_parent(inode_);
  request.set_name(name);
  request.set_type(v1::REGULAR);
  request.set_mode(0644);
  request.set_exclusive(true);
  auto made = Mutate<v1::MakeNodeResponse>(request);
  const bool there = InodeOf(name) != 0;
  if (!Expect(made.status(), !there, v1::ENTRY_EXISTS, StrCat("make ", name))) return false;
  if (made.ok()) names_[name] = made->entry().attributes().inode();
  return true;
}

bool Names::Remove(const std::string& name) {
  v1::UnlinkRequest request;
  request.set_parent(inode_);
  request.set_name(name);
  auto gone = Mutate<v1::UnlinkResponse>(request);
  const uint64_t inode = InodeOf(name);
  if (!Expect(gone.status(), inode != 0, v1::NO_ENTRY, StrCat("remove ", name))) return false;
  if (gone.ok() && gone->inode() != inode)
    world_.kernel.Fail(StrCat("remove ", name, ": inode ", gone->inode(), ", not ", inode));
  names_.erase(name);
  attributes_.erase(inode);
  return true;
}

bool Names::Move(const std::string& from, const std::string& to) {
  v1::RenameRequest request;
  request.set_parent(inode_);
  request.set_name(from);
  request.set_new_parent(inode_);
  request.set_new_name(to);
  auto moved = Mutate<v1::RenameResponse>(request);
  const uint64_t inode = InodeOf(from);
  if (!Expect(moved.status(), inode != 0, v1::NO_ENTRY, StrCat("move ", from, " to ", to)))
    return false;
  if (!moved.ok() || from == to) return true;
  if (moved->inode() != inode)
    world_.kernel.Fail(StrCat("move ", from, ": inode ", moved->inode(), ", not ", inode));
  attributes_.erase(InodeOf(to));
  names_[to] = inode;
  names_.erase(from);
  return true;
}

bool Names::Look(const std::string& name) {
  v1::LookupRequest request;
  request.set_client_id(session_.id().value());
  request.set_parent(inode_);
  request.set_name(name);
  auto entry = master_.Call(request, Deadline());
  const uint64_t inode = InodeOf(name);
  if (!Expect(entry.status(), inode != 0, v1::NO_ENTRY, StrCat("look up ", name))) return false;
  if (entry.ok() && entry->attributes().inode() != inode)
    world_.kernel.Fail(
        StrCat("look up ", name, ": inode ", entry->attributes().inode(), ", not ", inode));
  return true;
}

uint64_t Names::AnyInode() {
  if (names_.empty()) return 0;
  auto any = names_.begin();
  std::advance(any, world_.kernel.Random(names_.size()));
  return any->second;
}

// As setxattr(2) has it: in any case, only a new one, or only one that is there.
bool Names::SetAttribute(const std::string& name) {
  const uint64_t inode = AnyInode();
  if (inode == 0) return true;
  auto& attributes = attributes_[inode];
  const bool there = attributes.contains(name);
  v1::SetXattrRequest request;
  request.set_inode(inode);
  request.set_name(name);
  request.set_value(StrCat("v", world_.kernel.Random(1000)));
  const uint64_t how = world_.kernel.Random(3);
  request.set_create(how == 1);
  request.set_replace(how == 2);
  const bool possible = how == 0 || (how == 1) != there;
  auto set = Mutate<v1::SetXattrResponse>(request);
  if (!Expect(set.status(), possible, how == 1 ? v1::ENTRY_EXISTS : v1::NO_ATTRIBUTE,
              StrCat("set ", name, " of ", inode)))
    return false;
  if (set.ok()) attributes[name] = request.value();
  return true;
}

bool Names::RemoveAttribute(const std::string& name) {
  const uint64_t inode = AnyInode();
  if (inode == 0) return true;
  auto& attributes = attributes_[inode];
  v1::RemoveXattrRequest request;
  request.set_inode(inode);
  request.set_name(name);
  auto gone = Mutate<v1::RemoveXattrResponse>(request);
  if (!Expect(gone.status(), attributes.contains(name), v1::NO_ATTRIBUTE,
              StrCat("remove ", name, " of ", inode)))
    return false;
  attributes.erase(name);
  return true;
}

bool Names::LookAtAttributes() {
  const uint64_t inode = AnyInode();
  if (inode == 0) return true;
  const auto& attributes = attributes_[inode];
  v1::ListXattrsRequest list;
  list.set_client_id(session_.id().value());
  list.set_inode(inode);
  auto listed = master_.Call(list, Deadline());
  if (!Expect(listed.status(), true, {}, StrCat("list the attributes of ", inode))) return false;
  std::vector<std::string> names;
  for (const auto& [name, value] : attributes) names.push_back(name);
  if (!std::equal(names.begin(), names.end(), listed->names().begin(), listed->names().end()))
    world_.kernel.Fail(StrCat("inode ", inode, ": it has ", listed->names_size(),
                              " attributes, or others, not ", names.size()));
  const std::string name = StrCat("user.a", world_.kernel.Random(3));
  auto known = attributes.find(name);
  v1::GetXattrRequest request;
  request.set_client_id(session_.id().value());
  request.set_inode(inode);
  request.set_name(name);
  auto value = master_.Call(request, Deadline());
  if (!Expect(value.status(), known != attributes.end(), v1::NO_ATTRIBUTE,
              StrCat("look at ", name, " of ", inode)))
    return false;
  if (value.ok() && value->value() != known->second)
    world_.kernel.Fail(
        StrCat("inode ", inode, ": ", name, " is ", value->value(), ", not ", known->second));
  return true;
}

}  // namespace appendfs::sim
