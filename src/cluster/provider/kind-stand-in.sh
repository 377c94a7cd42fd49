#!/bin/sh
# Stands in for the `kind` command in tests: answers as kind's documentation and sources say, and writes down its
# calls. No container engine was at hand to try the real one.
set -eu
here=$(dirname "$0")
echo "kind $*" >>"$here/calls"
case "$1 $2" in
"get clusters")
    if [ -e "$here/qa" ]; then echo qa; else echo "No kind clusters found." >&2; fi
    ;;
"create cluster")
    if [ -e "$here/qa" ]; then
        echo 'ERROR: failed to create cluster: node(s) already exist for a cluster with the name "qa"' >&2
        exit 1
    fi
    echo 'Creating cluster "qa" ...' >&2
    touch "$here/qa"
    ;;
"get kubeconfig")
    cat <<'KUBECONFIG'
apiVersion: v1
clusters:
- cluster:
    server: https://127.0.0.1:43211
  name: kind-qa
contexts:
- context:
    cluster: kind-qa
    user: kind-qa
  name: kind-qa
current-context: kind-qa
kind: Config
preferences: {}
users:
- name: kind-qa
  user:
    token: stand-in
KUBECONFIG
    ;;
"load image-archive")
    [ -e "$3" ] || { echo "ERROR: stat $3: no such file or directory" >&2; exit 1; }
    ;;
"delete cluster")
    rm -f "$here/qa"
    echo 'Deleting cluster "qa" ...' >&2
    ;;
*)
    echo "ERROR: unknown command" >&2
    exit 1
    ;;
esac
