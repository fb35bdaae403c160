#!/usr/bin/env bash
# Prefect for many users, tried from beginning to end on this machine: a PostgreSQL of its own, `prefect server` on it behind
# a password, the work pool, the device limit, a worker and the deployment of prefect.yaml; a run while the server is
# restarted; a slot of the limit held over a restart; backup and restore. Everything listens on loopback, lies in a
# temporary folder and is ended and removed at the end. Needs PostgreSQL's programs (Debian: apt install postgresql)
# and this repository's environment (make environment). docs/operate.md says what each setting is for.
#
#   examples/cluster/prefect_on_postgres.sh          # about three minutes on two cores
#
# PYTHON: the interpreter that has mopd (default: the .venv beside it). LEASES: memory shows what the default would do.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
LEASES=${LEASES:-filesystem}
DEPLOYMENT=mopd/run

fail() {
  echo "$*" >&2
  exit 1
}

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

postgres_folder() { # its programs are not on everybody's PATH
  local initdb
  initdb=$(command -v initdb || find /usr/lib/postgresql -name initdb 2>/dev/null | sort -V | tail -n 1)
  [ -n "$initdb" ] || fail "PostgreSQL's initdb is not here; install it (Debian: apt install postgresql)"
  dirname "$(readlink -f "$initdb")"
}

[ -x "$PYTHON" ] || fail "$PYTHON is not there; run \`make environment\`, or name an interpreter in PYTHON"
PG=$(postgres_folder)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/mopd-prefect-XXXXXX")
chmod 755 "$WORK"
trap clean_up EXIT
trap 'exit 130' INT TERM

