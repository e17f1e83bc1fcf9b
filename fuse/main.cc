// mount.appendfs: mounts an AppendFS namespace, by hand or for mount(8).
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "client/appendfs.h"
#include "common/program.h"
#include "common/service_manager.h"
#include "fuse/daemon.h"
#include "fuse/mount_process.h"
#include "fuse/options.h"

namespace {

using appendfs::fuse::MountOptions;

constexpr char kName[] = "mount.appendfs";

// A mount option that is also a flag, an environment variable and a config key.
struct NamedOption {
  const char* name;
  const char* help;
  std::string value;
};

}  // namespace

int main(int argc, char** argv) {
  const pid_t started_as = getpid();
  appendfs::Program program(kName, "Mounts an AppendFS namespace on a directory.");
  std::string source, mountpoint;
  std::vector<std::string> lists;
  bool fake = false, foreground = false, debug = false, verbose = false;
  bool ignored = false, allow_other = false, read_only = false;
  std::string ignored_value;
  std::vector<NamedOption> named = {
      {"ack", "When write(2) returns: buffered or commit (default: buffered)"},
      {"timeout", "Bound of every request, then EIO (default: 30s)"},
      {"connect-timeout", "Bound of the first connection (default: 5s)"},
      {"entry-timeout", "Seconds names may be cached (default: directories 1, files 0)"},
      {"attr-timeout", "Seconds attributes may be cached (default: directories 1, files 0)"},
      {"queue", "Largest amount of unacknowledged appends, as 64M"},
      {"readahead", "Prefetched per sequentially read file, as 8M"},
      {"cluster", "UUID of the cluster; any other is refused"},
  };
  CLI::App& app = program.app();
  app.add_option("source", source, "host:port[/sub/directory]")->required();
  app.add_option("mountpoint", mountpoint, "An existing directory")->required();
  app.add_option("-o", lists, "Mount options, separated by commas")->allow_extra_args(false);
  app.add_flag("-F,--foreground", foreground, "Stay in the foreground");
  app.add_flag("-d,--debug", debug, "Trace every request; implies -F");
  app.add_flag("-f,--fake", fake, "Check everything but do not mount");
  app.add_flag("-v,--verbose", verbose, "Say what was mounted");
  app.add_flag("-n,-s", ignored, "Ignored: mount(8) passes them");
  app.add_option("-t", ignored_value, "Ignored: mount(8) passes it");
  for (NamedOption& option : named)
    program.Add(std::string("--") + option.name, option.value, option.help);
  program.AddFlag("--allow-other", allow_other, "Let other users in (default for root)");
  program.AddFlag("--read-only", read_only, "Mount read-only");
  if (int code = program.Parse(argc, argv); code >= 0)
    return code == 0 ? 0 : appendfs::fuse::kExitUsage;

  MountOptions options;
  options.mountpoint = mountpoint;
  if (allow_other) options.allow_other = true;
  options.read_only = read_only;
  absl::Status status = appendfs::fuse::ParseSource(source, options);
  for (NamedOption& option : named) {
    std::string name = option.name;
    for (char& c : name)
      if (c == '-') c = '_';
    if (status.ok() && !option.value.empty())
      status = appendfs::fuse::ApplyOption(name, option.value, options);
  }
  for (const std::string& list : lists)
    if (status.ok()) status = appendfs::fuse::ApplyOptions(list, options);
  if (status.ok()) status = appendfs::fuse::ResolveMountpoint(options);
  if (!status.ok()) {
    appendfs::PrintError(kName, std::string(status.message()));
    return appendfs::fuse::kExitUsage;
  }
  if (debug) options.debug = true;
  options.foreground = options.foreground || foreground || options.debug;
  if (fake) {
    if (verbose)
      std::printf("%s: would mount %s on %s\n", kName, options.source.c_str(),
                  options.mountpoint.c_str());
    return appendfs::fuse::kExitDone;
  }

  auto serve = [&options](const std::function<void()>& ready) {
    return appendfs::fuse::RunMount(options, appendfs::Client::Connect, ready);
  };
  if (options.foreground) return serve([] { appendfs::TellServiceManager("READY=1"); });
  const int code = appendfs::fuse::RunInBackground(serve);
  // Only this process comes here after a mount: the one that serves it ends
  // with an exit code of its own.
  if (verbose && code == 0 && getpid() == started_as)
    std::printf("%s: mounted %s on %s\n", kName, options.source.c_str(),
                options.mountpoint.c_str());
  return code;
}
