#!/bin/sh
# storm.sh PROGRAM TAG NETWORK: three workers, each of which adds a container, checks it and deletes it, until the power
# fails. Each report to a runtime is also printed on the console: `@ begin|end COMMAND ID [EXIT CODE [ADDRESS]]`.
# NETWORK is the configuration without its last brace.
program=$1 tag=$2 network=$3

cni() { # cni COMMAND ID NAMESPACE [MORE OF THE CONFIGURATION]
  printf '%s%s}' "$network" "${4:-}" | CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$3 CNI_IFNAME=eth0 \
    CNI_PATH=/opt/cni/bin "$program" 2>/dev/null
}

tell() { echo "@ $*" >/dev/console; }

worker() { # worker NAMESPACE SECONDS
  ip netns add "$1"
  n=0
  while :; do
    n=$((n + 1)) id=$tag-$1-$n address=
    tell begin ADD "$id"
    result=$(cni ADD "$id" "$1")
    code=$?
    case $result in *'"address":"'*) address=${result#*\"address\":\"} address=${address%%/*} ;; esac
    tell end ADD "$id" $code "$address"
    # The result of an ADD stays in the state for a while: without the wait, the program without any fsync passed.
    sleep "$2"
    if [ $((n % 3)) = 0 ] && [ $code = 0 ]; then
      cni CHECK "$id" "$1" ",\"prevResult\":$result" >/dev/null
      tell end CHECK "$id" $?
    fi
    tell begin DEL "$id"
    cni DEL "$id" "$1" >/dev/null
    tell end DEL "$id" $?
  done
}

worker w1 0.6 &
worker w2 0.6 &
worker w3 0 &
wait
