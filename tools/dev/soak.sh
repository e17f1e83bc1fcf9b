# Sourced by ./dev: mixed load for minutes while servers are restarted.

verb_soak() {
  prepare
  APPENDFS_STAGE=$PWD/$STAGE PYTHONPATH=$PWD/tests/system PYTHONDONTWRITEBYTECODE=1 \
    $PYTHON -m soak "$@"
}
