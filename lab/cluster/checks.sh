# What the lab's tests share. Sourced; `lab` and `kubectl` need JINWU_LAB. At the end: `finish`.

passed=0 failed=0
lab() { bash lab/cluster/lab.sh "$@"; }
kubectl() { lab kubectl "$@"; }

# What is checked, and a command that must succeed.
check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok    $what"
  else
    failed=$((failed + 1))
    echo "FAIL  $what"
  fi
}
is() { [ "$1" = "$2" ] || { echo "      expected '$2', got '${1:0:600}'"; false; }; }
has() { case $1 in *"$2"*) ;; *) echo "      '$2' is not in '${1:0:600}'"; false ;; esac; }

# Seconds, and a command that must succeed by then.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { "$@"; return; }
    sleep 0.3
  done
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
