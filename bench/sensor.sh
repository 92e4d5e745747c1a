#!/usr/bin/env bash
# ./x bench sensor [--rounds N] [--seconds N]: what the sensor costs, beside auditd and bcc's tools, and
# what it loses. `--rounds 0` leaves out the costs.
set -euo pipefail
cd "$(dirname "$0")/.."
. lab/install.sh
. lab/node/node.sh
rounds=3 seconds=2
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    *)
      say "用法 / usage: ./x bench sensor [--rounds N] [--seconds N]"
      exit 2
      ;;
  esac
  shift 2
done
need redis-server redis-tools make gcc bc
build_image
printf '{"privileged": "allow"}' >"$work/settings.json"
mkdir -p "$work/tree"
for i in $(seq 40); do
  {
    echo '#include <stdio.h>'
    echo '#include <stdlib.h>'
    for j in $(seq 40); do echo "int f${i}_$j(int a) { for (int k = 0; k < a; k++) printf(\"%d\", k * $j); return a; }"; done
  } >"$work/tree/f$i.c"
done
printf 'all: %s\n' "$(seq -f 'f%g.o' -s ' ' 40)" >"$work/tree/Makefile"

median() { sort -g | awk '{ v[NR] = $1 } END { printf "%s (%s–%s)", v[int((NR + 1) / 2)], v[1], v[NR] }'; }

