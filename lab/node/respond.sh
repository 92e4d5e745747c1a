# Responses as the container itself sees them; each is recorded, what ends something leaves evidence first.

respond() {
  build_image
  local before after file pid
  printf '{"privileged": "allow", "isolated_may_reach": ["192.0.2.0/24"]}' >"$work/settings.json"
  sensor respond --ledger --settings "$work/settings.json"
  container victim -- sh -c 'while :; do date +%s%N >/tmp/beat; sleep 0.05; done'
  container bystander -- stimulus wait
  printf 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n' >"$work/answer"
  serve 18098 "$work/answer"
  within inside victim wget -qO /dev/null -T 2 http://10.88.0.1:18098/
  act() { ask respond jinwu-victim "$@" --reason 'a test'; }

  check 'pause is done' act pause
  before=$(pod cp jinwu-victim:/tmp/beat - | tar -xO)
  sleep 0.5
  after=$(pod cp jinwu-victim:/tmp/beat - | tar -xO)
  check 'paused: it stands still' test "$before" = "$after"
  check 'resume is done' act resume
  sleep 0.5
  check 'resumed: it goes on' test "$(inside victim cat /tmp/beat)" != "$after"

  check 'isolate is done' act isolate
  check 'isolated: it reaches nobody' not inside victim timeout 4 wget -qO /dev/null -T 2 http://10.88.0.1:18098/
  check 'isolated: another container does' inside bystander wget -qO /dev/null -T 2 http://10.88.0.1:18098/
  check 'isolated: told in the state' sh -c "'$bin/jinwu-agent' --data '$data' status | jq -e '.isolated | length == 1'"
  check 'release is done' act release
  check 'released: it reaches again' inside victim wget -qO /dev/null -T 2 http://10.88.0.1:18098/

  pod exec -d jinwu-victim sleep 333 >/dev/null
  within pid_inside
  pid=$(pid_inside)
  check 'kill ends one process' act kill --pid "$pid"
  check 'killed: it is gone' not kill -0 "$pid"
  check 'killed: the container runs' test "$(pod inspect -f '{{.State.Running}}' jinwu-victim)" = true
  check 'kill of a process of another container is refused' not act kill --pid $$
  check 'an unknown container is refused' not ask respond no-such-container pause --reason x
  check 'stop is done' act stop
  check 'stopped: the container has ended' within ended
  sensor_ends
  ledger 'select(.kind == "response")' >"$work/responses.json"
  for what in pause resume isolate release kill stop; do
    check "$what is recorded with reason and container" jq -se --arg what "$what" --arg id "$(id_of victim)" 'any(.[]; .action == $what and .outcome == "success" and .detail.reason == "a test" and .detail.container.id == $id)' "$work/responses.json"
  done
  check 'what was refused is recorded as failed' jq -se 'map(select(.outcome == "failure")) | length == 2' "$work/responses.json"
  ledger 'select(.action == "evidence") | .detail.detail.evidence' >"$work/evidence.json"
  check 'evidence was taken' test "$(jq -s length "$work/evidence.json")" -ge 4
  for file in "$data"/evidence/*.json; do
    check "evidence $(basename "$file" | cut -c1-12)… is as recorded" jq -se --arg sum "$(sha256sum "$file" | cut -d' ' -f1)" --arg name "$(basename "$file")" 'any(.[]; .file == $name and (.sha256 | contains($sum)))' "$work/evidence.json"
  done
  gone jinwu-victim jinwu-bystander
}

pid_inside() { pod top jinwu-victim hpid args 2>/dev/null | awk '/sleep 333/ { print $1; found = 1 } END { exit !found }'; }
ended() { [ "$(pod inspect -f '{{.State.Running}}' jinwu-victim)" = false ]; }
