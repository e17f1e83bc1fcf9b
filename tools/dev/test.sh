# Sourced by ./dev: running tests and counting them.

# /usr/bin/python3 is Debian's, where python3-pytest is; another one may come
# first in PATH.
PYTHON=/usr/bin/python3

# unit_tests DIR FILTER: runs the unit tests of a build directory. A filter
# selects the tests whose name contains it, or, if there is none, the cases.
unit_tests() {
  local directory=$1 filter=$2 selected=()
  rm -f "$directory/meson-logs/testlog.junit.xml"
  if [ -n "$filter" ]; then
    mapfile -t selected < <($PYTHON tools/dev/select_tests.py "$directory" "$filter")
    [ -n "${selected[1]:-}" ] || return 0
    export GTEST_FILTER=${selected[0]}
  fi
  meson test -C "$directory" --no-rebuild --suite unit --print-errorlogs --timeout-multiplier 5 \
    "${selected[@]:1}"
}

# Where new seeds begin: at the commit's number, so that every commit is tried with its
# own, and the same commit with the same; at the clock's where what is built has no commit.
first_fresh_seed() {
  local commit
  if commit=$(git rev-parse --verify --quiet 'HEAD^{commit}' 2>/dev/null) &&
    git diff --quiet HEAD 2>/dev/null; then
    echo $((16#${commit:0:12}))
  else
    date +%s%N
  fi
}

# Known seeds, then new ones for two minutes. Takes all cores, and has them:
# nothing else runs meanwhile that looks at a clock.
simulation_tests() {
  local filter=$1
  rm -f "$BUILD/simulation-tests.xml"
  [[ simulation == *"$filter"* ]] || return 0
  "$BUILD/tests/sim/appendfs-sim" --seeds 200 --fresh-seconds 120 \
    --fresh-from "$(first_fresh_seed)" --junit "$BUILD/simulation-tests.xml" </dev/null
}

# pytest_system NAME WHERE FILTER OPTION...: what it found goes to NAME.xml.
pytest_system() {
  local name=$1 where=$2 filter=$3 code=0
  shift 3
  APPENDFS_STAGE=$PWD/$STAGE $PYTHON -m pytest "$where" -q -p no:cacheprovider \
    --junitxml="$BUILD/$name.xml" ${filter:+-k "$filter"} "$@" </dev/null || code=$?
  [ $code -eq 5 ] && code=0 # nothing collected: the sum will tell
  return $code
}

# Two files at a time, then, one by one, the tests that want the machine to themselves.
system_tests() {
  local filter=$1 code=0
  rm -f "$BUILD"/system-tests{,-alone}.xml
  [ -d tests/system ] || return 0
  if [ -z "$filter" ] || [[ $filter == *chaos* || $filter == *power* ]]; then
    build_power_loss "$POWER_LOSS"
    local -x APPENDFS_POWER_LOSS=$PWD/$POWER_LOSS
  fi
  pytest_system system-tests tests/system "$filter" -m "not alone" -n 2 --dist loadfile || code=1
  pytest_system system-tests-alone tests/system "$filter" -m alone || code=1
  return $code
}

# suite_tests NAME: the system tests of one directory, and nothing else.
suite_tests() {
  pytest_system system-tests "tests/system/$1" "" -n 2 --dist loadfile
}

run_tests() {
  local filter=$1 failed=()
  if [ -n "$filter" ] && compgen -G "tests/system/$filter/test_*.py" >/dev/null; then
    rm -f "$BUILD/system-tests.xml"
    suite_tests "$filter" || failed+=(system)
    $PYTHON tools/dev/sum_tests.py "${failed[*]}" "$BUILD/system-tests.xml"
    return
  fi
  (unit_tests "$BUILD" "$filter") || failed+=(unit)
  simulation_tests "$filter" || failed+=(simulation)
  system_tests "$filter" || failed+=(system)
  $PYTHON tools/dev/sum_tests.py "${failed[*]}" \
    "$BUILD/meson-logs/testlog.junit.xml" "$BUILD/simulation-tests.xml" \
    "$BUILD"/system-tests{,-alone}.xml
}

# run_sanitized NAME FILTER OPTION...: unit tests in a build of their own.
run_sanitized() {
  local directory=$BUILD-$1 filter=$2
  shift 2
  verb_setup
  configure "$directory" --buildtype debugoptimized -Db_lundef=false "$@"
  compile "$directory"
  local failed=''
  (
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export TSAN_OPTIONS="suppressions=$PWD/tools/tsan/suppressions.txt:halt_on_error=0"
    export ASAN_OPTIONS=detect_stack_use_after_return=1
    unit_tests "$directory" "$filter"
  ) || failed=unit
  $PYTHON tools/dev/sum_tests.py "$failed" "$directory/meson-logs/testlog.junit.xml"
}
