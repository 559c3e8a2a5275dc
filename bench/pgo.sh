#!/usr/bin/env bash
# Takes the profile that thymus is built with: pgo.sh BINARY OUT. It asks BINARY in every dialect, one after another, with
# the questions of thymus bench, events on, and merges what the processor did meanwhile.
set -euo pipefail
exec < /dev/null
binary=$(realpath "$1") out=$(realpath "$2") seconds=${SECONDS_EACH:-8}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; wait; rm -rf "$work"' EXIT

# profile NAME WORKLOAD SIZE ADDRESS [ARGS OF BENCH...]: ADDRESS is what the URL begins with, up to the port's name.
profile() {
	local name=$1 workload=$2 size=$3 scheme=$4 dir=$work/$1
	shift 4
	mkdir -p "$dir/ring"
	"$binary" bench --write-policy "$dir/policies" --workload "$workload" --size "$size" > /dev/null
	"$binary" serve "$dir/policies" --dir "$dir/state" --listen 127.0.0.1:0 --extauthz-listen 127.0.0.1:0 --management-listen '' \
		--diagnostics-listen 127.0.0.1:0 --set diagnostics.pprof=true --set "events.ring.path=$dir/ring" \
		--set events.journal.retain_size=1GiB --set extauthz.identity=header:x-agent-id --set extauthz.role_header=x-agent-role \
		--log-format json 2> "$dir/log" &
	server=$!
	local ready=
	for _ in $(seq 200); do
		ready=$(grep '"message":"ready"' "$dir/log") && break
		sleep 0.1
	done
	[ -n "$ready" ] || { cat "$dir/log" >&2; exit 1; }
	local plane=data
	[ "$scheme" != grpc ] || plane=extauthz
	local to from
	to=$(sed -E "s/.*\"$plane\":\"([^\"]+)\".*/\1/" <<< "$ready")
	from=$(sed -E 's/.*"diagnostics":"([^"]+)".*/\1/' <<< "$ready")
	"$binary" bench --url "$scheme://$to" --workload "$workload" --size "$size" --rate 0 --warmup 1s \
		--duration "$((seconds + 1))s" -o json "$@" > "$dir/bench" &
	local load=$!
	sleep 1
	curl -fsS -o "$work/$name.pprof" "http://$from/debug/pprof/profile?seconds=$seconds"
	wait "$load"
	kill "$server"
	wait "$server" || true
	server=
	echo "$name: $(sed -nE 's/^  "ok": ([0-9]+).*/\1/p' "$dir/bench") right answers, $(sed -nE 's/^  "wrong": ([0-9]+).*/\1/p' "$dir/bench") wrong"
}

profile native rbac 100 http
profile authzen rbac 100 http --target authzen
profile tools tools 20 http
profile tables abac 100 http
profile grpc proxy 100 grpc
profile proxied proxy 100 http --target http
go tool pprof -proto "$work"/*.pprof > "$out.new"
mv "$out.new" "$out"
ls -l "$out"
