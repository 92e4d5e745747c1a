#!/usr/bin/env bash
# The sensor on this machine's own kernel: containers do what rules ask about, are stopped, isolated and recorded.
# Called by `./x test sensor`; JINWU_BIN names another folder of programs, NODE_PARTS some of the parts.
set -euo pipefail
cd "$(dirname "$0")/../.."
. lab/install.sh
. lab/node/node.sh

for part in ${NODE_PARTS:-detect record block respond limits benign}; do
  printf -- '-- %s\n' "$part"
  # shellcheck source=/dev/null
  . "lab/node/$part.sh"
  "$part"
done
printf '%s checks, %s failed\n' "$checks" "$failures"
[ "$failures" -eq 0 ]
