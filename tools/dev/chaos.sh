# Sourced by ./dev: faults of all kinds on a cluster of real processes.

# Servers built so that being killed loses whatever was not synced, as when the power
# fails. Only these two: the rest is the ordinary build's.
POWER_LOSS=$BUILD-power-loss

# build_power_loss DIR [OPTION...]
build_power_loss() {
  local directory=$1
  shift
  configure "$directory" -Dpower_loss=true "$@"
  compile "$directory" master/appendfs-master chunkserver/appendfs-chunkserver
}

# --power-loss takes the servers above; --plant BUG puts a known bug into them, which
# the run should find.
verb_chaos() {
  local options=() power_loss='' planted='' option
  for option in "$@"; do
    case $option in
      --power-loss) power_loss=yes ;;
      --plant | --plant=*) planted=yes options+=("$option") ;;
      *) options+=("$option") ;;
    esac
  done
  [ -z "$planted" ] || [ -n "$power_loss" ] || die "chaos: --plant needs --power-loss"
  prepare
  if [ -n "$planted" ]; then
    build_power_loss "$POWER_LOSS-planted" -Dplanted=true
    options+=(--power-loss "$PWD/$POWER_LOSS-planted")
  elif [ -n "$power_loss" ]; then
    build_power_loss "$POWER_LOSS"
    options+=(--power-loss "$PWD/$POWER_LOSS")
  fi
  APPENDFS_STAGE=$PWD/$STAGE PYTHONPATH=$PWD/tests/system PYTHONDONTWRITEBYTECODE=1 \
    $PYTHON -m chaos "${options[@]}"
}
