# Sourced by ./dev: Debian packages.

PACKAGES=(
  # to build
  meson ninja-build g++ pkg-config ccache
  libfuse3-dev libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  librocksdb-dev libgoogle-glog-dev libcli11-dev libisal-dev prometheus-cpp-dev
  libcpp-httplib-dev nlohmann-json3-dev libabsl-dev libasio-dev
  # to run and to test
  fuse3 procps iproute2 python3 python3-pytest python3-pytest-xdist libgtest-dev libgmock-dev libbenchmark-dev
  # the log software of docs/log-software.md, and what reads logs
  rsyslog bsdutils nginx-light logrotate rsync apache2-utils bsdextrautils tar gzip xz-utils zstd sed vim-tiny
  apache2-bin runit daemontools less lnav multitail git openjdk-17-jdk-headless
  nfs-ganesha nfs-ganesha-vfs libnfs-utils
  libivykis0 libnet1 libwrap0 libjson-c5 libpcre3 libglib2.0-0
  # to check
  clang clang-tidy clang-format
)

# Packages that cannot be installed beside the others (there may be one syslogd only), or bring much that is not needed. They
# are unpacked here, each into a directory of its name, and run from there.
UNPACKED=/usr/local/lib/appendfs-dev
UNPACKED_PACKAGES=(syslog-ng-core prometheus)

missing_packages() {
  local package status
  for package in "${PACKAGES[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null) || status=
    [[ $status == *installed* && $status != *not-installed* ]] || echo "$package"
  done
}

# unpack_packages: without them all can be built, and only their own tests are skipped.
unpack_packages() {
  local package scratch
  for package in "${UNPACKED_PACKAGES[@]}"; do
    [ -e "$UNPACKED/$package" ] && continue
    note "unpacking $package into $UNPACKED"
    scratch=$(mktemp -d)
    (
      cd "$scratch"
      { apt-get download -q "$package" || { apt-get update -q && apt-get download -q "$package"; }; } &&
        dpkg-deb -x "$package"_*.deb tree && mkdir -p "$UNPACKED" && mv tree "$UNPACKED/$package"
    ) >&2 </dev/null || note "$package is not to be had: its tests will be skipped"
    rm -rf "$scratch"
  done
}

install_packages() {
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    die "setup knows Debian only; here you need the equivalents of: ${PACKAGES[*]}"
  local missing
  mapfile -t missing < <(missing_packages)
  if [ ${#missing[@]} -eq 0 ]; then
    [ "$(id -u)" -ne 0 ] || unpack_packages
    return
  fi
  [ "$(id -u)" -eq 0 ] || die "these packages are missing: ${missing[*]}; run ./dev setup as root"
  note "installing ${missing[*]}"
  (
    guard_services
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >&2 </dev/null ||
      die "apt-get failed (above); without these packages nothing can be built: ${missing[*]}"
  )
  unpack_packages
}

# Packages like nginx and rsyslog start their service when they are installed;
# nobody asked for that here. Ends with the (sub)shell that calls it.
guard_services() {
  local policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] && return
  trap "rm -f $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}
