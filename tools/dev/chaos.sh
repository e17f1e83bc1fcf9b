# Sourced by ./dev: faults of all kinds on a cluster of real processes.

# run_chaos STAGE [OPTION...]: the driver's options, see tests/system/chaos.
run_chaos() {
  local stage=$1
  shift
  APPENDFS_STAGE=$PWD/$stage PYTHONPATH=$PWD/tests/system PYTHONDONTWRITEBYTECODE=1 \
    $PYTHON -m chaos "$@"
}

verb_chaos() {
  prepare
  run_chaos "$STAGE" "$@"
}