clean_up() {
  local code=$?
  set +e
  for process in worker server; do stop "$process"; done
  [ -d "$WORK/postgres/data" ] && postgres pg_ctl -D "$WORK/postgres/data" -m fast stop >/dev/null
  if [ "$code" -ne 0 ]; then
    tail -n 20 "$WORK"/*.log >&2
  fi
  rm -rf "$WORK"
}

# --- processes -------------------------------------------------------------------------------------------------------

start() { # NAME COMMAND...: in a process group of its own, so that its children end with it
  local name=$1
  shift
  setsid "$@" >>"$WORK/$name.log" 2>&1 </dev/null &
  echo $! >"$WORK/$name.pid"
  disown
}

stop() { # NAME: asked first, killed after 10 s
  [ -f "$WORK/$1.pid" ] || return 0
  local group
  group=$(cat "$WORK/$1.pid")
  rm "$WORK/$1.pid"
  kill -TERM "$group" 2>/dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$group" 2>/dev/null || break
    sleep 0.2
  done
  kill -KILL -- "-$group" 2>/dev/null || true
}

wait_for() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain for: $*"
    sleep 0.5
  done
}

prefect() { "$PYTHON" -m prefect --no-prompt "$@"; }

postgres() { # PROGRAM ARGUMENTS...: PostgreSQL refuses to run as root
  local program=$1
  shift
  if [ "$(id -u)" -eq 0 ]; then
    (cd / && runuser -u postgres -- "$PG/$program" "$@")
  else
    "$PG/$program" "$@"
  fi
}

admin() { postgres "$1" -h "$WORK/postgres" -p "$PG_PORT" -U postgres "${@:2}"; }

start_postgres() {
  postgres pg_ctl -D "$WORK/postgres/data" -l "$WORK/postgres/log" -w start \
    -o "-p $PG_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$WORK/postgres" >/dev/null
}

start_server() {
  start server "$PYTHON" -m prefect server start --host 127.0.0.1 --port "$PORT" --no-ui
  wait_for 120 api GET health
}

api() { # METHOD PATH [BODY]
  "$PYTHON" - "$@" <<'PYTHON'
import base64, os, sys, urllib.request

method, path, *body = sys.argv[1:]
request = urllib.request.Request(f"{os.environ['PREFECT_API_URL']}/{path}", "".join(body).encode() or None, method=method)
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Basic " + base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode())
print(urllib.request.urlopen(request, timeout=30).read().decode())
PYTHON
}

flow_runs() { api POST flow_runs/count '{}'; }

slots_taken() { api GET v2/concurrency_limits/mopd-device | field active_slots; }

state() { api GET "flow_runs/$1" | field state_type; }

is_over() { [[ $(state "$1") =~ ^(COMPLETED|FAILED|CRASHED|CANCELLED)$ ]]; }

field() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

secret() { "$PYTHON" -c 'import secrets; print(secrets.token_hex(16))'; }

# --- what an administrator does once ---------------------------------------------------------------------------------

make_database() {
  mkdir "$WORK/postgres"
  [ "$(id -u)" -ne 0 ] || chown postgres: "$WORK/postgres"
  postgres initdb -D "$WORK/postgres/data" -U postgres --auth-local=trust --auth-host=scram-sha-256 -E UTF8 >/dev/null
  start_postgres
  admin psql -q -c "CREATE ROLE prefect LOGIN PASSWORD '$PG_PASSWORD'"
  admin createdb -O prefect prefect
  say "$("$PG/postgres" --version) on 127.0.0.1:$PG_PORT, database prefect"
}

configure() { # the server's settings, and the two that every user and worker needs
  export PREFECT_HOME=$WORK/prefect PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 NO_PROXY=127.0.0.1
  export PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://prefect:$PG_PASSWORD@127.0.0.1:$PG_PORT/prefect
  export PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=prefect.server.concurrency.lease_storage.$LEASES
  export PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs
  export PREFECT_SERVER_API_AUTH_STRING=admin:$API_PASSWORD
  export PREFECT_API_AUTH_STRING=admin:$API_PASSWORD
  export PREFECT_API_URL=http://127.0.0.1:$PORT/api
}

deploy() {
  prefect work-pool create mopd --type process
  prefect gcl create mopd-device --limit 1
  prefect deploy --name run
  start worker "$PYTHON" -m prefect worker start --pool mopd --limit 4
} >>"$WORK/deploy.log" 2>&1

# --- what is tried ---------------------------------------------------------------------------------------------------

parameters() { # RUN: the tiny config with the fake engine
  "$PYTHON" - "$ROOT/examples/tiny.yaml" "$1" <<'PYTHON'
import json, sys
from pathlib import Path
from mopd.settings import load_settings

settings = load_settings(Path(sys.argv[1]), ["generate.engine=fake"])
print(json.dumps({"settings": settings.model_dump(mode="json"), "run_dir": sys.argv[2]}))
PYTHON
}

run_over_a_restart() {
  local id run=$WORK/runs/first
  id=$(prefect deployment run "$DEPLOYMENT" --params "$(parameters "$run")" | grep -oE '[0-9a-f-]{36}' | head -n 1)
  wait_for 120 test -d "$run/rollouts"
  stop server
  sleep 10
  start_server
  wait_for 300 is_over "$id"
  [ "$(state "$id")" = COMPLETED ] || fail "the flow run ended as $(state "$id")"
  [ "$("$PYTHON" -m flows.cli status "$run" --json | field finished)" = True ] || fail "$run is not finished"
  [ "$(slots_taken)" -eq 0 ] || fail "the run is over, and its slot of mopd-device is taken"
  say "$DEPLOYMENT completed, though the server was restarted meanwhile; no slot of mopd-device is taken"
}

slot_over_a_restart() { # a stage holds the device while the server restarts, and ends after it
  local pid taken
  hold_device &
  pid=$!
  wait_for 60 test -f "$WORK/held"
  stop server
  start_server
  touch "$WORK/release"
  wait "$pid" || true
  taken=$(slots_taken)
  say "a slot of mopd-device was held over a restart of the server and given back: $taken taken (leases: $LEASES)"
  [ "$LEASES" = memory ] || [ "$taken" -eq 0 ] || fail "the slot does not come back"
}

hold_device() {
  "$PYTHON" - "$WORK" >>"$WORK/holder.log" 2>&1 <<'PYTHON'
import sys, time
from pathlib import Path
from prefect.concurrency.sync import concurrency

work = Path(sys.argv[1])
with concurrency("mopd-device", occupy=1, lease_duration=60):
    (work / "held").touch()
    while not (work / "release").exists():
        time.sleep(0.2)
PYTHON
}

backup_and_restore() {
  local before after
  before=$(flow_runs)
  PGPASSWORD=$PG_PASSWORD "$PG/pg_dump" -h 127.0.0.1 -p "$PG_PORT" -U prefect -Fc -f "$WORK/prefect.dump" prefect
  stop server
  admin dropdb prefect
  admin createdb -O prefect prefect
  PGPASSWORD=$PG_PASSWORD "$PG/pg_restore" -h 127.0.0.1 -p "$PG_PORT" -U prefect -d prefect --no-comments "$WORK/prefect.dump"
  prefect server database upgrade --yes >>"$WORK/deploy.log" 2>&1 # after an upgrade of Prefect: its new tables
  start_server
  after=$(flow_runs)
  [ "$before" = "$after" ] || fail "$before flow runs were dumped, and $after came back"
  prefect deployment inspect "$DEPLOYMENT" >/dev/null
  say "pg_dump of $(stat -c %s "$WORK/prefect.dump") bytes, dropped, restored: $after flow runs and the deployment are there"
}

PG_PORT=$(free_port) PORT=$(free_port) PG_PASSWORD=$(secret) API_PASSWORD=$(secret)
cd "$ROOT"
configure
make_database
prefect server database upgrade --yes >>"$WORK/deploy.log" 2>&1
start_server
say "prefect server $(api GET admin/version | tr -d '"') asks for a password: $(PREFECT_API_AUTH_STRING=no:body api GET flow_runs/count 2>&1 | tail -n 1)"
deploy
say "work pool, limit, deployment, worker"
run_over_a_restart
slot_over_a_restart
backup_and_restore
say "done"
