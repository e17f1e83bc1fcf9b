#pragma once

struct fuse_lowlevel_ops;

namespace appendfs::fuse {

// Each fills in its group of callbacks. They decode a request, call the
// client, and reply; their user data is a MountState. They run on libfuse's
// threads and may block those; writes, fsyncs and closes that wait for the
// cluster do not.
void AddNameOperations(fuse_lowlevel_ops& operations);       // lookup, mkdir, rename ...
void AddAttributeOperations(fuse_lowlevel_ops& operations);  // getattr, setattr, readlink
void AddXattrOperations(fuse_lowlevel_ops& operations);      // getxattr, setxattr ...
void AddFileOperations(fuse_lowlevel_ops& operations);       // open, create, release
void AddDataOperations(fuse_lowlevel_ops& operations);       // read, write, fsync, flush ...
void AddLockOperations(fuse_lowlevel_ops& operations);       // flock, setlk, getlk
void AddDirectoryOperations(fuse_lowlevel_ops& operations);  // opendir, readdir ...
void AddSystemOperations(fuse_lowlevel_ops& operations);     // init, statfs

// After all these: makes a Call of each request, so that it is counted and can
// be interrupted.
void CountCalls(fuse_lowlevel_ops& operations);

}  // namespace appendfs::fuse
