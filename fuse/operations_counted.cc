#include <type_traits>

#include "fuse/current_call.h"
#include "fuse/operations.h"
#include "fuse/reply.h"

namespace appendfs::fuse {
namespace {

// libfuse calls this while it holds the request: only a note is made of it.
void NoteInterrupt(fuse_req_t request, void* id) {
  MountState& state = StateOf(request);
  if (const std::shared_ptr<Call> call = state.calls->Find(reinterpret_cast<uintptr_t>(id)))
    state.interrupts.Note(call);
}

// The first of its arguments that names an inode; every request has one.
template <class First, class... Rest>
InodeId InodeOf(MountState& state, First first, Rest... rest) {
  if constexpr (std::is_same_v<First, fuse_ino_t>)
    return state.inodes.ToInode(first);
  else
    return InodeOf(state, rest...);
}

// A callback with a Call around it. What it was is the same for all mounts of
// a process, hence static.
template <auto kMember, CallKind kKind>
struct Counted;
template <class... Arguments, void (*fuse_lowlevel_ops::*kMember)(fuse_req_t, Arguments...),
          CallKind kKind>
struct Counted<kMember, kKind> {
  using Callback = void (*)(fuse_req_t, Arguments...);
  static inline Callback callback = nullptr;

  static void Run(fuse_req_t request, Arguments... arguments) {
    MountState& state = StateOf(request);
    CallScope scope(
        state.calls->Begin(kKind, InodeOf(state, arguments...), fuse_req_ctx(request)->pid));
    fuse_req_interrupt_func(request, NoteInterrupt,
                            reinterpret_cast<void*>(uintptr_t{CallScope::Current()->id}));
    callback(request, arguments...);
  }
};

template <auto kMember, CallKind kKind>
void Count(fuse_lowlevel_ops& operations) {
  if (operations.*kMember == nullptr) return;
  Counted<kMember, kKind>::callback = operations.*kMember;
  operations.*kMember = Counted<kMember, kKind>::Run;
}

}  // namespace

void CountCalls(fuse_lowlevel_ops& operations) {
  using Ops = fuse_lowlevel_ops;
  Count<&Ops::lookup, CallKind::kLookup>(operations);
  Count<&Ops::getattr, CallKind::kGetattr>(operations);
  Count<&Ops::setattr, CallKind::kSetattr>(operations);
  Count<&Ops::readlink, CallKind::kReadlink>(operations);
  Count<&Ops::mknod, CallKind::kMknod>(operations);
  Count<&Ops::mkdir, CallKind::kMkdir>(operations);
  Count<&Ops::unlink, CallKind::kUnlink>(operations);
  Count<&Ops::rmdir, CallKind::kRmdir>(operations);
  Count<&Ops::symlink, CallKind::kSymlink>(operations);
  Count<&Ops::rename, CallKind::kRename>(operations);
  Count<&Ops::link, CallKind::kLink>(operations);
  Count<&Ops::open, CallKind::kOpen>(operations);
  Count<&Ops::create, CallKind::kCreate>(operations);
  Count<&Ops::read, CallKind::kRead>(operations);
  Count<&Ops::write, CallKind::kWrite>(operations);
  Count<&Ops::flush, CallKind::kFlush>(operations);
  Count<&Ops::fsync, CallKind::kFsync>(operations);
  Count<&Ops::release, CallKind::kRelease>(operations);
  Count<&Ops::opendir, CallKind::kOpendir>(operations);
  Count<&Ops::readdir, CallKind::kReaddir>(operations);
  Count<&Ops::readdirplus, CallKind::kReaddirplus>(operations);
  Count<&Ops::releasedir, CallKind::kReleasedir>(operations);
  Count<&Ops::fsyncdir, CallKind::kFsyncdir>(operations);
  Count<&Ops::statfs, CallKind::kStatfs>(operations);
  Count<&Ops::setxattr, CallKind::kSetxattr>(operations);
  Count<&Ops::getxattr, CallKind::kGetxattr>(operations);
  Count<&Ops::listxattr, CallKind::kListxattr>(operations);
  Count<&Ops::removexattr, CallKind::kRemovexattr>(operations);
  Count<&Ops::access, CallKind::kAccess>(operations);
  Count<&Ops::getlk, CallKind::kGetlk>(operations);
  Count<&Ops::setlk, CallKind::kSetlk>(operations);
  Count<&Ops::flock, CallKind::kFlock>(operations);
  Count<&Ops::ioctl, CallKind::kIoctl>(operations);
  Count<&Ops::poll, CallKind::kPoll>(operations);
  Count<&Ops::fallocate, CallKind::kFallocate>(operations);
  Count<&Ops::lseek, CallKind::kLseek>(operations);
  Count<&Ops::copy_file_range, CallKind::kCopyFileRange>(operations);
}

}  // namespace appendfs::fuse
