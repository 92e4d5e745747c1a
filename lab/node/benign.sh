# Ordinary work with rules at block: nothing is stopped. What is told of it as shipped is counted and printed.
# At alert stay rules that forbid this very work (packages, programs built in the container), and two of Falco's and ours
# that ordinary start-up scripts of Debian's PostgreSQL meet: they are listed here and in docs/benchmarks.md.
by_design=("Launch Package Management Process in Container" "Drop and execute new binary in container" "Program not of the image" "Set Setuid or Setgid bit" "Password hashes read")

# Debian with compilers, data bases, servers and jobs, made once.
benign_image() {
  local tar=$cache/node-benign.tar
  pod image exists localhost/jinwu-benign:1 && return
  if [ ! -s "$tar" ]; then
    need mmdebstrap
    say "制作 / making $tar"
    mmdebstrap --quiet --variant=minbase --include=gcc,libc6-dev,make,python3-minimal,nginx-light,redis-server,postgresql-15,cron,logrotate bookworm "$tar.part"
    mv "$tar.part" "$tar"
  fi
  pod import "$tar" localhost/jinwu-benign:1 >/dev/null 2>&1
}

work_of() {
  case $1 in
    compile) printf 'mkdir /src && cd /src && for i in 1 2 3 4 5 6; do echo "int f$i(int a) { return a + $i; }" >f$i.c; done; echo "int f1(int); int main(void) { return f1(1) != 2; }" >m.c; printf "p: f1.o f2.o f3.o f4.o f5.o f6.o m.o\\n\\tcc -o p *.o\\n" >Makefile; make -j2 && ./p' ;;
    packages) printf 'printf "Package: sample\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@example.org>\\nDescription: sample\\n" >/c && mkdir -p /pkg/DEBIAN /pkg/usr/share/sample && mv /c /pkg/DEBIAN/control && echo x >/pkg/usr/share/sample/x && printf "#!/bin/sh\\ntrue\\n" >/pkg/DEBIAN/postinst && chmod 755 /pkg/DEBIAN/postinst && dpkg-deb -b /pkg /sample.deb && dpkg -i /sample.deb && dpkg -r sample' ;;
    postgresql) printf 'pg_ctlcluster 15 main start && sleep 1; su postgres -c "psql -c \\"create table t (a int)\\" -c \\"insert into t select generate_series(1,1000)\\" -c \\"select count(*) from t\\"" && pg_ctlcluster 15 main stop' ;;
    redis) printf 'redis-server --daemonize yes --dir /tmp --save 1 1 && sleep 1 && redis-benchmark -q -n 2000 -t set,get && redis-cli bgsave && sleep 1 && redis-cli shutdown' ;;
    nginx) printf 'nginx && sleep 0.5 && perl -MIO::Socket::INET -e "for (1..5) { my \$s = IO::Socket::INET->new(q(127.0.0.1:80)) or die; print \$s qq(GET / HTTP/1.0\\r\\n\\r\\n); <\$s> =~ /200/ or die }" && nginx -s reload && sleep 0.5 && nginx -s stop' ;;
    python) printf 'cd /tmp && echo "def f(): return 41" >m.py && python3 -c "import m, os, sys; open(\\"o.txt\\", \\"w\\").write(str(m.f() + 1)); sys.exit(os.spawnlp(os.P_WAIT, \\"date\\", \\"date\\"))"' ;;
    logrotate) printf 'printf "/var/log/app.log { rotate 2\\n size 1\\n compress\\n }\\n" >/srv/app && head -c 5000 /dev/zero >>/var/log/app.log && logrotate -f /srv/app && ls /var/log/app.log.1*' ;;
    cron) printf 'rm -f /etc/cron.daily/apt-compat; cron && sleep 1 && run-parts /etc/cron.daily; kill -0 "$(cat /var/run/crond.pid)"' ;;
  esac
}

benign() {
  benign_image
  local name mode image_of=$image
  image=localhost/jinwu-benign:1
  for mode in block alert; do
    if [ $mode = block ]; then
      # What is shipped at alert is at block; what is shipped at allow stays.
      jq -n --slurpfile rules <(shipped_at_alert) '{modes: ($rules - $ARGS.positional | map({(.): "block"}) | add), drift: "alert", malware: "block", privileged: "alert"}' --args "${by_design[@]}" >"$work/settings.json"
    else
      printf '{}' >"$work/settings.json"
    fi
    sensor "benign-$mode" --ledger --settings "$work/settings.json"
    for name in compile packages postgresql redis nginx python logrotate cron; do
      container "$name" -- bash -c "$(work_of "$name")"
      check "$mode: $name does its work" finished "$name"
    done
    sleep 2
    sensor_ends
    ledger 'select(.kind == "alarm" or .kind == "interception")' >"$work/$mode.json"
    for name in compile packages postgresql redis nginx python logrotate cron; do
      [ $mode = block ] && check "block: $name is not stopped" jq -se --arg id "$(id_of "$name")" 'map(select(.kind == "interception" and .detail.container.id == $id)) | if length == 0 then true else (map(.detail.policy + ": " + .detail.process.command) | unique | error(join("; "))) end' "$work/block.json"
      [ $mode = alert ] && jq -sr --arg id "$(id_of "$name")" --arg name "$name" 'map(select(.detail.container.id == $id and .kind == "alarm")) | "note    \($name): \(length) alarms \(map(.detail.policy) | group_by(.) | map("\(.[0]) \(length)") | join(", "))"' "$work/alert.json"
      gone "jinwu-$name"
    done
  done
  image=$image_of
}

finished() {
  local code
  code=$(timeout 60 podman wait "jinwu-$1")
  [ "$code" = 0 ] || {
    pod logs "jinwu-$1" 2>&1 | tail -5
    return 1
  }
}

# Names of rules that are at alert as shipped; those their authors switched off are not.
shipped_at_alert() {
  sed -n '/^| \*\*/{/| alert |$/s/^| \*\*.*`\([^`]*\)` |.*/\1/p}' docs/en/rules-node.md | grep -vxFf <(never_enabled) | jq -R .
}
never_enabled() { awk '/^- rule: /{ name = substr($0, 9) } /^  enabled: false/{ print name }' content/rules/falco/*.yaml; }
