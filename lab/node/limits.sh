# Bad input, a full disk, death under load, many containers: clear errors, bounded memory, nothing lost in silence.

# refuses SETTINGS WORDS…: the sensor does not start, and says these words.
refuses() {
  local settings=$1 said word
  shift
  printf '%s' "$settings" >"$work/bad.json"
  if said=$(timeout 20 "$bin/jinwu-agent" --data "$work/bad" run --node lab --ledger --settings "$work/bad.json" 2>&1); then
    printf 'it started\n'
    return 1
  fi
  for word in "$@"; do
    grep -qF -- "$word" <<<"$said" || {
      printf 'without "%s": %s\n' "$word" "$said"
      return 1
    }
  done
}
memory() { awk '/^Pss:/ { print $2 }' "/proc/$agent/smaps_rollup"; }
status_is() { ask status | jq -e "$1"; }
written_anew() {
  local now
  now=$(cat "$data"/spool/kept/*.jsonl | wc -l)
  [ "$now" -gt "$1" ]
}

limits() {
  build_image
  local before after file ids hierarchy kept
  check 'rules with an error: file and line are named' refuses '{"files": {"own.yaml": "- rule: a\n  desc: b\n  condition: evt.type = \n  output: c\n  priority: NOTICE\n"}}' own.yaml:1 '"a"'
  check 'rules with an unknown field' refuses '{"files": {"own.yaml": "- rule: a\n  desc: b\n  condition: evt.nothing = 1\n  output: c\n  priority: NOTICE\n"}}' own.yaml:1 evt.nothing
  check 'rules that are no YAML' refuses '{"files": {"own.yaml": "- rule: [\n"}}' own.yaml
  check 'settings of a wrong type' refuses '{"drift": 5}' bad.json 'line 1'
  check 'settings with an unknown member' refuses '{"drfit": "alert"}' bad.json drfit
  check 'settings cut off' refuses '{"drift": ' bad.json
  check 'no settings file' not timeout 20 "$bin/jinwu-agent" --data "$work/bad" run --node lab --ledger --settings "$work/none.json"

  mkdir -p "$work/disk/full"
  mount -t tmpfs -o size=256k none "$work/disk"
  printf '{"privileged": "allow"}' >"$work/settings.json"
  sensor disk/full --settings "$work/settings.json"
  container filler -- stimulus wait
  inside filler stimulus produce 20000 0 /data >/dev/null
  sleep 2
  check 'disk full: what was dropped is counted' status_is '.dropped > 0'
  check 'disk full: it goes on seeing' status_is '.events > 0 and .unreadable == 0'
  kept=$(cat "$data"/spool/kept/*.jsonl | wc -l)
  mount -o remount,size=64m "$work/disk"
  inside filler xmrig
  check 'room again: alarms are written' within written_anew "$kept"
  gone jinwu-filler
  sensor_ends
  umount "$work/disk"

  sensor killed --settings "$work/settings.json"
  container loaded -- sh -c 'stimulus produce 100000 0 /data; sleep 100'
  sleep 1
  sensor_ends -KILL
  sensor killed --settings "$work/settings.json"
  inside loaded xmrig || true
  sleep 3
  sensor_ends
  check 'killed under load: it starts again and records' jq -se 'any(.[]; .record.detail.policy == "Known Cryptominer Process Executed")' <(cat "$data"/spool/kept/*.jsonl)
  ids=$(cat "$data"/spool/*/*.jsonl | sed -n 's/^{"id":"\([^"]*\)".*/\1/p' | sort | uniq -d | wc -l)
  check 'killed under load: no record twice' test "$ids" -eq 0
  check 'killed under load: at most one line cut' test "$(cat "$data"/spool/*/*.jsonl | jq -R 'fromjson? // "cut"' | grep -c '^"cut"')" -le 1
  gone jinwu-loaded

  sensor many --ledger --settings "$work/settings.json"
  hierarchy=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [ -n "$hierarchy" ] || hierarchy=$(awk '$3 == "cgroup" && $4 ~ /(^|,)pids(,|$)/ { print $2; exit }' /proc/mounts)
  "$work/stimulus" cgroups "$hierarchy" 200
  sleep 1
  before=$(memory)
  "$work/stimulus" cgroups "$hierarchy" 2000
  for file in $(seq 40); do pod run --rm --label "$label=1" --ulimit nofile=20000:20000 --ulimit nproc=10000:10000 "$image" app >/dev/null; done
  sleep 12
  after=$(memory)
  printf 'note    memory (Pss) %s KiB before, %s KiB after 2,000 cgroups and 40 containers\n' "$before" "$after"
  check 'many containers: memory stays' test $((after - before)) -lt 16384
  check 'many containers: nothing lost' lost_nothing
  sensor_ends
  check 'many containers: each start of them is recorded' test "$(ledger 'select(.action == "exec" and .object == "/usr/bin/app" and .detail.container.image == "localhost/jinwu-stimulus:1") | .detail.container.id' | sort -u | wc -l)" -eq 40
  check 'many containers: each is known by its runtime' test "$(ledger 'select(.detail.container.unresolved == true and .object == "/usr/bin/app")' | wc -l)" -eq 0
}
