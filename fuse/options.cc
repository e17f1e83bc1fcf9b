#include "fuse/options.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "common/str_cat.h"

namespace appendfs::fuse {
namespace {

using Value = std::optional<std::string_view>;

constexpr std::string_view kDefaultPort = "9400";

// mount(2)'s own flags: handed on as they are.
constexpr std::array<std::string_view, 12> kKernelOptions = {
    "suid",  "nosuid", "dev",     "nodev",      "exec",       "noexec",
    "async", "sync",   "noatime", "nodiratime", "norelatime", "dirsync"};

// What /etc/fstab may carry for mount(8) and systemd, and what is so anyway.
constexpr std::array<std::string_view, 17> kSkippedOptions = {
    "defaults", "auto",     "noauto",   "user",      "nouser",     "users",
    "group",    "owner",    "nofail",   "_netdev",   "loud",       "silent",
    "atime",    "relatime", "diratime", "nodirsync", "strictatime"};

absl::Status BadValue(std::string_view name, Value value, std::string_view wanted) {
  return MakeError(v1::INVALID, value ? StrCat("option ", name, "=", *value, ": not ", wanted)
                                      : StrCat("option ", name, " needs a value: ", wanted));
}

absl::Status ParseDuration(std::string_view name, Value value, std::chrono::milliseconds& into) {
  constexpr std::string_view kWanted = "a duration like 30s, 500ms or 2m (a bare number: seconds)";
  if (!value) return BadValue(name, value, kWanted);
  double seconds = 0;
  absl::Duration duration;
  if (absl::SimpleAtod(ToAbsl(*value), &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(ToAbsl(*value), &duration)) {
    return BadValue(name, value, kWanted);
  }
  if (duration < absl::Milliseconds(1) || duration > absl::Hours(24))
    return BadValue(name, value, "between 1ms and 24h");
  into = absl::ToChronoMilliseconds(duration);
  return absl::OkStatus();
}

absl::Status ParseSeconds(std::string_view name, Value value, std::optional<double>& into) {
  double seconds = 0;
  if (!value || !absl::SimpleAtod(ToAbsl(*value), &seconds) || !std::isfinite(seconds) ||
      seconds < 0)
    return BadValue(name, value, "a number of seconds, 0 or more");
  into = seconds;
  return absl::OkStatus();
}

absl::Status ParseBytes(std::string_view name, Value value, std::optional<uint64_t>& into) {
  constexpr std::string_view kWanted = "a size like 64M (K, M or G), at least 1M";
  if (!value || value->empty()) return BadValue(name, std::nullopt, kWanted);
  std::string_view digits = *value;
  int shift = 0;
  switch (digits.back()) {
    case 'K':
    case 'k': shift = 10; break;
    case 'M':
    case 'm': shift = 20; break;
    case 'G':
    case 'g': shift = 30; break;
    default: break;
  }
  if (shift != 0) digits.remove_suffix(1);
  uint64_t number = 0;
  if (!absl::SimpleAtoi(ToAbsl(digits), &number) || number > (uint64_t{1} << 40) >> shift ||
      number << shift < uint64_t{1} << 20)
    return BadValue(name, value, kWanted);
  into = number << shift;
  return absl::OkStatus();
}

absl::Status ParseAck(std::string_view name, Value value, Ack& into) {
  if (value == "buffered") {
    into = Ack::kBuffered;
  } else if (value == "commit") {
    into = Ack::kCommit;
  } else {
    return BadValue(name, value, "buffered or commit");
  }
  return absl::OkStatus();
}

// "host" and "[::1]" get the port everybody uses.
absl::Status AppendMaster(std::string_view address, std::string& masters) {
  const size_t bracket = address.rfind(']');
  const size_t colon = address.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const bool has_port = colon != std::string_view::npos;
  uint32_t port = 0;
  if (address.empty() || colon == 0 ||
      (has_port &&
       (!absl::SimpleAtoi(ToAbsl(address.substr(colon + 1)), &port) || port == 0 || port > 65535)))
    return MakeError(v1::INVALID, StrCat("master address \"", address, "\" is not host:port"));
  if (!masters.empty()) masters += ',';
  masters += address;
  if (!has_port) masters += StrCat(":", kDefaultPort);
  return absl::OkStatus();
}

template <size_t N>
bool Contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsSkipped(std::string_view name) {
  return Contains(kSkippedOptions, name) || name.starts_with("x-") || name.starts_with("X-") ||
         name == "comment";
}

}  // namespace

absl::Status ParseSource(std::string_view source, MountOptions& options) {
  const size_t slash = source.find('/');
  std::string_view masters = source.substr(0, slash);
  if (masters.empty())
    return MakeError(v1::INVALID,
                     StrCat("source \"", source, "\" is not host:port[/sub/directory]"));
  options.master.clear();
  for (;;) {
    const size_t comma = masters.find(',');
    APPENDFS_RETURN_IF_ERROR(AppendMaster(masters.substr(0, comma), options.master));
    if (comma == std::string_view::npos) break;
    masters.remove_prefix(comma + 1);
  }
  options.source = std::string(source);
  options.subdirectory = slash == std::string_view::npos ? "/" : std::string(source.substr(slash));
  while (options.subdirectory.size() > 1 && options.subdirectory.back() == '/')
    options.subdirectory.pop_back();
  return absl::OkStatus();
}

absl::Status ApplyOption(std::string_view name, Value value, MountOptions& options) {
  if (IsSkipped(name)) return absl::OkStatus();
  if (name == "ack") return ParseAck(name, value, options.ack);
  if (name == "timeout") return ParseDuration(name, value, options.timeout);
  if (name == "connect_timeout") return ParseDuration(name, value, options.connect_timeout);
  if (name == "entry_timeout") return ParseSeconds(name, value, options.entry_timeout_seconds);
  if (name == "attr_timeout") return ParseSeconds(name, value, options.attr_timeout_seconds);
  if (name == "queue") return ParseBytes(name, value, options.queue_bytes);
  if (name == "readahead") return ParseBytes(name, value, options.readahead_bytes);
  if (name == "cluster") {
    if (!value || value->empty()) return BadValue(name, std::nullopt, "the cluster's uuid");
    options.cluster_uuid = std::string(*value);
    return absl::OkStatus();
  }

  const bool is_switch = name == "ro" || name == "rw" || name == "allow_other" ||
                         name == "noallow_other" || name == "debug" || name == "foreground" ||
                         Contains(kKernelOptions, name);
  if (!is_switch)
    return MakeError(v1::INVALID, StrCat("unknown mount option \"", name,
                                         "\" (mount.appendfs(8) lists what there is)"));
  if (value) return MakeError(v1::INVALID, StrCat("option ", name, " takes no value"));
  if (name == "ro" || name == "rw") {
    options.read_only = name == "ro";
  } else if (name == "allow_other" || name == "noallow_other") {
    options.allow_other = name == "allow_other";
  } else if (name == "foreground") {
    options.foreground = true;
  } else if (name == "debug") {
    options.debug = options.foreground = true;
  } else {
    options.kernel_options.emplace_back(name);
    if (name == "sync") options.ack = Ack::kCommit;  // every write is as O_SYNC
  }
  return absl::OkStatus();
}

absl::Status ApplyOptions(std::string_view list, MountOptions& options) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view option = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (option.empty()) continue;
    const size_t equals = option.find('=');
    const Value value =
        equals == std::string_view::npos ? Value() : Value(option.substr(equals + 1));
    APPENDFS_RETURN_IF_ERROR(ApplyOption(option.substr(0, equals), value, options));
  }
  return absl::OkStatus();
}

}  // namespace appendfs::fuse
