# Sourced by ./dev: faults of all kinds on a cluster of real processes.

# run_chaos STAGE [OPTION...]: the driver's options, see tests/system/chaos.
run_chaos() {
  local stage=$1
  shift
  APPENDFS_STAGE=$PWD/$stage PYTHONPATH=$PWD/tests/system PYTHONDONTWRITEBYTECODE=1 \
    $PYTHON -m chaos "$@"
}

# With --power-loss: servers built so that being killed loses whatever was not
# synced, as when the power fails. They have a build directory of their own.
verb_chaos() {
  local options=() power_loss='' option
  for option in "$@"; do
    if [ "$option" = --power-loss ]; then power_loss=yes; else options+=("$option"); fi
  done
  if [ -z "$power_loss" ]; then
    prepare
    run_chaos "$STAGE" "${options[@]}"
    return
  fi
  local directory=$BUILD/power-loss
  verb_setup
  configure "$directory" -Dpower_loss=true
  compile "$directory"
  meson install -C "$directory" --no-rebuild --quiet >/dev/null
  # A full disk would show at a sync, not at a write, and fail that server.
  run_chaos "$directory/stage" --no-full-disks "${options[@]}"
}
