# What is at block is stopped: rules, programs that are not of the image, malicious files; and nothing else is.

stopped() { jq -se --arg rule "$1" --arg id "$2" 'any(.[]; .kind == "interception" and .detail.policy == $rule and .detail.container.id == $id and .outcome == "denied")' "$work/kept.json"; }
linked() { jq -se 'map(select(.kind == "interception")) as $i | ($i | length) > 0 and all($i[]; .decision as $d | $all | any(.[]; .kind == "alarm" and .decision == $d))' --slurpfile all "$work/kept.json" "$work/kept.json"; }
came() { jq -se --arg way "$1" --arg id "$2" 'any(.[]; .kind == "alarm" and .detail.policy == "malware" and .detail.container.id == $id and (.detail.output | contains($way)))' "$work/kept.json"; }

# A web shell as the shipped forms know it, put together here: no file of the repository is one.
webshell() { printf '<?php /* %s */ @%s(%s["%s"]); ?>\n' "$1" 'ev''al' '$_PO''ST' 'cmd'; }

# Gives a file to one connection after the other.
serve() {
  perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(LocalAddr => "10.88.0.1", LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die "$!";
    open my $f, "<", $ARGV[1] or die; local $/; my $text = <$f>;
    while (my $c = $s->accept) { print $c $text; close $c }' "$1" "$2" &
  agents+=($!)
}

block() {
  build_image
  pod tag "$image" localhost/jinwu-drift:1
  jq -n '{modes: {"Known Cryptominer Process Executed": "block", "Miner by its name": "block"}, malware: "block", privileged: "allow", scopes: [{image: "localhost/jinwu-drift", drift: "block"}]}' >"$work/settings.json"
  sensor block --ledger --settings "$work/settings.json"
  local image_of=$image address
  container ruled -- stimulus wait
  container served -- stimulus upload-server 8080 /var/www/html/u%d.php
  container second -- stimulus wait
  image=localhost/jinwu-drift:1
  container drift -- stimulus wait
  image=$image_of
  sleep 1

  check 'rule at block: the process is killed' not inside ruled stimulus run xmrig @later 3000 write /tmp/after
  check 'rule at block: it did nothing more' not inside ruled test -e /tmp/after
  check 'rule at block: another program runs' inside ruled stimulus run app @later 100 write /tmp/other

  check 'drift at block: not started' not inside drift stimulus drop /usr/bin/app /tmp/d @write /tmp/ran
  check 'drift at block: no effect' not inside drift test -e /tmp/ran
  check 'drift at block: programs of the image start' inside drift app
  check 'drift at block: written and started 30 times, ran 0 times' test "$(inside drift stimulus race /tmp/race 30)" = 0
  check 'without it: ran 30 times' test "$(inside second stimulus race /tmp/race 30)" = 30

  address=$(pod inspect -f '{{.NetworkSettings.IPAddress}}' jinwu-served)
  webshell upload >"$work/upload"
  webshell download >"$work/download"
  printf '<?php echo "hello"; ?>\n' >"$work/page"
  serve 18099 "$work/download"
  cat "$work/upload" >"/dev/tcp/$address/8080"
  cat "$work/page" >"/dev/tcp/$address/8080"
  within inside second stimulus download 10.88.0.1 18099 /var/www/html/d.php
  pod exec -i jinwu-second sh -c 'cat >/srv/spread.php' <"$work/upload"
  sleep 3
  check 'malware: an interpreter may not read it' not inside served sh -c 'read -r line </var/www/html/u0.php'
  check 'malware: who only looks at it may' inside served stimulus read /var/www/html/u0.php
  check 'malware: an ordinary page may be read' inside served sh -c 'read -r line </var/www/html/u1.php'
  sleep 2
  sensor_ends
  ledger 'select(.kind == "alarm" or .kind == "interception")' >"$work/kept.json"
  check 'rule at block: interception' stopped 'Known Cryptominer Process Executed' "$(id_of ruled)"
  check 'drift: interception' stopped drift "$(id_of drift)"
  check 'malware: interception' stopped malware "$(id_of served)"
  check 'malware: uploaded' came uploaded "$(id_of served)"
  check 'malware: downloaded' came downloaded "$(id_of second)"
  check 'malware: spread from another container' came 'spread from another' "$(id_of second)"
  check 'each interception has its alarm' linked
  gone jinwu-ruled jinwu-served jinwu-second jinwu-drift
}
