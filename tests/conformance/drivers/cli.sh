#!/bin/bash
# The cells by the command tlsagent, which TLSAGENT_CLI names. conformance_test.py says what each cell has to do.
set -euo pipefail

tlsagent() { "$TLSAGENT_CLI" "$@"; }

# page PORT OPTION...: a page, and how it was answered.
page() {
  local port=$1
  shift
  local page
  page=$(tlsagent connect --quiet --include --get /page "$@" "localhost:$port")
  printf '%s\n' "$page" | tr -d '\r' | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/status=\1/p; $s/^/body=/p'
}

# ask PORT CA: a peer that was silent to another command answers this one.
ask() {
  printf 'then=%s\n' "$(echo question | tlsagent connect --quiet --cafile "$2" "localhost:$1")"
}

case $1 in
  get) page "$2" --cafile "$3" ${4:+--cert "$4" --key "$5"} ;;
  alpn)
    page "$2" --cafile "$3" --alpn matrix/2,http/1.1
    tlsagent connect --check --json --cafile "$3" --alpn matrix/2,http/1.1 "localhost:$2" |
      sed -n 's/.*"alpn": "\(.*\)".*/alpn=\1/p'
    ;;
  cancel)
    exec 3< <(exec "$TLSAGENT_CLI" connect --ignore-eof --cafile "$3" "localhost:$2" 2>&1 </dev/null)
    waiting=$!
    read -r <&3 # what was agreed: from here on it waits
    kill -TERM "$waiting"
    code=0
    wait "$waiting" || code=$?
    if [[ $code -eq $((128 + 15)) ]]; then echo cancelled=SIGTERM; fi
    ask "$2" "$3"
    ;;
  deadline)
    code=0
    tlsagent connect --quiet --timeout 2 --cafile "$3" --get /silence "localhost:$2" || code=$?
    if [[ $code -eq 8 ]]; then echo expired=8; fi
    ask "$2" "$3"
    ;;
  bulk) tlsagent connect --quiet --ignore-eof --cafile "$3" "localhost:$2" <"$4" >"$5" ;;
  serve) exec "$TLSAGENT_CLI" serve --listen 127.0.0.1:0 --cert "$2" --key "$3" --exec "bash '$0' answer" ;;
  answer)
    read -r request
    echo "request=${request%$'\r'}" >&2
    printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nconformance\n'
    ;;
  decode)
    tlsagent decode --json "$2" | /usr/bin/python3 -c '
import json, sys
for one in json.load(sys.stdin):
    print("cn=" + [a["CN"] for a in one["subject_attributes"] if "CN" in a][0])
    print("names=" + ",".join(n["value"] for n in one["subject_alt_names"]))
    print("until=" + str(one["not_after_unix"]))'
    ;;
esac
