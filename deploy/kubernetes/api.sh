# shellcheck shell=sh disable=SC2034,SC2154 # a part of node.sh, which has the other variables
# Questions to the API server: the node's ranges, and whether the DaemonSet of this pod is deleted.

account=${ACCOUNT:-/var/run/secrets/kubernetes.io/serviceaccount}

# ask PATH: sets $status to the HTTP status, 000 without a complete answer; the answer is in $scratch/answer
ask() {
  case $KUBERNETES_SERVICE_HOST in
    *:*) server="[$KUBERNETES_SERVICE_HOST]" ;;
    *) server=$KUBERNETES_SERVICE_HOST ;;
  esac
  # The token is rotated, so it is read for each question. It is passed in a file, because other users can see arguments.
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$account/token")" >"$scratch/header"
  status=$(curl --silent --max-time 10 --cacert "$account/ca.crt" --config "$scratch/header" --output "$scratch/answer" \
    --write-out '%{http_code}' "https://$server:$KUBERNETES_SERVICE_PORT$1") || status=000
  rm -f "$scratch/header"
}

# answers FILTER: prints the filter's output for the last answer; fails if the answer is incomplete or lacks it
answers() { [ "$status" = 200 ] && jq --exit-status --compact-output --raw-output "$1" "$scratch/answer" 2>/dev/null; }

# Sets $ranges to the node's ranges in the form of the configuration: one range set each.
learn_ranges() {
  ask "/api/v1/nodes/$NODE_NAME"
  found=$(answers 'select(.kind == "Node") | .spec | (.podCIDRs // [.podCIDR // empty]) | map([{ subnet: . }])') ||
    { fail "Cannot read node \"$NODE_NAME\" from https://$server:$KUBERNETES_SERVICE_PORT: HTTP status $status"; return 1; }
  [ "$found" != "[]" ] || { fail "Node \"$NODE_NAME\" has no podCIDR: is --allocate-node-cidrs on?"; return 1; }
  ranges=$found
}

# The DaemonSet of this pod, by name and UID; both are empty until the API has answered.
daemonset='' daemonset_uid=''
learn_owner() {
  [ -z "$daemonset_uid" ] || return 0
  ask "/api/v1/namespaces/$POD_NAMESPACE/pods/$POD_NAME"
  owner=$(answers '.metadata.ownerReferences[]? | select(.kind == "DaemonSet" and .controller) | .name + " " + .uid') || return 1
  daemonset=${owner% *} daemonset_uid=${owner#* }
}

# Whether this pod's own DaemonSet is deleted and not replaced by another. A missing answer, unauthorized, forbidden or
# a single 404 prove nothing. The list of the namespace's DaemonSets is the second question.
is_deleted() {
  learn_owner || return 1
  daemonsets=/apis/apps/v1/namespaces/$POD_NAMESPACE/daemonsets
  ask "$daemonsets/$daemonset"
  case $status in
    200) answers "select(.metadata.uid != \"$daemonset_uid\" or .metadata.deletionTimestamp != null)" >"$scratch/doomed" || return 1 ;;
    404) ;;
    *) return 1 ;;
  esac
  ask "$daemonsets"
  others=$(answers "select(.kind == \"DaemonSetList\") | [.items[] | select(.metadata.deletionTimestamp == null) |
    select(.metadata.uid == \"$daemonset_uid\" or .spec.template.metadata.labels[\"app.kubernetes.io/name\"] == \"atomicni\")] | length") || return 1
  [ "$others" = 0 ]
}
