#!/usr/bin/env bash
# The commands of README.md here, as written there, in a folder of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."
rm -rf /tmp/digits
sed -n '/^```$/,/^```$/p' docs/digits/README.md | grep -v '^```$' > /tmp/digits-commands.sh
bash -euo pipefail /tmp/digits-commands.sh
