#!/usr/bin/env bash
# Runs a command on a Slurm of two hosts, each with processes, a network, a name and a /tmp/ray of its own on this machine:
#
#   tests/examples/slurm_hosts.sh sbatch --wait --nodes=2 JOB ...
#
# Needs root (namespaces) and Debian's slurmctld, slurmd, slurm-client, munge and iproute2. Ends with the command's code.
set -euo pipefail

WORK=$(mktemp -d "${TMPDIR:-/tmp}/mopd-slurm-XXXXXX")
NET=10.99.0 NAME=mopd-$$
export WORK NET SLURM_CONF=$WORK/slurm.conf

clean_up() {
  set +e
  [ -f "$WORK/munge/pid" ] && kill "$(cat "$WORK/munge/pid")"
  [ -n "${SECOND:-}" ] && kill -KILL "$SECOND" && wait "$SECOND" # unshare minds no other signal
  ip netns delete "$NAME-n1"
  ip netns delete "$NAME-n2"
  [ -z "${KEEP:-}" ] && rm -rf "$WORK"
} 2>/dev/null

become_host() { # NAME COMMAND...: all that runs on a host ends with its first process
  # shellcheck disable=SC2016  # it is the host that expands them
  exec nsenter --net="/run/netns/$NAME-$1" unshare --pid --fork --kill-child --mount-proc --uts bash -euc '
    hostname "$1"
    mkdir -p /tmp/ray
    mount -t tmpfs tmpfs /tmp/ray
    mount --bind "$WORK/hosts" /etc/hosts
    shift
    "$@"' host "$@"
}

first() {
  slurmctld
  slurmd -N n1
  until [ "$(sinfo --noheader --states=idle --format=%D)" = 2 ]; do sleep 0.2; done
  "$@"
}

chmod 755 "$WORK"
trap clean_up EXIT
trap 'exit 130' INT TERM

mkdir "$WORK"/{state,munge,spool-n1,spool-n2}
printf '127.0.0.1 localhost\n%s.1 n1\n%s.2 n2\n' "$NET" "$NET" >"$WORK/hosts"
cat >"$SLURM_CONF" <<CONF
ClusterName=mopd
SlurmctldHost=n1($NET.1)
SlurmUser=root
AuthInfo=socket=$WORK/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=$WORK/state
SlurmdSpoolDir=$WORK/spool-%n
SlurmctldPidFile=$WORK/slurmctld.pid
SlurmdPidFile=$WORK/slurmd-%n.pid
SlurmctldLogFile=$WORK/slurmctld.log
SlurmdLogFile=$WORK/slurmd-%n.log
NodeName=n[1-2] NodeAddr=$NET.[1-2] CPUs=2 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES
CONF

head -c 128 /dev/urandom >"$WORK/munge/key"
chown -R munge: "$WORK/munge"
chmod 600 "$WORK/munge/key"
runuser -u munge -- munged --key-file="$WORK/munge/key" --socket="$WORK/munge/socket" --pid-file="$WORK/munge/pid" \
  --log-file="$WORK/munge/log" --seed-file="$WORK/munge/seed"

ip netns add "$NAME-n1"
ip netns add "$NAME-n2"
ip link add eth0 netns "$NAME-n1" type veth peer name eth0 netns "$NAME-n2"
for i in 1 2; do
  ip -n "$NAME-n$i" address add "$NET.$i/24" dev eth0
  ip -n "$NAME-n$i" link set eth0 up
  ip -n "$NAME-n$i" link set lo up
done

export -f first
become_host n2 slurmd -D -N n2 >"$WORK/n2.log" 2>&1 &
SECOND=$!
(become_host n1 bash -euc 'first "$@"' first "$@")
