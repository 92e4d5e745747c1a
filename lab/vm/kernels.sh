# Debian's kernels for the virtual machine, out of their packages, never installed. Sourced after install.sh.

# Newest package of a pattern that apt knows.
newest() { apt-cache search --names-only "$1" | sed 's/ .*//' | grep -v -- '-unsigned$\|-dbg$' | sort -V | tail -1; }

# Puts vmlinuz and the module into the cache; prints the folder.
kernel() {
  local package=$1 dir=$cache/vm/$1 work
  [ -f "$dir/overlay.ko" ] && { printf '%s\n' "$dir"; return; }
  work=$(mktemp -d "$cache/vm/fetch.XXXXXX")
  say "取用 / fetching $package"
  (cd "$work" && apt-get -qq download "$package" && dpkg -x ./*.deb x) >"$cache/apt.log" 2>&1 || {
    tail -5 "$cache/apt.log" >&2
    say "取不到内核包 $package / the kernel's package $package cannot be had"
    rm -rf "$work"
    return 2
  }
  mkdir -p "$dir"
  mv "$work"/x/boot/vmlinuz-* "$dir/vmlinuz"
  local module
  module=$(find "$work/x" -name 'overlay.ko*')
  case $module in
    *.xz) xz -dc "$module" >"$dir/overlay.new" ;;
    *) cp "$module" "$dir/overlay.new" ;;
  esac
  mv "$dir/overlay.new" "$dir/overlay.ko"
  rm -rf "$work"
  printf '%s\n' "$dir"
}
