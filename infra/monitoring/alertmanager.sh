#!/bin/sh
# Run Alertmanager, under the name of Debian's package or of its own. It logs the webhook's URL, which may
# contain a token, so URLs are left out of the log.

# The supervisor's SIGTERM goes to the group: this shell and sed end after Alertmanager.
trap : TERM
"$(command -v alertmanager || command -v prometheus-alertmanager)" "$@" 2>&1 |
  (trap '' TERM; exec sed -u -E 's#https?://[^" \\]*#(URL)#g')
