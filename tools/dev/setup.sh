# Sourced by ./dev: Debian packages.

PACKAGES=(
  # to build
  meson ninja-build g++ pkg-config ccache
  libfuse3-dev libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  librocksdb-dev libgoogle-glog-dev libcli11-dev libisal-dev prometheus-cpp-dev
  libcpp-httplib-dev nlohmann-json3-dev libabsl-dev libasio-dev
  # to run and to test
  fuse3 procps iproute2 python3 python3-pytest python3-pytest-xdist libgtest-dev libgmock-dev libbenchmark-dev
  rsyslog bsdutils nginx-light logrotate rsync apache2-utils bsdextrautils tar gzip xz-utils zstd sed vim-tiny
  # to check
  clang clang-tidy clang-format
)

missing_packages() {
  local package status
  for package in "${PACKAGES[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null) || status=
    [[ $status == *installed* && $status != *not-installed* ]] || echo "$package"
  done
}

install_packages() {
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    die "setup knows Debian only; here you need the equivalents of: ${PACKAGES[*]}"
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || die "these packages are missing: ${missing[*]}; run ./dev setup as root"
  note "installing ${missing[*]}"
  (
    guard_services
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >&2 </dev/null ||
      die "apt-get failed (above); without these packages nothing can be built: ${missing[*]}"
  )
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
