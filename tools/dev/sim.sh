# Sourced by ./dev: the deterministic simulation (tests/sim).

verb_sim() {
  local directory=$BUILD options=()
  case " $* " in
    *" --planted "* | *" --plant "*)
      directory=$BUILD/planted
      options=(-Dplanted=true)
      ;;
  esac
  verb_setup
  configure "$directory" "${options[@]}"
  CCACHE_NOHASHDIR=1 ninja -C "$directory" --quiet tests/sim/appendfs-sim || die "the build failed"
  "$directory/tests/sim/appendfs-sim" "$@"
}
