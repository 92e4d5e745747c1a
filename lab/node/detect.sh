# Every action of actions.tsv raises its rule, told of its container; its benign half does not.

# Rules their authors switched off are on.
detect_settings() {
  local off
  off=$(awk '/^- rule: /{ name = substr($0, 9) } /^  enabled: false/{ print name }' content/rules/falco/*.yaml)
  jq -n '{privileged: "allow", modes: ([inputs] | map({(.): "alert"}) | add)}' <<<"$({ cut -f2 lab/node/actions.tsv; printf '%s\n' "$off"; } | sort -u | jq -R .)"
}

# raised RULE CONTAINER PROCESS: an alarm of the rule, of that container, by the process so named or what it started.
did_all() {
  local name
  for name in "$@"; do pod logs "jinwu-$name" | grep -q '^done$' || return 1; done
}

raised() {
  jq -se --arg rule "$1" --arg id "$2" --arg act "$3" \
    'any(.[]; .kind == "alarm" and .detail.policy == $rule and (.detail.container.id == $id) and ($act == "" or ([.detail.process.name] + [.detail.ancestors[][1]] | index($act))))' <"$work/alarms.json" >/dev/null
}
quiet() { ! raised "$@"; }

detect() {
  build_image
  detect_settings >"$work/settings.json"
  sensor detect --ledger --settings "$work/settings.json"
  local kind rule positive negative number=0 id
  # Their own programs do it: what is entered from outside is judged otherwise.
  container plain -e KUBERNETES_SERVICE_HOST=10.96.0.1 -v /etc:/host/etc:ro -- stimulus all plain
  container privileged --privileged -- stimulus all privileged
  check 'every action was done' within_minute did_all plain privileged
  inside plain tar cf /dev/null opt/a
  script -qec "podman --cgroup-manager cgroupfs --runtime runc exec -it jinwu-plain sh -c true" /dev/null </dev/null >/dev/null || true
  on_host
  sleep 2
  ledger 'select(.kind == "alarm")' >"$work/alarms.json"
  while IFS=$'\t' read -r kind rule positive negative; do
    number=$((number + 1))
    id=$kind
    [ "$kind" = host ] || id=$(id_of "$kind")
    [ "$kind" != host ] || id=""
    check "$rule" raised "$rule" "$id" "p$number"
    check "$rule: not by ${negative}" quiet "$rule" "$id" "n$number"
  done <lab/node/actions.tsv
  check 'Terminal shell in container' raised 'Terminal shell in container' "$(id_of plain)" ''
  check 'Exfiltrating Artifacts via Kubernetes Control Plane' raised 'Exfiltrating Artifacts via Kubernetes Control Plane' "$(id_of plain)" ''
  check 'Launch Privileged Container' raised 'Launch Privileged Container' "$(id_of privileged)" ''
  check 'Launch Privileged Container: not an ordinary one' quiet 'Launch Privileged Container' "$(id_of plain)" ''
  check 'Launch Excessively Capable Container' raised 'Launch Excessively Capable Container' "$(id_of privileged)" ''
  check 'Launch Excessively Capable Container: not an ordinary one' quiet 'Launch Excessively Capable Container' "$(id_of plain)" ''
  check 'Container Run as Root User' raised 'Container Run as Root User' "$(id_of plain)" ''
  check 'every alarm of a container names it' jq -se --arg id "$(id_of plain)" 'map(select(.detail.container.id == $id)) | length > 60 and all(.detail.container.name == "jinwu-plain")' "$work/alarms.json"
  check 'nothing was lost' lost_nothing
  gone jinwu-plain jinwu-privileged
  sensor_ends
}

# What only nodes do: the same program on this machine, below a folder of the test's own.
on_host() {
  local number=0 kind rest name
  mkdir -p "$work/host"
  for name in app nmap vipw nc; do cp "$work/stimulus" "$work/host/$name"; done
  while IFS=$'\t' read -r kind rest; do
    number=$((number + 1))
    [ "$kind" = host ] || continue
    ln -sf "$work/stimulus" "$work/host/p$number"
    ln -sf "$work/stimulus" "$work/host/n$number"
    (
      PATH=$work/host:$PATH
      STIMULUS_ACTIONS=$PWD/lab/node/actions.tsv "$work/host/p$number" || true
      STIMULUS_ACTIONS=$PWD/lab/node/actions.tsv "$work/host/n$number" || true
    ) >/dev/null 2>&1
  done <lab/node/actions.tsv
}