# On the node, outside of any container: what every other program pays. In a container: what is told of pays too.
measure() {
  local case=$1 place=$2 run
  run=("$work/stimulus")
  [ "$place" = node ] || run=(podman --cgroup-manager cgroupfs --runtime runc exec jinwu-bench stimulus)
  case $case in
    getppid) "${run[@]}" loop getppid "$seconds" | cut -d' ' -f2 ;;
    open) "${run[@]}" loop open "$seconds" /etc/passwd | cut -d' ' -f2 ;;
    exec) "${run[@]}" loop exec "$seconds" "$([ "$place" = node ] && echo "$work/stimulus" || echo /usr/bin/nmap)" | cut -d' ' -f2 ;;
    connect) "${run[@]}" loop connect "$seconds" $((20000 + RANDOM % 10000)) | cut -d' ' -f2 ;;
    redis)
      redis-server --port 16399 --save '' --daemonize no --loglevel warning >/dev/null 2>&1 &
      within redis-cli -p 16399 ping
      redis-benchmark -p 16399 -q -n 60000 -c 20 -t get | tr '\r' '\n' | sed -n 's/^GET: \([0-9.]*\) requests.*/\1/p'
      redis-cli -p 16399 shutdown nosave >/dev/null 2>&1 || true
      wait $!
      ;;
    make)
      make -C "$work/tree" -s clean 2>/dev/null || rm -f "$work"/tree/*.o
      local begun=$EPOCHREALTIME
      make -C "$work/tree" -s -j2 >/dev/null
      bc <<<"scale=2; ($EPOCHREALTIME - $begun)/1"
      ;;
  esac
}
cases=(getppid:node getppid:container open:node open:container exec:node exec:container connect:node connect:container redis:node make:node)

container bench -- stimulus wait
states=(none sensor)
with_none() { :; }
without_none() { :; }
with_sensor() { sensor bench --settings "$work/settings.json"; }
without_sensor() { sensor_ends; }

# auditd's rules for the same calls. They come last: audit, once on, slows every process that begins afterwards, until
# the machine starts anew or a rule exempts tasks.
with_auditd() {
  local call
  auditctl -e 1 >/dev/null && auditctl -D >/dev/null
  for call in execve execveat open openat openat2 creat connect accept accept4 bind listen unlink unlinkat rename renameat renameat2 mkdir rmdir chmod fchmod fchmodat ptrace mount; do auditctl -a always,exit -F arch=b64 -S $call -k jinwu-bench >/dev/null; done
}
without_auditd() {
  auditctl -D >/dev/null
  auditctl -e 0 >/dev/null
  auditctl -a never,task >/dev/null
}

# opensnoop and execsnoop of libbpf-tools, where they run.
snoop_said=$( { (need libbpf-tools) || (need bpfcc-tools); } >/dev/null 2>&1; for tool in opensnoop opensnoop-bpfcc; do ! command -v $tool >/dev/null || timeout 20 $tool -d 1 2>&1 >/dev/null | tail -1; done) || true
[ -n "$snoop_said" ] || snoop_said='neither package is to be had'

rounds_of() {
  local round state case
  for round in $(seq "$rounds"); do
    for state in "$@"; do
      "with_$state"
      sleep 0.5
      for case in "${cases[@]}"; do measure "${case%:*}" "${case#*:}" >>"$work/$state.$case"; done
      "without_$state"
    done
    say "$*: $round / $rounds"
  done
}
costs() {
  rounds_of none sensor
  if audit_said=$( (need auditd) 2>&1 && auditctl -s 2>&1); then
    states+=(auditd)
    rounds_of auditd
  fi

  printf '| what | unit | %s |\n|---|---|%s\n' "$(IFS='|'; echo "${states[*]}" | sed 's/|/ | /g')" "$(printf -- '---|%.0s' "${states[@]}")"
  for case in "${cases[@]}"; do
    unit=ns
    [ "${case%:*}" = redis ] && unit='GET /s'
    [ "${case%:*}" = make ] && unit=s
    printf '| %s, %s | %s |' "${case%:*}" "${case#*:}" "$unit"
    for state in "${states[@]}"; do printf ' %s |' "$(median <"$work/$state.$case")"; done
    printf '\n'
  done
  printf '\nMedian (range) of %s rounds; none and sensor interleaved, auditd after them. Other sensors on this machine meanwhile: %s.\n' "$rounds" "$others"
  case " ${states[*]} " in *' auditd '*) ;; *) printf 'auditd: not measured: %s\n' "$audit_said" ;; esac
  printf 'bcc: %s\n\n' "${snoop_said:-ran}"
}
others=$(pgrep -cx jinwu-agent || true)
[ "$rounds" -eq 0 ] || costs

# Loss, latency, memory, idle.
cpu() { awk '{ print $14 + $15 }' "/proc/$agent/stat"; }
memory() { awk '/^Pss:/ { print $2 }' "/proc/$agent/smaps_rollup"; }
sensor idle --ledger --settings "$work/settings.json"
sleep 2
idle=$(cpu)
sleep 10
idle=$(bc <<<"scale=2; ($(cpu) - $idle) * 100 / $(getconf CLK_TCK) / 10")
small=$(memory)
# load NAME RATE open|delete: two producers in a container open files to write, or delete what is not there, RATE a
# second in all; 0 is as fast as it goes.
load() {
  local rate=$2 before after peak
  before=$(ask status | jq -r '"\(.events) \(.lost) \(.dropped)"')
  inside bench stimulus produce 100000 $((rate / 2)) /tmp/p1 "$3" >"$work/p1" &
  inside bench stimulus produce 100000 $((rate / 2)) /tmp/p2 "$3" >"$work/p2"
  wait $!
  peak=$(memory)
  sleep 4
  after=$(ask status | jq -r '"\(.events) \(.lost) \(.dropped)"')
  awk -v name="$1" -v asked="$rate" -v before="$before" -v after="$after" -v peak="$peak" '{ rate += $2 }
    END { split(before, b, " "); split(after, a, " "); printf "| %s, %s | %d | %d | %.2f %% | %d | %.1f |\n", name, asked ? asked "/s" : "as fast as it goes", rate, a[1] - b[1], (a[2] - b[2]) / 2000, a[3] - b[3], peak / 1024 }' "$work/p1" "$work/p2" >>"$work/losses"
}
load 'files written, and judged' 0 open
sensor_ends
jq '. + {malware: "allow", drift: "allow"}' "$work/settings.json" >"$work/bare.json"
gone jinwu-bench
sensor loss --ledger --settings "$work/bare.json"
container bench -- stimulus wait
sleep 1
load 'files written, not judged' 0 open
for rate in 50000 100000 200000 0; do load 'deletions' $rate delete; done
printf '| load, 200,000 calls | calls /s | events told | lost by the kernel ring | records dropped | memory after, MiB |\n|---|---|---|---|---|---|\n'
cat "$work/losses"
sensor_ends
# From the call to its alarm on disk: alarms are followed in the spool, whose ids hold the call's time in nanoseconds.
sensor latency --settings "$work/settings.json"
perl -MTime::HiRes=time,sleep -e '
  $| = 1;
  my ($file, $seen) = (undef, 0);
  while (1) {
    for my $path (glob "$ARGV[0]/spool/kept/*.jsonl") {
      open my $f, "<", $path or next;
      seek $f, $at{$path} // 0, 0;
      while (my $line = <$f>) {
        last unless $line =~ /\n$/;
        $at{$path} = tell $f;
        my $now = time;
        printf "%.2f\n", ($now - hex($1) / 1e9) * 1000 if $line =~ /^\{"id":"lab-([0-9a-f]+)-[0-9a-f]+\/alarm".*Known Cryptominer Process Executed/;
      }
    }
    sleep 0.0005;
  }' "$data" >"$work/latencies" &
agents+=($!)
inside bench sh -c 'for i in $(seq 200); do /usr/bin/xmrig $i; usleep 20000; done'
sleep 2
sensor_ends
sort -g "$work/latencies" | awk '{ v[NR] = $1 } END { printf "\nAlarm on disk after the call: p50 %s ms, p99 %s ms, most %s ms (%d alarms)\n", v[int((NR + 1) / 2)], v[int(NR * .99 + .5)], v[NR], NR }'
printf 'Idle: %s %% of a processor; memory (Pss) %s MiB.\n' "$idle" "$(bc <<<"scale=1; $small / 1024")"
gone jinwu-bench
