# Without any rule: what containers do is in the ledger (AU-3), each with who, where, state and time; secrets masked.

recorded() { jq -se --arg action "$1" --arg object "$2" 'any(.[]; .action == $action and (.object | test($object)))' "$work/records.json"; }

whole() {
  jq -se --argjson begun "$1" 'length > 10 and all(.[];
    (.subject.name | endswith("@jinwu-recorded")) and .detail.container.name == "jinwu-recorded" and (.detail.container.image | length) > 0
    and (.detail.state | startswith("正常")) and .time >= $begun and .time <= now * 1000 + 1000 and .detail.node == "lab")' "$work/records.json"
}

record() {
  build_image
  local modes begun secret=Tr0ub4dor-and-3
  begun=$(date +%s%3N)
  modes=$(grep -hE '^- (rule|sequence): ' content/rules/falco/*.yaml rules/node/*.yaml | sed -E 's/^- (rule|sequence): //; s/^"(.*)"$/\1/' | sort -u | jq -R . | jq -s 'map({(.): "allow"}) | add')
  jq -n --argjson modes "$modes" '{modes: $modes, drift: "allow", malware: "allow", privileged: "allow"}' >"$work/settings.json"
  sensor record --ledger --settings "$work/settings.json"
  container recorded -- stimulus wait
  for words in 'run app one two' 'write /data/new' 'append /data/new' 'rename /data/new /data/newer' 'chmod /data/newer 600' 'delete /data/newer' 'mkdir /data/folder' 'tcp 10.88.0.1 9' 'accept self 7100' 'name 10.88.0.1 www.example.org'; do
    # shellcheck disable=SC2086
    inside recorded stimulus $words
  done
  inside recorded app --password="$secret" "https://me:$secret@example.org/path" "--token=ghp_$(printf 'a1B2c3D4%.0s' 1 2 3 4 5)"
  sleep 2
  check 'no alarm where every rule is at allow' jq -ne --argjson n "$(ask status | jq .alarms)" '$n == 0'
  sensor_ends
  ledger --arg id "$(id_of recorded)" 'select(.detail.container.id == $id)' >"$work/records.json"
  check 'a program starts' recorded exec '^/usr/bin/app$'
  check 'a program ends' recorded exit '^/usr/bin/app$'
  check 'a file is made' recorded create '^/data/new$'
  check 'a file is written' recorded write '^/data/new$'
  check 'a file is renamed' recorded rename '^/data/new → /data/newer$'
  check 'rights of a file are changed' recorded chmod '^/data/newer$'
  check 'a file is removed' recorded delete '^/data/newer$'
  check 'a folder is made' recorded mkdir '^/data/folder$'
  check 'a connection goes out' recorded connect '^10\.88\.0\.1:9$'
  check 'a port is listened on' recorded listen ':7100$'
  check 'a connection comes in' recorded accept ':7100$'
  check 'a name server is asked' jq -se 'any(.[]; .action == "dns" and .detail.question == "www.example.org")' "$work/records.json"
  check 'each names its subject, container, state and time' whole "$begun"
  check 'the command with secrets is there' jq -se 'any(.[]; .detail.process.command // "" | startswith("app --password="))' "$work/records.json"
  check 'no secret is' not grep -qE "$secret|ghp_a1B2c3D4a1B2" "$work/records.json"
  check 'the ledger verifies' "$bin/jinwu" ledger verify --dir "$data/ledger" --head "$data/ledger-heads/heads.jsonl"
  gone jinwu-recorded
}
