#!/bin/sh
# Run Alertmanager, under the name of Debian's package or of its own. It logs the webhook's URL, which may
# contain a token, so URLs are left out of the log.
"$(command -v alertmanager || command -v prometheus-alertmanager)" "$@" 2>&1 | sed -u -E 's#https?://[^" \\]*#(URL)#g'
