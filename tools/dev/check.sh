# Sourced by ./dev: checks of the sources.

PARTS=(common master chunkserver client fuse cli)

check_format() {
  git ls-files '*.h' '*.cc' | xargs clang-format --dry-run -Werror
}

check_include_rule() {
  python3 tests/include_rule/include_rule.py .
}

# Every product file that is compiled, with clang's thread-safety analysis as
# errors; clang-tidy's own findings too unless `syntax`.
check_clang() {
  python3 tools/dev/clang_check.py "$1" "$BUILD" "${PARTS[@]}"
}

run_check() {
  case $1 in
    format) check_format ;;
    include-rule) check_include_rule ;;
    tidy) check_clang tidy ;;
    thread-safety) check_clang syntax ;;
    *) die "check: no such check: $1 (format, include-rule, tidy, thread-safety)" ;;
  esac
}

run_checks() {
  local checks=("$1") failed=() check
  # tidy parses every file and includes the thread-safety analysis.
  [ "$1" = all ] && checks=(format include-rule tidy)
  for check in "${checks[@]}"; do
    if (run_check "$check"); then
      echo "check $check: ok"
    else
      echo "check $check: FAILED"
      failed+=("$check")
    fi
  done
  [ ${#failed[@]} -eq 0 ] || die "failed: ${failed[*]}"
}
